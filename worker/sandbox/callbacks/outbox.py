"""What a sandbox still has to post, and when. No I/O but the record; the time is given.

The reports of one message come one after another: the next is owed once the one before has been answered or given up,
so that a slow receiver does not see them in an order that nobody asked for.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from worker.sandbox.callbacks.bodies import MOST, Body, Report, body_of, is_shared
from worker.sandbox.callbacks.plan import Step, plan
from worker.sandbox.callbacks.sent import Channel, Sent, sent_messages
from worker.sandbox.callbacks.settings import Callbacks

#: Messages whose reports are waited with; those of more are dropped.
LIMIT: Final = 100_000


@dataclass(frozen=True, slots=True)
class Item:
    """One report that is due, and those of its message that come after it.

    Attributes:
        report: The report.
        manner: How it comes.
        rest: What its message is owed afterwards.
    """

    report: Report
    manner: tuple[str, ...] = ()
    rest: tuple[Step, ...] = ()


@dataclass(slots=True)
class Post:
    """One call of a webhook.

    Attributes:
        channel: Whose webhook.
        items: The reports it carries; none for an inbound message.
        inbound: The body of an inbound message, and the number it is from.
        attempt: Which try it is, from 1.
        number: Tells the tries of one post from those of others.
    """

    channel: Channel
    items: list[Item] = field(default_factory=list)
    inbound: tuple[Body, str] | None = None
    attempt: int = 1
    number: int = 0

    def body(self, callbacks: Callbacks) -> Body:
        """What it carries."""
        return self.inbound[0] if self.inbound is not None else body_of(callbacks, [one.report for one in self.items])


class Outbox:
    """The reports that one sandbox owes.

    Args:
        callbacks: How it calls back.
        seed: Where its dice start.
        lost: Called with each report that gets lost.

    Attributes:
        callbacks: How it calls back; may be changed at any time.
        counts: ``posted`` calls that were answered 2xx, ``failed`` tries, ``given_up`` calls, ``lost`` and ``dropped``
            reports.
        changed: Called when something is owed that was not; a poster waits for it.
    """

    def __init__(self, callbacks: Callbacks, seed: int, lost: Callable[[Item], None]) -> None:
        self.callbacks = callbacks
        self.counts: Counter[str] = Counter()
        self.changed: Callable[[], None] = lambda: None
        self._dice = random.Random(seed)  # noqa: S311 - reports, not secrets
        self._lost = lost
        self._owed: list[tuple[float, int, Post]] = []
        self._held: list[tuple[Sent, tuple[Step, ...]]] = []
        self._numbers = count(1)

    def take(self, line: Mapping[str, Any], fields: Mapping[str, Any], now: float) -> None:
        """Owe the reports of a request that was taken at ``now`` (Unix seconds); the rest is as in `sent_messages`."""
        for sent in sent_messages(line, fields, now):
            if not self.callbacks.url_of(sent.channel):
                return
            planned = plan(sent, self.callbacks, self._dice)
            if len(self._owed) + len(self._held) >= LIMIT:
                self.counts["dropped"] += len(planned.steps)
            elif planned.is_held:
                self._held.append((sent, planned.steps))
            else:
                self._owe(sent, planned.steps, now)

    def post(self, post: Post, now: float) -> None:
        """Owe one call at once."""
        self._push(now, post)

    def release(self, wanted: Callable[[Sent], bool], now: float) -> int:
        """Let go of held messages that are wanted: their first reports are due now. Gives how many messages."""
        let_go = [one for one in self._held if wanted(one[0])]
        self._held = [one for one in self._held if not wanted(one[0])]
        for sent, steps in let_go:
            first, *rest = steps
            self._owe(sent, (Step(first.status, 0.0, first.manner), *rest), now)
        return len(let_go)

    def due(self, now: float) -> tuple[list[Post], float | None]:
        """Give what is to be posted now, and when the next is (``None``: nothing is owed)."""
        posts: list[Post] = []
        shared: Post | None = None
        while self._owed and self._owed[0][0] <= now:
            post = heapq.heappop(self._owed)[2]
            joins = post.inbound is None and post.attempt == 1 and is_shared(self.callbacks, post.channel)
            if joins and shared is not None and len(shared.items) < MOST:
                shared.items += post.items
                continue
            posts.append(post)
            shared = post if joins else shared
        return posts, self._owed[0][0] if self._owed else None

    def done(self, post: Post, now: float, *, answered: bool) -> float | None:
        """Go on after a try.

        Returns:
            Seconds until the next try; ``None`` where there is none.
        """
        self.counts["posted" if answered else "failed"] += 1
        if not answered and post.attempt < self.callbacks.tries:
            wait = self.callbacks.retry_after * 2.0 ** (post.attempt - 1)
            post.attempt += 1
            self._push(now + wait, post)
            return wait
        self.counts["given_up"] += not answered
        for item in post.items:
            self._owe(item.report.sent, item.rest, now, before=item.report)
        return None

    def clear(self) -> int:
        """Owe nothing any more; gives how many calls and held messages that were."""
        owed = len(self._owed) + len(self._held)
        self._owed, self._held = [], []
        return owed

    def summary(self) -> dict[str, Any]:
        """Tell how it calls back, what is owed and what was done, as JSON-able values."""
        counts = {name: self.counts[name] for name in ("posted", "failed", "given_up", "lost", "dropped")}
        about = {"settings": self.callbacks.shown(), "secret": bool(self.callbacks.secret)}
        return {**about, "waiting": len(self._owed), "held": len(self._held), **counts}

    def _owe(self, sent: Sent, steps: tuple[Step, ...], now: float, before: Report | None = None) -> None:
        """Owe the first of ``steps`` that is not lost, and with it the rest."""
        for at, step in enumerate(steps):
            moment = now + step.delay
            if "twice" in step.manner and before is not None:
                moment = before.moment  # the same report once more, to the letter
            item = Item(Report(sent, step.status, moment), step.manner, steps[at + 1 :])
            if "lost" not in step.manner:
                self._push(now + step.delay, Post(sent.channel, [item]))
                return
            self.counts["lost"] += 1
            self._lost(item)
            now, before = moment, item.report

    def _push(self, due: float, post: Post) -> None:
        number = next(self._numbers)
        post.number = post.number or number
        heapq.heappush(self._owed, (due, number, post))
        self.changed()
