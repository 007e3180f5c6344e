"""RabbitMQ as the broker, where it is installed: what was told of has arrived."""

from __future__ import annotations

import shutil

import pytest
from celery import Celery

from tests.chaos.link import Link
from tests.chaos.rabbitmq import SERVER, RabbitMQ
from worker.app import QUEUE, configure
from worker.queueing import Queueing

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(180),
    pytest.mark.skipif(not SERVER.exists() or shutil.which("epmd") is None, reason="RabbitMQ is not installed"),
]


def told_through(url: str) -> tuple[Celery, Queueing]:
    """What a worker tells the broker with."""
    app = Celery(set_as_current=False)
    configure(app, url)
    return app, Queueing(app)


def test_no_message_vanishes_into_a_link_that_has_gone_silent() -> None:
    """A connection whose other end is long gone takes what is written to it; a message counts when it is confirmed."""
    with RabbitMQ() as server, Link(server.port) as link:
        linked, queueing = told_through(link.url(server.url))
        direct, looking = told_through(server.url)
        assert queueing.publish("before", QUEUE)
        link.black()
        link.heal(late=False)
        told = sum(queueing.publish(f"after-{number}", QUEUE) for number in range(5))
        assert told > 0
        assert looking.length() == 1 + told
        for one in (queueing, looking):
            one.close()
        linked.close()
        direct.close()
