"""Which reports are owed, when, and in what order: dice and time are given."""

from __future__ import annotations

from typing import Any

import pytest

from worker.sandbox.callbacks import outbox as outbox_module
from worker.sandbox.callbacks.outbox import Item, Outbox, Post
from worker.sandbox.callbacks.settings import read_callbacks
from worker.sandbox.magic import MAGIC, REPORTS

TO = "to=http://127.0.0.1/x"
A = "919812345678"


class Owed:
    """An outbox, its lost reports, and a clock that is moved by hand."""

    def __init__(self, *settings: str, seed: int = 1) -> None:
        self.lost: list[Item] = []
        self.outbox = Outbox(read_callbacks([TO, *settings]), seed, self.lost.append)

    def take(self, *numbers: str, kind: str = "sms", now: float = 0.0, **changed: Any) -> None:
        """Take one request to these numbers."""
        line = {
            "kind": kind,
            "taken": True,
            "request_id": "req-1",
            "correlation": {"CRQID": "tok"},
            "messages": [{"to": number, "text": "Hello"} for number in numbers or (A,)],
            **changed,
        }
        self.outbox.take(line, {"sender": "SEGMNT"}, now)

    def all(self, *, answered: bool = True) -> list[tuple[float, str, tuple[str, ...]]]:
        """Post until nothing is owed: when, which status, in what manner."""
        seen: list[tuple[float, str, tuple[str, ...]]] = []
        now = 0.0
        while True:
            posts, _ = self.outbox.due(now)
            for post in posts:
                seen += [(now, item.report.status.name, item.manner) for item in post.items]
                self.outbox.done(post, now, answered=answered)
            _, next_due = self.outbox.due(-1.0)
            if next_due is None:
                return seen
            now = next_due


def test_a_report_comes_after_its_delay() -> None:
    """Nothing is due before, and the time it says is the time it was due."""
    owed = Owed("delay=2")
    owed.take(now=10.0)
    assert owed.outbox.due(11.9) == ([], 12.0)
    ((post,), _) = owed.outbox.due(12.0)
    assert (post.items[0].report.moment, post.items[0].report.sent.correlation) == (12.0, {"CRQID": "tok"})


def test_whatsapp_is_sent_delivered_and_read_in_turn() -> None:
    """The next report of a message is owed only once the one before has been answered."""
    owed = Owed("delay=1")
    owed.take(kind="whatsapp")
    ((first,), due) = owed.outbox.due(1.0)
    assert (first.items[0].report.status.name, due) == ("sent", None)
    owed.outbox.done(first, 5.0, answered=True)
    assert owed.outbox.due(5.0) == ([], 6.0)
    assert [name for _, name, _ in owed.all()] == ["delivered", "read"]


def test_a_failed_whatsapp_message_is_never_read() -> None:
    """It is sent, and then it fails."""
    owed = Owed("status=failed", "delay=0")
    owed.take(kind="whatsapp")
    assert [name for _, name, _ in owed.all()] == ["sent", "failed"]


def test_one_call_of_v2_carries_what_is_due_together() -> None:
    """Numbers of two requests share a call; what is due later has another."""
    owed = Owed("format=v2", "delay=1")
    owed.take(A, "919812345679")
    owed.take(A, request_id="req-2")
    owed.take(A, now=5.0, request_id="req-3")
    (posts, due) = owed.outbox.due(1.0)
    assert [len(post.items) for post in posts] == [3]
    assert due == 6.0


def test_no_call_grows_beyond_its_limit() -> None:
    """A thousand reports at once are ten calls."""
    owed = Owed("format=v2", "delay=0")
    owed.take(*(f"9198{n:08d}" for n in range(1000)))
    assert [len(post.items) for post in owed.outbox.due(0.0)[0]] == [100] * 10


@pytest.mark.parametrize(
    ("setting", "seen"),
    [
        ("lost=1", []),
        ("late=1", [(31.0, "delivered", ("late",))]),
        ("twice=1", [(1.0, "delivered", ()), (1.0, "delivered", ("twice",))]),
        ("status=dnd", [(1.0, "dnd", ())]),
    ],
)
def test_reports_come_in_every_manner(setting: str, seen: list[Any]) -> None:
    """Lost, late, twice, or with another end."""
    owed = Owed("delay=1", setting)
    owed.take()
    assert owed.all() == seen
    assert owed.outbox.summary()["lost"] == len(owed.lost) == (setting == "lost=1")


def test_a_report_that_comes_twice_is_the_same_to_the_letter() -> None:
    """A receiver can tell by nothing that it is a repeat."""
    owed = Owed("delay=1", "twice=1")
    owed.take()
    ((first,), _) = owed.outbox.due(1.0)
    owed.outbox.done(first, 7.0, answered=True)
    ((second,), _) = owed.outbox.due(7.0)
    callbacks = owed.outbox.callbacks
    assert first.body(callbacks).encoded() == second.body(callbacks).encoded()


def test_disorder_is_read_before_delivered_before_sent() -> None:
    """The order is the reverse of what happened."""
    owed = Owed("delay=1", "disorder=1")
    owed.take(kind="whatsapp")
    assert [(name, manner) for _, name, manner in owed.all()] == [
        ("read", ("disorder",)),
        ("delivered", ("disorder",)),
        ("sent", ("disorder",)),
    ]


def test_a_lost_report_does_not_take_the_next_with_it() -> None:
    """Each report is lost for itself, and the rest of its message still come."""
    owed = Owed("delay=0", "lost=0.5", seed=3)
    for number in range(50):
        owed.take(f"9198123456{number:02d}", kind="whatsapp")
    seen = owed.all()
    assert len(seen) + len(owed.lost) == 150
    assert 40 < len(owed.lost) < 110


def test_shares_of_statuses_are_kept() -> None:
    """Of a thousand messages about one in ten fails."""
    owed = Owed("delay=0", "status=delivered:9/failed:1")
    owed.take(*(f"9198{n:08d}" for n in range(1000)))
    assert 60 < [name for _, name, _ in owed.all()].count("failed") < 140


def test_a_seed_rolls_the_same_dice() -> None:
    """Two sandboxes with one seed report the same."""
    runs = []
    for _ in range(2):
        owed = Owed("delay=0-5", "late=0.3", "twice=0.3", "status=delivered/failed/dnd", seed=7)
        owed.take(*(f"9198{n:08d}" for n in range(50)))
        runs.append(owed.all())
    assert runs[0] == runs[1]


@pytest.mark.parametrize(("number", "what"), REPORTS.items())
def test_a_number_decides_for_its_own_message_alone(number: str, what: str) -> None:
    """Each number of area code 207 has its outcome or manner; a neighbour in the request has none of it."""
    owed = Owed("delay=1", "whatsapp-format=status")
    owed.take(number, A, kind="whatsapp")
    seen = owed.all()
    mine = {
        "lost": [],
        "held": [],
        "late": ["sent", "delivered", "read"],
        "twice": ["sent", "sent", "delivered", "delivered", "read", "read"],
        "disorder": ["read", "delivered", "sent"],
        "delivered": ["sent", "delivered", "read"],
    }.get(what, ["sent", what])
    assert sorted(name for _, name, _ in seen) == sorted([*mine, "sent", "delivered", "read"])
    assert owed.outbox.summary()["held"] == (what == "held")
    assert (number in MAGIC) is False


def test_held_reports_wait_until_they_are_let_go() -> None:
    """Of one message alone, or all; the first comes at once."""
    owed = Owed("hold=yes", "delay=9")
    owed.take(A, "919812345679")
    assert owed.outbox.due(1e9) == ([], None)
    assert owed.outbox.release(lambda sent: sent.number == A, 50.0) == 1
    ((post,), _) = owed.outbox.due(50.0)
    assert post.items[0].report.sent.number == A
    assert owed.outbox.release(lambda sent: True, 60.0) == 1
    assert owed.outbox.summary()["held"] == 0


def test_a_call_that_nobody_takes_is_tried_a_few_times() -> None:
    """The waits double; then it is given up, and the next report of its message has its turn."""
    owed = Owed("delay=0", "tries=3", "retry-after=1")
    owed.take(kind="whatsapp")
    times = [(now, name) for now, name, _ in owed.all(answered=False)]
    assert times[:4] == [(0.0, "sent"), (1.0, "sent"), (3.0, "sent"), (3.0, "delivered")]
    summary = owed.outbox.summary()
    assert (summary["failed"], summary["given_up"], summary["posted"]) == (9, 3, 0)


def test_a_call_that_is_tried_again_is_not_mixed_with_others() -> None:
    """What joined the first try stays together, and nothing joins it later."""
    owed = Owed("format=v2", "delay=0", "retry-after=1")
    owed.take()
    ((first,), _) = owed.outbox.due(0.0)
    owed.outbox.done(first, 0.0, answered=False)
    owed.take(now=1.0, request_id="req-2")
    posts, _ = owed.outbox.due(1.0)
    assert sorted((post.attempt, len(post.items)) for post in posts) == [(1, 1), (2, 1)]


@pytest.mark.parametrize(
    "changed",
    [
        {"taken": False},
        {"kind": "otp-resend", "request_id": None},
        {"kind": "campaign"},
        {"kind": "events"},
        {"kind": "contacts"},
    ],
)
def test_nothing_is_reported_of_what_is_no_message(changed: dict[str, Any]) -> None:
    """What was refused, is no message, or has no known channel."""
    owed = Owed("delay=0")
    owed.take(**changed)
    assert owed.all() == []


def test_a_channel_without_an_address_owes_nothing() -> None:
    """Only SMS is reported where only SMS has a webhook."""
    owed = Owed("delay=0")
    owed.outbox.callbacks = read_callbacks(["sms=http://127.0.0.1/x", "delay=0"])
    owed.take(kind="whatsapp")
    owed.take()
    assert [name for _, name, _ in owed.all()] == ["delivered"]


def test_no_report_has_the_digits_of_a_one_time_password() -> None:
    """The text of a one-time password is left out, in every shape."""
    owed = Owed("delay=0", "format=new")
    owed.take(kind="otp", messages=[{"to": A, "text": "otp 4711"}])
    ((post,), _) = owed.outbox.due(0.0)
    assert b"4711" not in post.body(owed.outbox.callbacks).encoded()


def test_what_is_owed_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it reports are dropped and counted: memory is not unbounded."""
    monkeypatch.setattr(outbox_module, "LIMIT", 3)
    owed = Owed()
    owed.take(*(f"9198{n:08d}" for n in range(5)))
    summary = owed.outbox.summary()
    assert (summary["waiting"], summary["dropped"]) == (3, 2)
    assert owed.outbox.clear() == 3
    assert owed.outbox.due(1e9) == ([], None)


def test_something_new_wakes_who_waits() -> None:
    """The poster is told when anything is owed."""
    owed, woken = Owed(), []
    owed.outbox.changed = lambda: woken.append(1)
    owed.take()
    owed.outbox.post(Post(owed.outbox.due(1.0)[0][0].channel), 0.0)
    assert len(woken) == 2
