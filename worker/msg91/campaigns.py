"""What the campaign service can be asked: the campaigns, and the fields of one.

Two namings of pages are about; both are sent, and either is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from worker.msg91.client import Request
from worker.msg91.reading import Asks, ask, items_of, objects_in, pages, text_of, whole

__all__ = ["Campaign", "CampaignFields", "campaign_fields", "campaigns"]

CAMPAIGNS_PATH: Final = "/api/v5/campaign/api/campaigns"


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign of the account.

    Attributes:
        id: its number.
        name: what people call it.
        slug: what requests call it.
        is_active: it is not paused; None when MSG91 does not say.
        raw: everything that MSG91 said of it.
    """

    id: str
    name: str
    slug: str
    is_active: bool | None
    raw: dict[str, Any] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class CampaignFields:
    """What a campaign wants to know of a person.

    Attributes:
        mapping: name and label of each field, and whether it is required.
        variables: names of the variables of its templates.
        raw: everything that MSG91 said of it.
    """

    mapping: tuple[tuple[str, str, bool], ...]
    variables: tuple[str, ...]
    raw: Any = field(repr=False, compare=False)


def campaigns(client: Asks, *, name: str = "", slug: str = "", page_size: int = 100) -> Iterator[Campaign]:
    """Go through the campaigns to the end of their pages.

    Args:
        client: the account.
        name: part of the name.
        slug: exactly this one.
        page_size: campaigns asked for at a time.
    """
    what = "the campaigns"
    fixed = {"itemsPerPage": str(page_size), "limit": str(page_size)}
    fixed |= {key: value for key, value in (("name", name), ("slug", slug)) if value}

    def read(page: int) -> tuple[list[dict[str, Any]], int | None]:
        query = {**fixed, "pageNo": str(page), "page": str(page)}
        data = ask(
            client, Request("GET", CAMPAIGNS_PATH, query=query, sample={"read": "campaigns", "page": page}), what
        )
        counts = (data.get(key) for key in ("totalEntityCount", "total")) if isinstance(data, dict) else ()
        total = next((number for number in map(whole, counts) if number is not None), None)
        return items_of(data, "campaigns", what=what), total

    for one in pages(read, size=page_size):
        yield Campaign(
            text_of(one, "id", "campaign_id"),
            text_of(one, "name"),
            text_of(one, "slug"),
            _flag(one.get("is_active")),
            one,
        )


def campaign_fields(client: Asks, slug: str) -> CampaignFields:
    """Ask what a campaign wants to know of a person."""
    path = f"{CAMPAIGNS_PATH}/{quote(slug, safe='')}/fields"
    request = Request("GET", path, query={"source": "launchCampaign"}, sample={"read": "campaign fields"})
    data = ask(client, request, "the campaign's fields")
    fields = data if isinstance(data, dict) else {}
    variables = fields.get("variables")
    return CampaignFields(
        tuple(
            (text_of(one, "name"), text_of(one, "label"), _flag(one.get("is_required")) is True)
            for one in objects_in(fields.get("mapping"))
        ),
        tuple(
            text_of(one, "name") if isinstance(one, dict) else str(one)
            for one in (variables if isinstance(variables, list) else ())
        ),
        data,
    )


def _flag(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    known = {"1": True, "true": True, "0": False, "false": False}
    return known.get(str(value).casefold()) if value is not None else None
