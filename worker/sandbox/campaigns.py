"""What MSG91's campaign service makes of a request, as its source of 2022 does.

A refusal comes with status 200 and its sentences in a list; one that is about access, with a status of its own.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from worker.sandbox.answers import Envelope, json_reply, service_accepted
from worker.sandbox.calls import Call, Kind, Verdict, canonical

_BASE: Final = "/api/v5/campaign/api/campaigns"
_ONE: Final = re.compile(rf"{_BASE}/([^/]+)/(fields|run)/?")
#: People (to, cc and bcc together) in a call, and in one list.
PEOPLE: Final = 1000
LIST: Final = 50
_PHONE: Final = re.compile(r"\+?[0-9]{7,14}")


@dataclass(frozen=True, slots=True)
class Campaign:
    """One campaign of the account.

    Attributes:
        id: Its number.
        name: What people call it.
        slug: What requests call it.
        channels: Numbers of its channels, joined by commas.
        is_active: It is not paused.
        refusal: Why it cannot run; empty when it can.
        variables: The variables of its templates.
    """

    id: int
    name: str
    slug: str
    channels: str = "2"
    is_active: bool = True
    refusal: str = ""
    variables: tuple[str, ...] = ()


#: The campaigns that a sandbox has.
CAMPAIGNS: Final = (
    Campaign(1, "Welcome", "welcome", "1,2", variables=("name",)),
    Campaign(2, "Order shipped", "order-shipped", variables=("order", "total")),
    Campaign(3, "Spring sale", "spring-sale", is_active=False, refusal="Campaign is Paused. Unable to Execute!"),
    Campaign(4, "Begun", "begun", refusal="No start node for Campaign. Please add a start node."),
    Campaign(5, "Half done", "half-done", refusal="Incomplete Campaign. Please complete it first."),
)


def route(call: Call) -> Kind | None:
    """Say which of these calls it is, or ``None``."""
    if call.path.rstrip("/") == _BASE:
        return Kind.CAMPAIGN_LISTS if call.method == "GET" else None
    match = _ONE.fullmatch(call.path)
    if match is None:
        return None
    if match[2] == "run":
        return Kind.CAMPAIGN if call.method == "POST" else None
    return Kind.CAMPAIGN_LISTS if call.method == "GET" else None


def judge(call: Call, now: float) -> Verdict:
    """Judge one of these calls, its authkey being good."""
    match = _ONE.fullmatch(call.path)
    if match is None:
        return _list(call)
    campaign = next((one for one in CAMPAIGNS if one.slug == match[1]), None)
    kind = Kind.CAMPAIGN if match[2] == "run" else Kind.CAMPAIGN_LISTS
    if campaign is None:
        return Verdict(kind, Envelope.SERVICE, _failed("Invalid Campaign", status=404))
    return _run(call, campaign, now) if kind is Kind.CAMPAIGN else _fields(campaign)


def _list(call: Call) -> Verdict:
    query = call.query
    found = [
        one
        for one in CAMPAIGNS
        if query.get("name", "").casefold() in one.name.casefold()
        and query.get("slug", one.slug) == one.slug
        and query.get("is_active", str(int(one.is_active))) in (str(int(one.is_active)), str(one.is_active).lower())
    ]
    page, size = _number(query.get("pageNo"), 1), _number(query.get("itemsPerPage"), 25)
    shown = [
        {"id": one.id, "name": one.name, "is_active": one.is_active, "slug": one.slug, "channels": one.channels}
        for one in found[(page - 1) * size : page * size]
    ]
    data = {
        "data": shown,
        "itemsPerPage": size,
        "pageNo": page,
        "pageNumber": page,
        "totalEntityCount": len(found),
        "totalPageCount": ceil(len(found) / size),
    }
    return Verdict(Kind.CAMPAIGN_LISTS, Envelope.SERVICE, service_accepted(data))


def _fields(campaign: Campaign) -> Verdict:
    mapping = [{"name": "mobiles", "label": "Mobiles", "is_required": True}]
    data = {"mapping": mapping, "variables": list(campaign.variables)}
    return Verdict(Kind.CAMPAIGN_LISTS, Envelope.SERVICE, service_accepted(data))


def _run(call: Call, campaign: Campaign, now: float) -> Verdict:
    data = call.fields.get("data")
    groups = data.get("sendTo") if isinstance(data, dict) else None
    if not isinstance(groups, list) or not groups or not all(isinstance(one, dict) for one in groups):
        return _refused("data.sendTo key is required")
    lists = [people for group in groups for key in ("to", "cc", "bcc") if (people := group.get(key)) is not None]
    if not all(isinstance(people, list) and all(isinstance(one, dict) for one in people) for people in lists):
        return _refused("data.sendTo.to must be an array")
    if sum(map(len, lists)) > PEOPLE:
        return _refused(f"Data limit should not exceeded more than {PEOPLE}.")
    if any(len(people) > LIST for people in lists):
        return _refused(f"Data limit of one array should not exceeded more than {LIST}.")
    people = [person for group in groups for person in group.get("to") or ()]
    numbers = [str(person["mobiles"]) for person in people if person.get("mobiles")]
    if not people or not all(person.get("mobiles") or person.get("email") for person in people):
        return _refused("data.sendTo.to.mobiles or email is required")
    if not all(map(_PHONE.fullmatch, numbers)):
        return _refused("Invalid mobile number")
    if campaign.refusal:
        return _refused(campaign.refusal)
    digest = hashlib.md5(canonical(data).encode(), usedforsecurity=False).hexdigest()
    request_id = f"{int(now)}_{digest}"
    answer = {"message": "Your request has been queued successfully.", "request_id": request_id}
    return Verdict(
        Kind.CAMPAIGN,
        Envelope.SERVICE,
        service_accepted(answer),
        accepted=True,
        request_id=request_id,
        messages=[
            {
                "to": str(person.get("mobiles") or person["email"]),
                "text": f"{campaign.slug} {canonical(person.get('variables') or {})}",
            }
            for person in people
        ],
        numbers=numbers,
    )


def _refused(*sentences: str) -> Verdict:
    return Verdict(Kind.CAMPAIGN, Envelope.SERVICE, _failed(list(sentences)))


def _failed(errors: Any, *, status: int = 200) -> Any:
    return json_reply(status, {"status": "fail", "hasError": True, "errors": errors})


def _number(text: str | None, default: int) -> int:
    return max(1, int(text)) if text and text.isdecimal() else default
