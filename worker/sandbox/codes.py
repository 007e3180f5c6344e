"""The numeric codes that MSG91 answers with, and the sentences it puts beside them.

Written from the published list of SMS error codes and from recorded answers, apart from the table
that the destination itself reads answers with: a slip in one is caught by the other.
"""

from __future__ import annotations

from typing import Final

CODES: Final[dict[str, str]] = {
    "001": "Unable to connect database",
    "002": "Unable to select database",
    "101": "Missing mobile no.",
    "102": "Missing message",
    "103": "Missing sender ID",
    "104": "Missing username",
    "105": "Missing password",
    "106": "Auth Key missing",
    "107": "Missing route",
    "201": "Invalid authkey",
    "202": "Invalid mobile number",
    "203": "Invalid sender ID. Sender ID must be 6 characters and alphabetic",
    "205": "This route is dedicated for high traffic. Minimum 20 mobile numbers per request",
    "207": "Invalid authkey",
    "208": "IP is blacklisted",
    "209": "Default dialplan route missing",
    "210": "Route could not be determined",
    "211": "Template ID Missing or Invalid Template",
    "301": "Insufficient balance to send SMS",
    "302": "Expired user account",
    "303": "Banned user account",
    "304": "Account could not be used",
    "306": "This route is currently unavailable. You can send SMS from this route only between 9 AM - 9 PM",
    "307": "Incorrect scheduled time",
    "308": "Campaign name cannot be greater than 32 characters",
    "309": "Selected group does not belong to you",
    "310": "SMS is too long",
    "311": "Request discarded because same request was generated twice within 10 seconds",
    "418": "IP is not whitelisted",
    "505": "Your account is a demo account",
    "506": "Small campaign limit exceeded (only 20 campaigns of less than 100 SMS in 24 hours)",
    "601": "Internal error. Please contact support",
}

# Answers that MSG91 gives as a sentence; the first two carry the code 201.
AUTHKEY_MISSING: Final = "Auth Key missing"
AUTHKEY_INVALID: Final = "Invalid authkey"
TEMPLATE_INVALID: Final = "The provided flow ID or template ID is invalid."
NO_RECIPIENT: Final = "Please enter atleast one number to send sms."


def sentence(code: str) -> str:
    """Give the sentence that goes with ``code``; a code outside the list gets a plain one."""
    return CODES.get(code, "Request could not be processed")
