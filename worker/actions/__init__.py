"""The actions: what a destination can do, one file each."""

from worker.actions.base import Action, ActionContext, Family, FieldError, FieldErrors, Prepared, WhatsAppContext
from worker.actions.post_callback import PostCallback
from worker.actions.publish_event import PublishEvent
from worker.actions.receivers import Receiver, Receivers
from worker.actions.record_user_events import RecordUserEvents
from worker.actions.resend_otp import ResendOtp
from worker.actions.run_campaign import RunCampaign
from worker.actions.send_flow_sms import SendFlowSms
from worker.actions.send_otp import SendOtp
from worker.actions.send_sms import SendSms
from worker.actions.send_whatsapp_session import SendWhatsAppSession
from worker.actions.send_whatsapp_template import SendWhatsAppTemplate
from worker.actions.upsert_contact import UpsertContact

__all__ = [
    "ACTIONS",
    "Action",
    "ActionContext",
    "Family",
    "FieldError",
    "FieldErrors",
    "PostCallback",
    "Prepared",
    "PublishEvent",
    "Receiver",
    "Receivers",
    "RecordUserEvents",
    "ResendOtp",
    "RunCampaign",
    "SendFlowSms",
    "SendOtp",
    "SendSms",
    "SendWhatsAppSession",
    "SendWhatsAppTemplate",
    "UpsertContact",
    "WhatsAppContext",
]

#: Every action by its name, which mappings and tasks use.
ACTIONS: dict[str, Action] = {
    action.name: action
    for action in (
        SendSms(),
        SendFlowSms(),
        SendOtp(),
        ResendOtp(),
        RunCampaign(),
        SendWhatsAppTemplate(),
        SendWhatsAppSession(),
        RecordUserEvents(),
        UpsertContact(),
        PublishEvent(),
        PostCallback(),
    )
}
