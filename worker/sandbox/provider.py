"""MSG91 as seen from outside: which paths it has, whom it lets in, what it remembers.

`Provider.judge` changes nothing and `Provider.take` remembers, so that a fault may stand between the two.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hmac import compare_digest
from itertools import count
from random import SystemRandom
from typing import Final

from worker.sandbox import campaigns, otp, templates
from worker.sandbox.answers import HTML, Envelope, Reply, authkey_error, route_missing
from worker.sandbox.calls import Call, Kind, Verdict, refuse
from worker.sandbox.segmento import Phonebooks, judge_contact, judge_events, judge_lists
from worker.sandbox.sms import judge_flow, judge_sendsms, refuse_template
from worker.sandbox.whatsapp import WhatsApp
from worker.sandbox.whatsapp import judge as judge_whatsapp
from worker.sandbox.whatsapp import route as whatsapp_route

#: A template id that no account has.
UNKNOWN_TEMPLATE: Final = "0" * 24

_PATHS: Final[dict[tuple[str, str], Kind]] = {
    ("POST", "/api/v2/sendsms"): Kind.SMS,
    ("POST", "/api/v5/flow"): Kind.FLOW,
    ("POST", "/api/v5/flow/"): Kind.FLOW,
    ("GET", "/api/balance.php"): Kind.BALANCE,
    ("POST", "/api/v5/segmento/api/v1/events"): Kind.EVENTS,
    ("POST", "/api/v5/segmento/events"): Kind.EVENTS,
}
_PHONEBOOK: Final = re.compile(r"/api/v5/segmento/api/v1/phonebooks/([^/]+)/(contacts|events)")
_EVENT_LISTS: Final = re.compile(r"/api/v5/segmento/api/v1/phonebooks/[^/]+/(event-types|failed-events)/?")

_ENVELOPES: Final[dict[Kind, Envelope]] = {
    Kind.SMS: Envelope.SMS,
    Kind.FLOW: Envelope.SMS,
    Kind.OTP: Envelope.SMS,
    Kind.OTP_VERIFY: Envelope.SMS,
    Kind.OTP_RESEND: Envelope.SMS,
    Kind.TEMPLATES: Envelope.SMS,
    Kind.EVENT_LISTS: Envelope.SERVICE,
    Kind.CAMPAIGN: Envelope.SERVICE,
    Kind.CAMPAIGN_LISTS: Envelope.SERVICE,
    Kind.BALANCE: Envelope.LEGACY,
    Kind.EVENTS: Envelope.SERVICE,
    Kind.CONTACTS: Envelope.SERVICE,
    Kind.WHATSAPP: Envelope.SERVICE,
    Kind.WHATSAPP_LISTS: Envelope.SERVICE,
    Kind.WHATSAPP_PANEL: Envelope.SERVICE,
    Kind.UNKNOWN: Envelope.NONE,
}
_OTPS: Final = frozenset({Kind.OTP, Kind.OTP_VERIFY, Kind.OTP_RESEND})
_CAMPAIGNS: Final = frozenset({Kind.CAMPAIGN, Kind.CAMPAIGN_LISTS})
_WHATSAPP: Final = frozenset({Kind.WHATSAPP, Kind.WHATSAPP_LISTS, Kind.WHATSAPP_PANEL})


class Provider:
    """The account at MSG91 that a sandbox plays.

    Args:
        authkeys: The keys it takes.
        templates: The template ids it knows; ``None`` takes every id of 24 hexadecimal digits.
        unknown_templates: Template ids it never knows.
        duplicate_window: Seconds in which an identical request is refused with code 311; 0 never refuses.
    """

    def __init__(
        self,
        *,
        authkeys: Iterable[str],
        templates: Iterable[str] | None = None,
        unknown_templates: Iterable[str] = (),
        duplicate_window: float = 10.0,
    ) -> None:
        self.phonebooks = Phonebooks()
        self.whatsapp = WhatsApp()
        self.otps = otp.Otps()
        self.templates: frozenset[str] | None = None if templates is None else frozenset(templates)
        self._authkeys = tuple(key.encode() for key in authkeys)
        self._unknown_templates = frozenset(unknown_templates) | {UNKNOWN_TEMPLATE}
        self._window = duplicate_window
        self._taken: dict[bytes, float] = {}  # fingerprint → when; oldest first
        # Random, so that a restarted sandbox never gives an id twice; the counter follows it.
        self._request_prefix = f"{SystemRandom().getrandbits(56):014x}"
        self._request_numbers = count(1)

    def judge(self, call: Call, now: float) -> Verdict:
        """Say what MSG91 would make of ``call`` at ``now`` (seconds), remembering nothing."""
        kind, phonebook = _route(call)
        envelope = _ENVELOPES[kind]
        if kind is Kind.UNKNOWN:
            return Verdict(kind, envelope, route_missing())
        if kind is Kind.FLOW:
            refusal = refuse_template(call, self.templates, self._unknown_templates)
            if refusal is not None:
                return refusal
        if kind is Kind.OTP:
            refusal = otp.refuse_otp_template(call, self.templates, self._unknown_templates)
            if refusal is not None:
                return refusal
        key = call.headers.get("authkey") or call.query.get("authkey")
        if not key or not self._is_known(key):
            legacy = kind in {Kind.SMS, Kind.BALANCE}
            return Verdict(kind, envelope, authkey_error(envelope, missing=not key, legacy_codes=legacy))
        verdict = self._judge_known(kind, call, phonebook, now)
        if verdict.fingerprint is not None and self._is_repeated(verdict.fingerprint, now):
            return refuse(kind, envelope, "311", messages=verdict.messages)
        return verdict

    def take(self, verdict: Verdict, now: float) -> None:
        """Remember a request that was taken at ``now`` (seconds)."""
        if verdict.contact is not None:
            self.phonebooks.add(*verdict.contact)
        if verdict.effect is not None:
            verdict.effect()
        if verdict.fingerprint is not None and self._window:
            self._forget_before(now - self._window)
            self._taken.pop(verdict.fingerprint, None)
            self._taken[verdict.fingerprint] = now

    def _judge_known(self, kind: Kind, call: Call, phonebook: str | None, now: float) -> Verdict:
        if kind is Kind.TEMPLATES:
            return templates.judge(call, self.templates)
        if kind is Kind.EVENT_LISTS:
            return judge_lists(call, self.phonebooks)
        if kind in _CAMPAIGNS:
            return campaigns.judge(call, now)
        if kind is Kind.BALANCE:
            return Verdict(kind, Envelope.LEGACY, Reply(200, b"100000", HTML))
        request_id = self._next_request_id()
        if kind in _OTPS:
            return otp.judge(kind, call, self.otps, request_id, now)
        if kind in _WHATSAPP:
            return judge_whatsapp(call, self.whatsapp, request_id)
        if kind is Kind.SMS:
            return judge_sendsms(call, request_id)
        if kind is Kind.FLOW:
            return judge_flow(call, request_id)
        if kind is Kind.CONTACTS and phonebook is not None:
            return judge_contact(call, phonebook, request_id)
        return judge_events(call, phonebook, self.phonebooks, request_id, now)

    def _is_known(self, key: str) -> bool:
        given = key.encode("utf-8", "replace")
        return any(compare_digest(given, known) for known in self._authkeys)

    def _is_repeated(self, fingerprint: bytes, now: float) -> bool:
        taken = self._taken.get(fingerprint)
        return taken is not None and now - taken < self._window

    def _forget_before(self, moment: float) -> None:
        while self._taken:
            oldest = next(iter(self._taken))
            if self._taken[oldest] >= moment:
                return
            del self._taken[oldest]

    def _next_request_id(self) -> str:
        return f"{self._request_prefix}{next(self._request_numbers):010x}"


def _route(call: Call) -> tuple[Kind, str | None]:
    kind = _PATHS.get((call.method, call.path))
    kind = kind or whatsapp_route(call) or otp.route(call) or campaigns.route(call) or templates.route(call)
    if kind is None and call.method == "GET" and _EVENT_LISTS.fullmatch(call.path):
        kind = Kind.EVENT_LISTS
    if kind is not None:
        return kind, None
    match = _PHONEBOOK.fullmatch(call.path) if call.method == "POST" else None
    if match is None:
        return Kind.UNKNOWN, None
    return (Kind.CONTACTS if match[2] == "contacts" else Kind.EVENTS), match[1]
