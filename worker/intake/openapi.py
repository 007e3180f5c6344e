"""The OpenAPI description of the HTTP door, made from the same tables that the door uses."""

from __future__ import annotations

from typing import Any, Final

from worker import __version__
from worker.delivery import State
from worker.events import MESSAGE_ID_LENGTH, TYPES
from worker.intake.callbacks import CHANNELS, INBOUND, SMS, WHATSAPP
from worker.intake.limits import Limits
from worker.intake.tracking import BATCH, CALLS, METRICS
from worker.intake.webhooks import SOURCES

Json = dict[str, Any]

#: The types of event that have a path of their own.
KINDS: Final = sorted({kind for kind in CALLS.values() if kind in TYPES})

_MEANINGS: Final = {
    "400": "It can never be read; the code and the message say why. Sending it again changes nothing.",
    "401": "No destination has this key, token or signature.",
    "403": "A browser's page of an origin that is not allowed.",
    "404": "There is nothing at this address, or nothing is known of this event.",
    "405": "Another method is expected.",
    "408": "The request did not arrive in time.",
    "413": "A limit is exceeded: the size of the body or of an event, or the number of events.",
    "415": "A content encoding that is not read here.",
    "429": "Nothing can be accepted now; come back after `Retry-After` seconds.",
    "503": "Not ready; or nothing can be taken now, come back after `Retry-After` seconds.",
}
_CALLBACKS: Final = {
    SMS: "delivery reports of SMS",
    WHATSAPP: "delivery reports of WhatsApp, and inbound messages",
    INBOUND: "inbound messages of WhatsApp",
}
_OBJECT: Final[Json] = {"type": ["object", "null"]}


def description(limits: Limits | None = None) -> Json:
    """The description, as OpenAPI 3.1.

    Args:
        limits: Of the door it describes; the defaults unless given.
    """
    limits = limits or Limits()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "msg91-destination: the HTTP door",
            "version": __version__,
            "description": "Segment's tracking API, webhooks of other systems, MSG91's callbacks, and what became of "
            "an event. "
            "Bodies are JSON whatever their content type says (browsers send text/plain), plain or gzip. "
            f"An event may have {limits.event} bytes, a request {limits.body} bytes and {limits.events} events.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {**_tracking(limits), **_webhooks(), **_callbacks(), **_looking()},
        "components": {"schemas": _schemas(limits), "securitySchemes": _security(), "responses": _refusals()},
    }


def _tracking(limits: Limits) -> Json:
    paths: Json = {}
    for call, kind in CALLS.items():
        if kind == METRICS:
            body: Json = {}
            summary = "Metrics of Segment's browser client: taken and thrown away"
        elif kind == BATCH:
            body = {"$ref": "#/components/schemas/Batch"}
            summary = f"Several events, at most {limits.events}"
        else:
            body = {"$ref": f"#/components/schemas/{kind}"}
            summary = f"One {kind} event"
        operation = {
            "summary": summary,
            "operationId": f"take_{call}",
            "tags": ["Tracking API"],
            "security": [] if kind == METRICS else [{"writeKey": []}, {"writeKeyHeader": []}],
            "requestBody": {
                "required": kind != METRICS,
                "content": {"application/json": {"schema": body}},
            },
            "responses": _responses("Taken", "400", "401", "403", "408", "413", "415", "429"),
        }
        paths[f"/v1/{call}"] = {"post": operation}
    for prefix, name in (("/api/s", "browser"), ("/api/s/s2s", "server")):
        for kind in KINDS:
            paths[f"{prefix}/{kind}"] = {
                "post": {
                    "summary": f"One {kind} event of Jitsu's clients, from a {name}",
                    "operationId": f"take_jitsu_{name}_{kind}",
                    "tags": ["Tracking API"],
                    "security": [{"writeKeyHeader": []}],
                    "requestBody": {
                        "required": True,
                        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{kind}"}}},
                    },
                    "responses": _responses("Taken", "400", "401", "403", "408", "413", "415", "429"),
                }
            }
    return paths


def _webhooks() -> Json:
    event = {"$ref": "#/components/schemas/Event"}
    batch = {"$ref": "#/components/schemas/Batch"}
    several: Json = {"type": "array", "minItems": 1, "items": {}}
    return {
        "/v1/webhooks/{source}/{destination}": {
            "post": {
                "summary": "What other systems send",
                "operationId": "take_webhook",
                "tags": ["Webhooks"],
                "security": [{"token": []}, {"signature": []}],
                "parameters": [
                    _parameter("source", {"enum": sorted(SOURCES)}),
                    _parameter("destination", {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,32}$"}),
                ],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"anyOf": [event, several, batch]}}},
                },
                "responses": _responses("Taken", "400", "401", "403", "404", "408", "413", "415", "429"),
            }
        }
    }


def _callbacks() -> Json:
    secrets: list[Json] = [{"token": []}, {"callbackSecret": []}, {"callbackToken": []}]
    refusals = ("400", "401", "403", "404", "408", "413", "415", "503")
    reply = {"$ref": "#/components/schemas/Taken"}
    success = {"description": "The store has it.", "content": {"application/json": {"schema": reply}}}
    parameters = [_parameter("destination", {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,32}$"})]
    # MSG91's reports have many shapes, some of them the account's own: any object is read as far as it goes.
    one: Json = {"type": "object", "properties": {"status": {}, "requestId": {}, "CRQID": {}}}
    several: Json = {"type": "array", "minItems": 1, "items": one}
    form: Json = {
        "type": "object",
        "properties": {"data": {"type": "string", "description": "JSON, as webhook version v2 has it."}},
    }
    found: Json = {}
    for channel in CHANNELS:
        name = channel.replace("/", "_")
        content: Json = {"application/json": {"schema": {"anyOf": [one, several]}}}
        if channel == SMS:
            content["application/x-www-form-urlencoded"] = {"schema": form}
        found[f"/v1/callbacks/{{destination}}/{channel}"] = {
            "post": {
                "summary": f"What MSG91 calls back: {_CALLBACKS[channel]}",
                "operationId": f"take_callback_{name}",
                "tags": ["Callbacks"],
                "security": secrets,
                "parameters": parameters,
                "requestBody": {"required": True, "content": content},
                "responses": {"200": success, **{code: _refused(code) for code in refusals}},
            },
            "get": {
                "summary": "Whether address and secret are right",
                "operationId": f"try_callback_{name}",
                "tags": ["Callbacks"],
                "security": secrets,
                "parameters": parameters,
                "responses": {"200": success, **{code: _refused(code) for code in ("401", "403", "404", "408")}},
            },
        }
    return found


def _looking() -> Json:
    def get(summary: str, name: str, reply: Json, *others: str, security: list[Json], **more: Any) -> Json:
        return {
            "get": {
                "summary": summary,
                "operationId": name,
                "tags": ["Looking"],
                "security": security,
                "responses": {"200": reply, **{code: _refused(code) for code in others}},
                **more,
            }
        }

    def answer(schema: str) -> Json:
        return {"description": "Found.", "content": {"application/json": {"schema": {"$ref": schema}}}}

    text = {"description": "Prometheus text.", "content": {"text/plain": {"schema": {"type": "string"}}}}
    ready = answer("#/components/schemas/Ready")
    return {
        "/v1/deliveries/{messageId}": get(
            "What became of an event",
            "deliveries",
            answer("#/components/schemas/Deliveries"),
            "401", "403", "404", "408", "429",
            security=[{"writeKey": []}, {"writeKeyHeader": []}, {"token": []}],
            parameters=[_parameter("messageId", {"type": "string", "minLength": 1})],
        ),
        "/healthz": get("Whether the process is alive", "health", answer("#/components/schemas/Health"), security=[]),
        "/readyz": {
            "get": {
                **get("Whether events can be accepted", "ready", ready, security=[])["get"],
                "responses": {"200": ready, "503": {**ready, "description": _MEANINGS["503"]}},
            }
        },
        "/metrics": get("Numbers for Prometheus", "metrics", text, "401", "429", security=[{"token": []}, {}]),
    }  # fmt: skip


def _parameter(name: str, schema: Json) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _responses(success: str, *refusals: str) -> Json:
    schema = {"$ref": f"#/components/schemas/{success}"}
    taken = {"description": "The store has the events.", "content": {"application/json": {"schema": schema}}}
    return {"200": taken, **{code: _refused(code) for code in refusals}}


def _refused(code: str) -> Json:
    return {"$ref": f"#/components/responses/{code}"}


def _refusals() -> Json:
    found: Json = {}
    for code, meaning in _MEANINGS.items():
        found[code] = {
            "description": meaning,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Refused"}}},
        }
        if code in ("429", "503"):
            found[code]["headers"] = {
                "Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1, "maximum": 300}}
            }
    return found


def _security() -> Json:
    return {
        "writeKey": {"type": "http", "scheme": "basic", "description": "The write key as user name, no password."},
        "writeKeyHeader": {
            "type": "apiKey",
            "in": "header",
            "name": "X-Write-Key",
            "description": "As Jitsu sends it.",
        },
        "token": {"type": "http", "scheme": "bearer", "description": "The token of the webhook, or of the door."},
        "callbackSecret": {
            "type": "apiKey",
            "in": "header",
            "name": "X-Webhook-Secret",
            "description": "A secret of `callbacks`; another name may be configured.",
        },
        "callbackToken": {
            "type": "apiKey",
            "in": "query",
            "name": "token",
            "description": "A secret of `callbacks`, where a webhook has no headers of its own.",
        },
        "signature": {
            "type": "apiKey",
            "in": "header",
            "name": "X-Signature",
            "description": "Segment: hexadecimal HMAC-SHA1 of the body, or of its first element.",
        },
    }


def _schemas(limits: Limits) -> Json:
    schemas: Json = {
        "Event": {**_event(None), "required": ["type"]},
        "Batch": {
            "type": "object",
            "required": ["batch"],
            "properties": {
                "batch": {
                    "type": "array",
                    "minItems": 1,
                    "items": {"description": "An event; what is none is recorded as malformed."},
                    "description": f"At most {limits.events}; more are refused with 413.",
                },
                "context": {**_OBJECT, "description": "Merged into every event's own."},
                "integrations": {**_OBJECT, "description": "Merged into every event's own."},
                "sentAt": {"description": "For events that have none."},
                "writeKey": {"description": "Instead of a header."},
            },
        },
        "Taken": {
            "type": "object",
            "required": ["success"],
            "properties": {
                "success": {"const": True},
                "malformed": {"type": "array", "items": {"$ref": "#/components/schemas/Malformed"}},
                "malformedCount": {"type": "integer"},
            },
        },
        "Malformed": {
            "type": "object",
            "required": ["position", "code", "message"],
            "properties": {
                "position": {"type": "integer"},
                "code": {"type": "string"},
                "message": {"type": "string"},
            },
        },
        "Refused": {
            "type": "object",
            "required": ["success", "code", "message"],
            "properties": {
                "success": {"const": False},
                "code": {"type": "string"},
                "message": {"type": "string"},
                "requestId": {"type": "string"},
            },
        },
        "Deliveries": {
            "type": "object",
            "required": ["messageId", "deliveries"],
            "properties": {
                "messageId": {"type": "string"},
                "deliveries": {"type": "array", "items": {"$ref": "#/components/schemas/Delivery"}},
            },
        },
        "Delivery": _delivery(),
        "Health": {"type": "object", "required": ["status"], "properties": {"status": {"const": "ok"}}},
        "Ready": {
            "type": "object",
            "required": ["status", "store", "broker"],
            "properties": {
                "status": {"enum": ["ready", "not ready"]},
                "store": {"enum": ["ok", "away"]},
                "broker": {"enum": ["ok", "away"]},
                "queued": {"type": ["integer", "null"]},
                "lanes": {"type": "object", "additionalProperties": {"enum": ["open", "paused", "held"]}},
            },
        },
    }
    for kind in KINDS:
        schemas[kind] = _event(kind)
    return schemas


def _event(kind: str | None) -> Json:
    properties: Json = {
        "type": {"enum": [kind, None] if kind else sorted(TYPES)},
        "messageId": {"type": ["string", "null"], "maxLength": MESSAGE_ID_LENGTH},
        "userId": {},
        "anonymousId": {},
        "timestamp": {},
        "context": _OBJECT,
        "integrations": _OBJECT,
        "properties": _OBJECT,
        "traits": _OBJECT,
    }
    schema: Json = {"type": "object", "properties": properties}
    if kind == "track":
        properties["event"] = {"type": "string"}
        schema["required"] = ["event"]
    elif kind is None:
        schema["if"] = {"properties": {"type": {"const": "track"}}}
        schema["then"] = {"properties": {"event": {"type": "string"}}, "required": ["event"]}
    return schema


def _delivery() -> Json:
    text: Json = {"type": "string"}
    maybe: Json = {"type": ["string", "null"]}
    return {
        "type": "object",
        "required": ["destination", "mapping", "action", "key", "state", "attempts", "since", "final"],
        "properties": {
            "destination": text,
            "mapping": text,
            "action": text,
            "key": text,
            "state": {"enum": [state.value for state in State]},
            "meaning": text,
            "reason": maybe,
            "attempts": {"type": "integer"},
            "since": {"type": "string", "format": "date-time"},
            "final": {"type": "boolean"},
            "arrival": text,
            "requestId": maybe,
            "errors": {"type": "array", "items": {"type": "object"}},
        },
    }
