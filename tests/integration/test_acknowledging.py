"""What we changed of Kombu's Redis transport: failed acknowledgements, and one client for each channel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from kombu.transport import redis as transport

from tests.system import wait_until
from worker import redis_channels
from worker.acknowledging import install
from worker.app import configure
from worker.embedded import EmbeddedValkey

pytestmark = pytest.mark.integration


@pytest.fixture
def valkey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedValkey]:
    """A broker to kill; what is installed is gone after the test."""
    monkeypatch.setattr(transport.Channel, "QoS", transport.QoS)
    monkeypatch.setattr(transport.Channel, "conn_or_acquire", transport.Channel.conn_or_acquire)
    install()
    redis_channels.install()
    with EmbeddedValkey(tmp_path) as made:
        yield made


def test_a_failed_acknowledgement_takes_no_place(valkey: EmbeddedValkey) -> None:
    """A consumer that may have one message at a time gets the next one, though the first was never acknowledged."""
    app = Celery(set_as_current=False)
    configure(app, valkey.url)
    for number in range(2):
        app.send_task("worker.forward_events", args=[number])
    got: list[Any] = []
    with app.connection_for_read() as connection:
        consumer = app.amqp.TaskConsumer(connection, accept=["json"])
        consumer.qos(prefetch_count=1)
        consumer.on_message = got.append
        with consumer:
            wait_until(lambda: connection.drain_events(timeout=5) is None and got, what="the first one")
            valkey.kill()
            with pytest.raises(connection.connection_errors):
                got[0].ack()
            valkey.restart()

            def fetched() -> bool:
                try:
                    connection.drain_events(timeout=1)
                except (TimeoutError, *connection.connection_errors):
                    pass
                return len(got) == 2

            wait_until(fetched, what="the second one")


def test_a_channel_keeps_its_client_as_long_as_its_connections(valkey: EmbeddedValkey) -> None:
    """Every command of a channel goes through one client; after the channel let go of its connections, a new one."""
    app = Celery(set_as_current=False)
    configure(app, valkey.url)
    with app.connection_for_write() as connection:
        channel = connection.channel()

        def client() -> Any:
            with channel.conn_or_acquire() as found:
                return found

        first = client()
        assert client() is first
        with channel.conn_or_acquire("given") as given:
            assert given == "given"
        channel._disconnect_pools()
        assert client() is not first
        assert client().ping()
