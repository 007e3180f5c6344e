// Sends events with a real client: node send.cjs CLIENT HOST WRITE_KEY EVENTS
// EVENTS is a JSON array of events as they are written in tests; the client makes the requests.
const { writeSync } = require("node:fs");
const [, , client, host, writeKey, text] = process.argv;
const events = JSON.parse(text);
const say = (line) => writeSync(1, JSON.stringify(line) + "\n");

async function segment() {
  const { Analytics } = require("@segment/analytics-node");
  const analytics = new Analytics({ writeKey, host, flushAt: 2, flushInterval: 200, maxRetries: 3 });
  analytics.on("error", (error) => say({ error: String(error.code), reason: String(error.reason) }));
  const done = events.map(
    (event) =>
      new Promise((resolve) => {
        const call = analytics[event.type].bind(analytics);
        call({ userId: "node-user", ...event }, (error) => resolve(error ? String(error) : null));
      }),
  );
  for (const error of await Promise.all(done)) say({ error });
  await analytics.closeAndFlush({ timeout: 10000 });
}

async function rudderstack(gzip) {
  const Analytics = require("@rudderstack/rudder-sdk-node");
  const analytics = new Analytics(writeKey, { dataPlaneUrl: host, flushAt: 2, gzip, logLevel: "error" });
  const done = events.map(
    (event) =>
      new Promise((resolve) => {
        analytics[event.type]({ userId: "node-user", ...event }, (error) => resolve(error ? String(error) : null));
      }),
  );
  await analytics.flush();
  for (const error of await Promise.all(done)) say({ error });
}

async function jitsu() {
  const { jitsuAnalytics } = require("@jitsu/js");
  const analytics = jitsuAnalytics({ host, writeKey, s2s: true, errorPolicy: "rethrow" });
  for (const event of events) {
    let error = null;
    try {
      if (event.type === "identify") await analytics.identify("node-user", event.traits);
      else if (event.type === "page") await analytics.page({ name: event.name, ...event.properties });
      else await analytics.track(event.event, event.properties);
    } catch (failure) {
      error = String(failure);
    }
    say({ error });
  }
}

const clients = { segment, rudderstack: () => rudderstack(false), "rudderstack-gzip": () => rudderstack(true), jitsu };
clients[client]().then(
  () => process.exit(0),
  (error) => {
    say({ error: String(error) });
    process.exit(1);
  },
);
