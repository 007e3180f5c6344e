"""The MSG91 HTTP API: client, answers, phone numbers, message text. Knows nothing of what uses it."""

from worker.msg91.errors import Msg91Error

__all__ = ["Msg91Error"]
