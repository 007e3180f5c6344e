"""What a delivery costs in the store's memory, by kind of key.

``python -m benchmarks.memory --deliveries 200000``: claims and settles that many deliveries on the embedded Valkey, as
a worker does, and looks at what is left of them. `docs/guarantees.md` gives the figures.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from typing import Any
from uuid import UUID

import orjson

from worker.delivery import (
    Expectation,
    Ledger,
    Outcome,
    Retention,
    Slip,
    State,
    Store,
    connect,
    delivery_key,
    new_id,
)
from worker.embedded import EmbeddedValkey
from worker.settings import Settings

ABOUT = "msg91|send_sms"
#: Keys whose size is asked for at a time.
PAGE = 2_000


def run(*, deliveries: int, recipients: int, journal: int) -> dict[str, Any]:
    """Claim and settle deliveries as accepted; gives bytes by kind of key.

    Args:
        deliveries: How many.
        recipients: How many share a request.
        journal: Entries that the journal may have.
    """
    with EmbeddedValkey() as valkey:
        store = Store(connect(valkey.url))
        store.open()
        before = used(store)
        ledger = Ledger(store, Retention(journal=journal))
        for start in range(0, deliveries, recipients):
            send(ledger, [slip(number) for number in range(start, min(start + recipients, deliveries))])
        return {
            "server": store.client.info("server").get("valkey_version", "?"),
            "deliveries": deliveries,
            "recipients": recipients,
            "used": used(store) - before,
            "kinds": by_kind(store),
            "journal_entries": store.client.xlen(store.keys.journal),
            "journal_deliveries": store.client.xlen(store.keys.journal) * recipients,
        }


def slip(number: int) -> Slip:
    """A delivery with a ``messageId`` like those of Segment's clients."""
    message_id = str(UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128))
    return Slip(delivery_key("msg91", message_id, "track"), message_id, "track", str(919_000_000_000 + number))


def send(ledger: Ledger, slips: list[Slip]) -> None:
    """One request from its claim to its settlement."""
    token = new_id()
    items = orjson.dumps([[one.key, one.message_id, one.mapping, one.recipient] for one in slips])
    blocked = ledger.claim(
        slips,
        token=token,
        lease_end_ms=ledger.store.now_ms() + 60_000,
        origin=token[:8],
        from_batch="",
        about=ABOUT,
        items=items,
    )
    refused = ledger.settle(
        slips,
        [Outcome(State.ACCEPTED)] * len(slips),
        expect=Expectation("si", token),
        about=ABOUT,
        token=token,
        request_id=f"{token}{token[:8]}",
        journal={"status": 200, "code": None, "request_id": f"{token}{token[:8]}", "elapsed_ms": 120},
    )
    if blocked or refused:
        msg = "a delivery was there already: the figures would be wrong"
        raise RuntimeError(msg)


def used(store: Store) -> int:
    """Bytes that the server has allocated."""
    return int(store.client.info("memory")["used_memory"])


def by_kind(store: Store) -> dict[str, tuple[int, int]]:
    """Keys and their bytes, by the first part of their names."""
    client, prefix = store.client, store.keys.prefix
    keys: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    cursor = -1
    while cursor != 0:
        page: Any = client.scan(max(cursor, 0), match=f"{prefix}*", count=PAGE)
        cursor, found = page
        pipe = client.pipeline(transaction=False)
        for name in found:
            pipe.memory_usage(name, samples=0)
        for name, size in zip(found, pipe.execute(), strict=True):
            kind = name.decode().removeprefix(prefix).partition(":")[0]
            keys[kind] += 1
            sizes[kind] += size or 0
    return {kind: (keys[kind], sizes[kind]) for kind in keys}


def show(found: dict[str, Any]) -> None:
    """The table for people."""
    names = {"d": "records", "req": "request index", "rid": "MSG91's request ids", "journal": "journal (bounded)"}
    count = found["deliveries"]
    print(f"Valkey {found['server']}: {count:,} deliveries, {found['recipients']} in a request")
    print(f"{'':24}{'keys':>10}{'bytes':>14}{'a delivery':>12}")
    rest = found["used"]
    bounded = 0
    for kind, (keys, size) in sorted(found["kinds"].items(), key=lambda one: -one[1][1]):
        rest -= size
        bounded += size if kind == "journal" else 0
        print(f"{names.get(kind, kind):24}{keys:>10,}{size:>14,}{size / count:>12.1f}")
    print(f"{'hash tables':24}{'':>10}{rest:>14,}{rest / count:>12.1f}")
    print(f"{'all':24}{'':>10}{found['used']:>14,}{found['used'] / count:>12.1f}")
    settled = (found["used"] - bounded) / count
    entries = found["journal_entries"]
    print(f"a settled delivery takes {settled:.0f} bytes besides the journal;")
    print(f"the journal has {entries:,} entries of {bounded / max(1, entries):,.0f} bytes each")


def main() -> int:
    """Measure and show."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__.split("\n")[0])
    parser.add_argument("--deliveries", type=int, default=200_000)
    parser.add_argument("--recipients", type=int, default=100, help="deliveries in a request")
    parser.add_argument("--journal", type=int, default=Settings().journal_length, help="entries of the journal")
    options = parser.parse_args()
    show(run(deliveries=options.deliveries, recipients=options.recipients, journal=options.journal))
    return 0


if __name__ == "__main__":
    sys.exit(main())
