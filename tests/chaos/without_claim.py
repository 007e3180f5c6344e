"""A worker whose claim is switched off: the negative control, which the judgement has to catch."""

from __future__ import annotations

import sys
from typing import Any

from worker import celery_worker
from worker.delivery import Ledger

_claim = Ledger.claim


def claim_everything(ledger: Ledger, *slips: Any, **named: Any) -> dict[int, Any]:
    """Claim, and take no for a yes: everything else is as it should be, so that only this can be caught."""
    _claim(ledger, *slips, **named)
    return {}


Ledger.claim = claim_everything  # type: ignore[assignment, method-assign]

if __name__ == "__main__":
    sys.exit(celery_worker.main(int(sys.argv[1]), int(sys.argv[2])))
