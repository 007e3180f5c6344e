"""A worker whose claim is switched off: the negative control, which the judgement has to catch."""

from __future__ import annotations

import sys
from typing import Any

from worker import celery_worker
from worker.delivery import Ledger


def claim_everything(_ledger: Ledger, *_: Any, **__: Any) -> dict[int, Any]:
    """Claim whatever is asked for, as if nobody else could have it."""
    return {}


Ledger.claim = claim_everything  # type: ignore[assignment, method-assign]

if __name__ == "__main__":
    sys.exit(celery_worker.main(int(sys.argv[1]), int(sys.argv[2])))
