"""`send` killed at any point, again and again: every event of the file reaches MSG91 once."""

from __future__ import annotations

import gzip
import random
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

from tests.system import System, sends_by_text, sms
from worker.delivery import read_counts
from worker.operations.schedule import hurry_all

pytestmark = pytest.mark.integration

EVENTS = 1_200


def content(seed: random.Random) -> list[bytes]:
    """Events with and without ids, and some lines that are no events."""
    lines = []
    for number in range(EVENTS):
        event = sms(919000000000 + number, f"own-{number}", f"text {number}")
        if number % 3:
            del event["messageId"]
        lines.append(orjson.dumps(event))
        if seed.random() < 0.01:
            lines.append(b"no event %d" % number)
    return lines


@pytest.mark.parametrize("packed", [False, True])
def test_a_send_that_is_killed_at_random_points_sends_everything_once(tmp_path: Path, packed: bool) -> None:
    """Whenever the kills fall: run again until it ends, every text was sent once, and no line is refused twice."""
    seed = random.Random(packed)
    lines = content(seed)
    path = tmp_path / ("events.ndjson.gz" if packed else "events.ndjson")
    path.write_bytes((gzip.compress if packed else bytes)(b"\n".join(lines)))
    refused = tmp_path / "refused.ndjson"
    with System(workers=1) as system:
        arguments = ["send", "--batch-size", "5", "--refused", str(refused), str(path)]
        kills = 0
        while True:
            process = subprocess.Popen(
                [sys.executable, "-m", "worker.cli.main", *arguments],
                cwd=tmp_path,
                env=system.environ,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            if kills < 5:
                goal = read_counts(system.core.store).events["received"] + seed.randrange(EVENTS // 10)
                while process.poll() is None and read_counts(system.core.store).events["received"] < goal:
                    time.sleep(0.002)
                process.kill()
                kills += process.poll() is None or process.wait() < 0
            _, err = process.communicate(timeout=60)
            if process.returncode >= 0:
                break
        assert kills >= 3
        assert process.returncode == 1, err
        assert b"goes on after line" in err
        # A batch that nobody was told of waits 15 s for the schedule; nobody needs to wait with it.
        hurry_all(system.core, by="test")
        system.wait_settled()
        sent = sends_by_text(system.sandbox.requests())
        assert set(sent.values()) == {1}
        assert len(sent) == EVENTS
        assert system.reconcile().holds
        bad = [line for line in refused.read_bytes().splitlines() if not line.startswith(b"# refused: ")]
        assert bad == [line for line in lines if line.startswith(b"no event")]
        assert list((tmp_path / "data").glob("send/*")) == []
