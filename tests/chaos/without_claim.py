"""A worker whose claim is switched off: the negative control, which the judgement has to catch."""

from __future__ import annotations

import sys
from typing import Any

from worker import celery_worker
from worker.delivery import Call, Ledger

_blocked = Ledger.blocked


def nothing_is_blocked(call: Call) -> dict[int, Any]:
    """Claim, and take no for a yes: everything else is as it should be, so that only this can be caught."""
    _blocked(call)
    return {}


Ledger.blocked = staticmethod(nothing_is_blocked)  # type: ignore[assignment, method-assign]

if __name__ == "__main__":
    sys.exit(celery_worker.main(int(sys.argv[1]), int(sys.argv[2])))
