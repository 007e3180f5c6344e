"""The MSG91 HTTP API: client, answers, phone numbers, message text. Knows nothing of what uses it.

The names are loaded when they are first used: a command that masks a number has no need of an HTTP library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from worker.msg91.answers import Answer, mask_numbers, read_answer
    from worker.msg91.api import Msg91
    from worker.msg91.approvals import ApprovedTemplates
    from worker.msg91.campaigns import Campaign, CampaignFields
    from worker.msg91.client import Fetched, Msg91Client
    from worker.msg91.codes import CODES, AnswerClass, Code
    from worker.msg91.errors import CallRefused, ClientSettingError, InvalidNumber, Msg91Error, UnexpectedAnswer
    from worker.msg91.http import Request
    from worker.msg91.numbers import PhoneNumbers, mask
    from worker.msg91.otp import Verification, Verified
    from worker.msg91.receiver import ReceiverClient
    from worker.msg91.reports import (
        REPORT_NAMES,
        Inbound,
        Report,
        Verdict,
        read_inbound,
        read_reports,
        read_whatsapp,
    )
    from worker.msg91.segmento import EventType, FailedEvent
    from worker.msg91.templates import FlowTemplate, Preview, TemplateVersion, fill_template
    from worker.msg91.text import TextSize, measure
    from worker.msg91.whatsapp import (
        BUTTON_KINDS,
        HEADER_KINDS,
        MEDIA_KINDS,
        SESSION_KINDS,
        Components,
        WhatsAppTemplate,
        bulk_template,
        session_message,
        single_template,
    )
    from worker.msg91.whatsapp_panel import (
        MOST_TEMPLATES,
        IntegratedNumber,
        ListedTemplate,
        create_template,
        delete_template,
        edit_template,
        list_numbers,
        list_templates,
        read_numbers,
        read_templates,
    )

__all__ = [
    "BUTTON_KINDS",
    "CODES",
    "HEADER_KINDS",
    "MEDIA_KINDS",
    "MOST_TEMPLATES",
    "REPORT_NAMES",
    "SESSION_KINDS",
    "Answer",
    "AnswerClass",
    "ApprovedTemplates",
    "CallRefused",
    "Campaign",
    "CampaignFields",
    "ClientSettingError",
    "Code",
    "Components",
    "EventType",
    "FailedEvent",
    "Fetched",
    "FlowTemplate",
    "Inbound",
    "IntegratedNumber",
    "InvalidNumber",
    "ListedTemplate",
    "Msg91",
    "Msg91Client",
    "Msg91Error",
    "PhoneNumbers",
    "Preview",
    "ReceiverClient",
    "Report",
    "Request",
    "TemplateVersion",
    "TextSize",
    "UnexpectedAnswer",
    "Verdict",
    "Verification",
    "Verified",
    "WhatsAppTemplate",
    "bulk_template",
    "create_template",
    "delete_template",
    "edit_template",
    "fill_template",
    "list_numbers",
    "list_templates",
    "mask",
    "mask_numbers",
    "measure",
    "read_answer",
    "read_inbound",
    "read_numbers",
    "read_reports",
    "read_templates",
    "read_whatsapp",
    "session_message",
    "single_template",
]

_MODULES: Final = {
    "answers": ("Answer", "mask_numbers", "read_answer"),
    "api": ("Msg91",),
    "campaigns": ("Campaign", "CampaignFields"),
    "approvals": ("ApprovedTemplates",),
    "client": ("Fetched", "Msg91Client"),
    "http": ("Request",),
    "codes": ("CODES", "AnswerClass", "Code"),
    "errors": ("CallRefused", "ClientSettingError", "InvalidNumber", "Msg91Error", "UnexpectedAnswer"),
    "numbers": ("PhoneNumbers", "mask"),
    "otp": ("Verification", "Verified"),
    "receiver": ("ReceiverClient",),
    "reports": ("REPORT_NAMES", "Inbound", "Report", "Verdict", "read_inbound", "read_reports", "read_whatsapp"),
    "segmento": ("EventType", "FailedEvent"),
    "templates": ("FlowTemplate", "Preview", "TemplateVersion", "fill_template"),
    "text": ("TextSize", "measure"),
    "whatsapp": (
        "BUTTON_KINDS",
        "HEADER_KINDS",
        "MEDIA_KINDS",
        "SESSION_KINDS",
        "Components",
        "WhatsAppTemplate",
        "bulk_template",
        "session_message",
        "single_template",
    ),
    "whatsapp_panel": (
        "MOST_TEMPLATES",
        "IntegratedNumber",
        "ListedTemplate",
        "create_template",
        "delete_template",
        "edit_template",
        "list_numbers",
        "list_templates",
        "read_numbers",
        "read_templates",
    ),
}
_HOMES: Final = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return value
