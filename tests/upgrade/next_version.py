"""A worker of a version to come: it reads and writes one format more, in which kept deliveries look different.

``python -m tests.upgrade.next_version CONCURRENCY NUMBER``, as ``worker.celery_worker``. What it adds to a claim is
there from the start, since the present version leaves out what it does not know. The new form of what is kept would
break the present version: it is written only when the store has moved on.
"""

from __future__ import annotations

import sys
from typing import Any

import orjson

from worker import celery_worker, deliveries, process
from worker.deliveries import Delivery
from worker.delivery import FORMAT, Ledger, Store

NEXT = FORMAT + 1
#: What marks the new form.
MARK = "form"

_claiming, _as_kept, _restore = Ledger.claiming, Delivery.as_kept, deliveries.restore


def claiming(ledger: Ledger, *slips: Any, items: bytes, **named: Any) -> Any:
    """Remember one thing more of each delivery."""
    batch_id, *rows = orjson.loads(items)
    return _claiming(ledger, *slips, items=orjson.dumps([batch_id, *[[*row, "more"] for row in rows]]), **named)


def as_kept(delivery: Delivery) -> dict[str, Any]:
    """The new form, where everybody can read it."""
    old = _as_kept(delivery)
    if process.current().runtime.core.store.format < NEXT:
        return old
    return {MARK: NEXT, "fields": [[name, value] for name, value in old.items()]}


def restore(kept: dict[str, Any]) -> Delivery:
    """Both forms."""
    return _restore(dict(kept["fields"]) if kept.get(MARK) == NEXT else kept)


def become() -> None:
    """Be that version from now on, in this process."""
    Store.newest = NEXT
    Ledger.claiming = claiming  # type: ignore[assignment, method-assign]
    Delivery.as_kept = as_kept  # type: ignore[method-assign]
    deliveries.restore = restore


if __name__ == "__main__":
    become()
    sys.exit(celery_worker.main(int(sys.argv[1]), int(sys.argv[2])))
