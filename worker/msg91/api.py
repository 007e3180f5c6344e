"""MSG91 for Python programs: what can be asked, typed.

What sends somebody something is not here: it goes through the gate, by a Celery task (``worker.send_sms``,
``worker.send_otp``, ``worker.run_campaign``, …), the producer, or the command line, so that nothing is lost or doubled.

::

    from worker.msg91 import Msg91

    with Msg91(os.environ["MSG91_AUTHKEY"]) as msg91:
        if msg91.verify_otp("+919812345678", "4321"):
            ...
        for campaign in msg91.campaigns():
            print(campaign.slug)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

from worker.msg91 import campaigns as campaign_calls
from worker.msg91 import otp as otp_calls
from worker.msg91 import segmento as segmento_calls
from worker.msg91 import templates as template_calls
from worker.msg91 import whatsapp_panel as whatsapp_calls
from worker.msg91.answers import Answer, mask_numbers
from worker.msg91.campaigns import Campaign, CampaignFields
from worker.msg91.client import Msg91Client, Request
from worker.msg91.errors import ClientSettingError, UnexpectedAnswer
from worker.msg91.numbers import PhoneNumbers
from worker.msg91.otp import Verification
from worker.msg91.reading import ask, text_of
from worker.msg91.segmento import EventType, FailedEvent
from worker.msg91.templates import FlowTemplate, TemplateVersion
from worker.msg91.transport import BaseTransport
from worker.msg91.whatsapp_panel import IntegratedNumber, ListedTemplate

__all__ = ["Msg91"]

T = TypeVar("T")

DEFAULT_BASE_URL: Final = "https://control.msg91.com"


class Msg91:
    """One account's answers to questions; safe to share between threads, and a context manager.

    Args:
        authkey: the account's key; never shown.
        base_url: origin of the API.
        default_country: country of numbers without country code.
        phonebook_id: the Segmento phonebook, for its questions.
        event_types_path: path that lists event types; may contain ``{phonebook_id}``.
        failed_events_path: path that lists failed events; may contain ``{phonebook_id}``.
        client: a client to use instead of one of its own; it stays open.
        transport: sends instead of connections of its own, for tests.

    Raises:
        ClientSettingError: `authkey` or `base_url` cannot be used.
    """

    def __init__(
        self,
        authkey: str = "",
        *,
        base_url: str = DEFAULT_BASE_URL,
        default_country: str = "IN",
        phonebook_id: str | None = None,
        event_types_path: str = segmento_calls.EVENT_TYPES_PATH,
        failed_events_path: str = segmento_calls.FAILED_EVENTS_PATH,
        client: Msg91Client | None = None,
        transport: BaseTransport | None = None,
    ) -> None:
        self._owns_client = client is None
        self._client = client or Msg91Client(base_url, authkey, transport=transport)
        self._numbers = PhoneNumbers(default_country)
        self._phonebook_id = phonebook_id
        self._event_types_path = event_types_path
        self._failed_events_path = failed_events_path

    def __repr__(self) -> str:
        return f"Msg91({self._client!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        if self._owns_client:
            self._client.close()

    def probe(self) -> Answer:
        """Ask whether MSG91 knows the authkey, see `Msg91Client.probe`."""
        return self._client.probe()

    def verify_otp(self, mobile: str | int, digits: str) -> Verification:
        """Ask whether these are the digits that were sent; true when they are.

        Raises:
            InvalidNumber: `mobile` is no phone number.
            CallRefused: MSG91 refused the account or did not answer.
        """
        return otp_calls.verify(self._client, self._numbers.read(mobile), digits.strip())

    def templates(self) -> list[FlowTemplate]:
        """List the Flow templates.

        Raises:
            CallRefused: MSG91 said no, or did not answer.
            UnexpectedAnswer: nobody has described what it said.
        """
        return template_calls.templates(self._client)

    def template_versions(self, template_id: str) -> list[TemplateVersion]:
        """List the versions of a template, with texts and DLT status; raises as `templates`."""
        return template_calls.versions(self._client, template_id)

    def event_types(self) -> list[EventType]:
        """List the event types of the phonebook; raises as `templates`, and ClientSettingError without phonebook."""
        return segmento_calls.event_types(self._client, self._path(self._event_types_path))

    def failed_events(
        self, campaign_id: str, *, start: date | None = None, end: date | None = None, page_size: int = 100
    ) -> Iterator[FailedEvent]:
        """Go through failed events, to the end of their pages; arguments as `segmento.failed_events`."""
        path = self._path(self._failed_events_path)
        return segmento_calls.failed_events(self._client, path, campaign_id, start=start, end=end, page_size=page_size)

    def campaigns(self, *, name: str = "", slug: str = "", page_size: int = 100) -> Iterator[Campaign]:
        """Go through the campaigns, to the end of their pages; arguments as `campaigns.campaigns`."""
        return campaign_calls.campaigns(self._client, name=name, slug=slug, page_size=page_size)

    def campaign_fields(self, slug: str) -> CampaignFields:
        """Ask what a campaign wants to know of a person; raises as `templates`."""
        return campaign_calls.campaign_fields(self._client, slug)

    def whatsapp_numbers(self) -> list[IntegratedNumber]:
        """List the numbers that WhatsApp messages can be sent from; raises as `templates`."""
        return self._listed(whatsapp_calls.list_numbers(), whatsapp_calls.read_numbers, "the integrated numbers")

    def whatsapp_templates(
        self, number: str, *, name: str | None = None, status: str | None = None, language: str | None = None
    ) -> list[ListedTemplate]:
        """List the WhatsApp templates of an integrated number, every language by itself; raises as `templates`."""
        request = whatsapp_calls.list_templates(number, name=name, status=status, language=language)
        return self._listed(request, whatsapp_calls.read_templates, "the WhatsApp templates")

    def create_whatsapp_template(
        self, number: str, name: str, language: str, category: str, components: Sequence[Mapping[str, Any]]
    ) -> str:
        """Hand a WhatsApp template in for approval, and return its id; arguments as `whatsapp_panel.create_template`.

        Raises:
            CallRefused: MSG91 said no, or did not answer; in the latter case it may have been handed in.
        """
        request = whatsapp_calls.create_template(number, name, language, category, components)
        data = ask(self._client, request, "the new WhatsApp template")
        return text_of(data, "template_id", "id") if isinstance(data, dict) else ""

    def edit_whatsapp_template(self, number: str, template_id: str, components: Sequence[Mapping[str, Any]]) -> None:
        """Give a WhatsApp template other components; raises as `create_whatsapp_template`."""
        ask(self._client, whatsapp_calls.edit_template(number, template_id, components), "the WhatsApp template")

    def delete_whatsapp_template(self, number: str, name: str, template_id: str | None = None) -> None:
        """Delete a WhatsApp template, or one language of it by its id; raises as `create_whatsapp_template`."""
        ask(self._client, whatsapp_calls.delete_template(number, name, template_id), "the WhatsApp template")

    def _listed(self, request: Request, read: Callable[[Any], list[T] | None], what: str) -> list[T]:
        data = ask(self._client, request, what)
        found = read(data)
        if found is None:
            raise UnexpectedAnswer(f"{what}: expected a list, but MSG91 answered {mask_numbers(repr(data))[:500]}")
        return found

    def _path(self, path: str) -> str:
        if "{phonebook_id}" not in path:
            return path
        if not self._phonebook_id:
            raise ClientSettingError("phonebook_id: this question is about a phonebook, and none is set")
        return path.replace("{phonebook_id}", quote(self._phonebook_id, safe=""))
