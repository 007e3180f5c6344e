"""Producers in real processes: forks, exits, kills, stores that go away, and Celery workers of somebody else."""

from __future__ import annotations

import inspect
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from celery import Celery

from tests.chaos.link import Link
from tests.system import System, many, sends_by_text, wait_until
from worker.app import configure
from worker.delivery import Batches, Schedule, Store, connect, reconcile
from worker.embedded import EmbeddedValkey
from worker.intake.producer import Actions, NotAccepted, Producer, ways

pytestmark = pytest.mark.integration


PAGE = (Path(__file__).parents[2] / "docs" / "producers.md").read_text(encoding="utf-8")


class House:
    """A store that a test may kill, and programs that send events to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.valkey = EmbeddedValkey(folder / "store")

    @property
    def store(self) -> Store:
        """The store."""
        return Store(connect(self.valkey.url))

    def start(self, code: str, **options: Any) -> subprocess.Popen[str]:
        """Start a program; it has ``url`` and ``Producer``."""
        file = self.folder / "program.py"
        head = f"import os, sys, time\nfrom worker.intake.producer import *\nurl = {self.valkey.url!r}\n"
        file.write_text(head + textwrap.dedent(code), encoding="utf-8")
        return subprocess.Popen(
            [sys.executable, str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
        )

    def run(self, code: str, *, status: int = 0) -> tuple[str, str]:
        """Run a program to its end; what it printed, and on standard error."""
        process = self.start(code)
        out, err = process.communicate(timeout=60)
        assert process.returncode == status, err
        return out, err

    def names(self) -> list[str]:
        """The names of the track calls that were accepted, sorted; the identity must hold."""
        store = self.store
        assert reconcile(store).holds
        looks = Batches(store).look([entry.batch_id for entry in Schedule(store).entries(limit=10_000)])
        lines = [line for look in looks if look for line in look.batch.body.split(b"\n")]
        return sorted(orjson.loads(line)["event"] for line in lines)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A store of its own for each test."""
    made = House(tmp_path)
    with made.valkey:
        yield made


def test_events_of_a_producer_are_delivered() -> None:
    """Through the store: accepted, published and delivered at once, each once."""
    with System() as system, Producer(system.valkey.url) as producer:
        for event in many(1200):
            producer.send(event)
        producer.flush(30.0)
        assert system.wait_settled() == {"accepted": 1200}
        assert set(sends_by_text(system.sandbox.requests()).values()) == {1}


def test_events_over_a_broker_are_delivered() -> None:
    """Without a store of its own the producer leaves the events with the broker."""
    with System() as system:
        with Producer(broker_url=system.valkey.url, batch_size=100) as producer:
            for event in many(250):
                producer.send(event)
        wait_until(lambda: system.reconcile().counts.events["received"] == 250, what="all received")
        assert system.wait_settled() == {"accepted": 250}
        assert set(sends_by_text(system.sandbox.requests()).values()) == {1}


def test_a_store_that_goes_away_and_comes_back_has_everything(house: House) -> None:
    """Killed under load and started again: nothing is lost, and what was repeated bears the same id."""
    with Producer(house.valkey.url, max_buffer=500) as producer:
        ids = set()
        sending = threading.Event()

        def send() -> None:
            for number in range(20_000):
                ids.add(producer.track("u1", f"e{number}"))
                if number == 2_000:
                    sending.set()

        thread = threading.Thread(target=send)
        thread.start()
        sending.wait()
        house.valkey.kill()
        wait_until(lambda: producer._engine is not None and producer._engine._error, what="it has noticed")
        house.valkey.restart()
        thread.join()
        producer.flush(30.0)
    assert len(ids) == 20_000
    assert set(house.names()) == {f"e{number}" for number in range(20_000)}


def test_a_link_that_goes_black_loses_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that never answers again is given up; what it had carried is not there twice."""

    def configure_impatiently(app: Celery, url: str, **options: Any) -> None:
        configure(app, url, **options)
        app.conf.broker_transport_options["socket_timeout"] = 0.5

    monkeypatch.setattr(ways, "connect", lambda url: connect(url, timeout=0.5))
    monkeypatch.setattr(ways, "configure", configure_impatiently)
    with Link(house.valkey.port) as link, Producer(link.url(house.valkey.url), batch_size=10) as producer:
        for turn in range(3):
            for number in range(50):
                producer.track("u1", f"{turn}-{number}")
            producer.flush(30.0)
            link.black()
            for number in range(50, 100):
                producer.track("u1", f"{turn}-{number}")
            with pytest.raises(NotAccepted):
                producer.flush(1.0)
            link.heal(late=turn == 1)
            producer.flush(30.0)
    assert house.names() == sorted(f"{turn}-{number}" for turn in range(3) for number in range(100))


def test_a_fork_begins_with_an_empty_buffer(house: House) -> None:
    """A child sends its own events; those in its parent's buffer are the parent's, also when both end."""
    house.run(
        """
        producer = Producer(url, linger=60)
        producer.track("u1", "before")
        producer.flush()
        producer.track("u1", "in the parent's buffer")
        children = []
        for n in range(4):
            pid = os.fork()
            if pid == 0:
                assert producer.pending == 0
                producer.track("u1", f"child {n}")
                sys.exit(0)
            children.append(pid)
        for pid in children:
            assert os.waitpid(pid, 0)[1] == 0
        """
    )
    assert house.names() == sorted(["before", "in the parent's buffer", *(f"child {n}" for n in range(4))])


def test_a_fork_while_other_threads_send_does_not_hang(house: House) -> None:
    """Locks that other threads of the parent held at the moment of the fork do not stop the child."""
    house.run(
        """
        import threading
        producer = Producer(url)
        stop = threading.Event()
        def send():
            while not stop.is_set():
                producer.track("u1", "parent")
        threads = [threading.Thread(target=send) for _ in range(4)]
        [one.start() for one in threads]
        children = []
        for n in range(30):
            pid = os.fork()
            if pid == 0:
                producer.track("u1", "child")
                producer.close(20)
                os._exit(0)
            children.append(pid)
        stop.set()
        [one.join() for one in threads]
        for pid in children:
            assert os.waitpid(pid, 0)[1] == 0
        """
    )
    assert house.names().count("child") == 30


def test_children_of_multiprocessing_are_emptied_at_their_end(house: House) -> None:
    """A child of multiprocessing, which ends without atexit, has its events accepted all the same."""
    house.run(
        """
        import multiprocessing
        producer = Producer(url, linger=60)
        def work(n):
            producer.track("u1", f"child {n}")
        if __name__ == "__main__":
            producer.track("u1", "parent")
            context = multiprocessing.get_context("fork")
            children = [context.Process(target=work, args=(n,)) for n in range(3)]
            [one.start() for one in children]
            [one.join() for one in children]
        """
    )
    assert house.names() == ["child 0", "child 1", "child 2", "parent"]


@pytest.mark.parametrize(("ending", "status"), [("", 0), ("sys.exit(3)", 3), ("raise RuntimeError", 1)])
def test_the_end_of_a_program_empties_the_buffer(house: House, ending: str, status: int) -> None:
    """A program that just ends, however it ends by itself, has its events accepted."""
    house.run(
        f"""
        producer = Producer(url, linger=60)
        for n in range(1000):
            producer.track("u1", "e")
        {ending}
        """,
        status=status,
    )
    assert len(house.names()) == 1000


def test_a_program_that_ends_while_the_store_is_away_says_so(house: House) -> None:
    """The end waits as long as it was told, then says how many events were not accepted."""
    house.valkey.kill()
    _, err = house.run(
        """
        producer = Producer(url, exit_timeout=0.5)
        for n in range(7):
            producer.track("u1", "e")
        """
    )
    assert "7 events are not accepted" in err


def test_kill_takes_only_what_flush_never_confirmed(house: House) -> None:
    """SIGKILL in the middle: every event before a flush that returned is in the store."""
    process = house.start(
        """
        producer = Producer(url, batch_size=20)
        for n in range(1_000_000):
            producer.track("u1", f"e{n}")
            if n % 50 == 49:
                producer.flush()
                print(n, flush=True)
        """
    )
    assert process.stdout is not None
    confirmed = -1
    for line in process.stdout:
        confirmed = int(line)
        if confirmed > 2_000:
            break
    process.send_signal(signal.SIGKILL)
    confirmed = max([confirmed, *(int(line) for line in process.stdout.read().split("\n")[:-1])])
    process.wait()
    names = house.names()
    assert {f"e{n}" for n in range(confirmed + 1)} <= set(names)
    assert len(names) == len(set(names))


CELERY_APP = """
import os
from celery import Celery
from worker.intake.producer import Producer

app = Celery("shop", broker=os.environ["SHOP_BROKER"])
app.conf.worker_hijack_root_logger = False
producer = Producer(os.environ["SHOP_STORE"], linger=600)

@app.task
def order(number):
    producer.track("u1", f"order {number}")
    with open(os.environ["SHOP_DONE"], "a") as done:
        done.write(f"{os.getpid()}\\n")
"""


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_the_end_of_a_celery_worker_empties_the_buffer(house: House, tmp_path: Path, pool: str) -> None:
    """Tasks of somebody else's Celery application send events; when their worker ends, all are accepted.

    Nothing but the end of the worker can send them: they linger for ten minutes.
    """
    (tmp_path / "shop.py").write_text(CELERY_APP, encoding="utf-8")
    done = tmp_path / "done"
    done.touch()
    environ = {
        **os.environ,
        "SHOP_BROKER": house.valkey.url,
        "SHOP_STORE": house.valkey.url,
        "SHOP_DONE": str(done),
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])]),
    }
    with (tmp_path / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "shop", "worker", f"--pool={pool}", "--concurrency=2"],
            env=environ,
            cwd=tmp_path,
            stdout=log,
            stderr=log,
        )
        try:
            shop = Celery("shop", broker=house.valkey.url, set_as_current=False)
            for number in range(20):
                shop.send_task("shop.order", args=[number])
            wait_until(lambda: len(done.read_text().split()) == 20, what="all tasks have run")
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(40) == 0
        finally:
            worker.kill()
            worker.wait()
            shop.close()
    assert house.names() == sorted(f"order {number}" for number in range(20)), (tmp_path / "worker.log").read_text()


def test_actions_are_performed_once() -> None:
    """What is handed over is sent, what is handed over twice is sent once, and what is wrong is rejected."""
    template = "65f0a1b2c3d4e5f607182930"
    with System(destination={"otp": {"template_id": template}}) as system:
        with Actions(system.valkey.url, destination="msg91") as actions:
            text = {"phone": "+919812345678", "message": "Your table is ready", "senderID": "MSGIND"}
            for _ in range(2):
                assert actions.perform("send_sms", text, message_id="table-12") == ["table-12"]
            many = [{**text, "phone": f"+91981234567{n}", "message": f"table {n}"} for n in range(3)]
            assert actions.perform("send_sms", *many, message_id="t") == ["t-0", "t-1", "t-2"]
            actions.perform("send_otp", {"phone": "+919812345678", "otp": "4711", "otpExpiry": 5})
            actions.perform("send_sms", {**text, "phone": "12"})
        assert system.wait_settled() == {"accepted": 5, "rejected": 1}
        kinds = [(one["kind"], len(one["messages"])) for one in system.sandbox.requests() if one["taken"]]
        assert sorted(kinds) == [("otp", 1), ("sms", 1), ("sms", 3)]


def test_a_fork_performs_actions_of_its_own(house: House) -> None:
    """Parent and child hand over by connections of their own, and all of it is accepted."""
    out, _ = house.run(
        """
        actions = Actions(url, destination="msg91")
        actions.perform("send_sms", {"message": "before"})
        child = os.fork()
        actions.perform("send_sms", {"message": "child" if child == 0 else "parent"})
        if child == 0:
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        actions.perform("send_sms", {"message": "after"})
        print("done")
        """
    )
    assert out == "done\n"
    looks = Batches(house.store).look([entry.batch_id for entry in Schedule(house.store).entries(limit=100)])
    lines = [orjson.loads(line) for look in looks if look for line in look.batch.body.split(b"\n")]
    assert sorted(line["payload"]["message"] for line in lines) == ["after", "before", "child", "parent"]


def test_actions_that_the_store_does_not_take_raise(house: House) -> None:
    """Nothing is buffered: the caller hears of it, and has what was not accepted."""
    with Actions(house.valkey.url, destination="msg91") as actions:
        house.valkey.stop()
        with pytest.raises(NotAccepted) as caught:
            actions.perform("send_otp", {"phone": "1", "otp": "4711"}, message_id="login-1")
    assert [one["messageId"] for one in caught.value.events] == ["login-1"]
    assert "4711" not in str(caught.value)


def test_digits_are_sealed_before_they_are_written(house: House) -> None:
    """Nothing in the store shows a one-time password."""
    with Actions(house.valkey.url, destination="msg91") as actions:
        actions.perform("send_otp", {"phone": "+919812345678", "otp": "471147"})
    client = house.store.client
    for key in client.scan_iter("*batch*"):
        if client.type(key) == b"hash":
            assert b"471147" not in b"".join(client.hgetall(key).values())
    assert any(client.scan_iter("*batch*"))


def test_the_page_about_producers_is_true() -> None:
    """What the page shows works as it stands."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 4
    with System() as system:
        shown: dict[str, Any] = {}
        for block in blocks:
            text = block.replace("redis://127.0.0.1:6379/0", system.valkey.url).replace("10_000", "10")
            before = shown.get("producer")
            exec(text, shown)
            if isinstance(before, Producer):
                before.close()
        wait_until(lambda: system.reconcile().counts.events["received"] == 13, what="all received")
        assert system.wait_settled() == {"accepted": 3, "rejected": 10}
        shown["app"].close()


def test_the_page_finds_the_store_of_up(tmp_path: Path) -> None:
    """What the page says about the embedded store gives its address."""
    (block,) = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    with EmbeddedValkey(tmp_path / "data") as valkey:
        script = block + 'printf %s "$REDIS_URL"'
        found = subprocess.run(["bash", "-euc", script], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert found.stdout == valkey.url


def test_the_page_names_every_argument() -> None:
    """The table of the page is the signature of the class, in its order, with its defaults."""
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", PAGE, re.MULTILINE)
    signature = inspect.signature(Producer).parameters.values()
    assert [name for name, _ in rows] == [one.name for one in signature]
    special = {"broker_url": "the store", "namespace": "`msg91`", "destination": '`""`'}
    for (name, shown), one in zip(rows, signature, strict=True):
        default = "\N{EN DASH}" if one.default is None else f"`{one.default}`"
        assert shown == special.get(name, default)
