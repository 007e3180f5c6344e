"""The fields of a WhatsApp message, from the options of a command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from worker.cli.output import fail


def template_fields(body: Sequence[str], header: str, filename: str, buttons: Sequence[str]) -> dict[str, Any]:
    """What fills a template.

    Args:
        body: Values of its variables, in their order.
        header: ``KIND=VALUE``; empty for none.
        filename: What a document is called.
        buttons: ``KIND=VALUE`` by position; ``-`` takes nothing.
    """
    fields: dict[str, Any] = {"body": list(body)}
    if header:
        kind, value = _pair(header, "--header")
        fields["header"] = {"type": kind, **(_place(value, "--header") if kind == "location" else {"value": value})}
        if filename:
            fields["header"]["filename"] = filename
    fields["buttons"] = [
        None if one == "-" else dict(zip(("type", "value"), _pair(one, "--button"), strict=True)) for one in buttons
    ]
    return fields


def session_fields(
    text: str, media: str, filename: str, location: str, interactive: Path | None, contact: Path | None
) -> dict[str, Any]:
    """What a session message says.

    Args:
        text: A text, or what stands below a picture.
        media: ``KIND=URL``; empty for none.
        filename: What a document is called.
        location: ``LAT,LONG[,NAME]``; empty for none.
        interactive: A file with Meta's interactive object.
        contact: A file with Meta's contact object.
    """
    if sum(map(bool, (media, location, interactive, contact))) > 1:
        fail("give one of --media, --location, --interactive and --contact")
    kind, address = _pair(media, "--media") if media else ("", "")
    return {
        "text": text,
        "type": kind,
        "mediaUrl": address,
        "filename": filename,
        "location": _place(location, "--location") if location else None,
        "interactive": _object(interactive),
        "contacts": _object(contact),
    }


def _pair(text: str, option: str) -> tuple[str, str]:
    kind, equals, value = text.partition("=")
    if not equals or not kind or not value:
        fail(f"{option}: expected KIND=VALUE, such as image=https://example.com/a.png")
    return kind, value


def _place(text: str, option: str) -> dict[str, str]:
    latitude, comma, rest = text.partition(",")
    longitude, _, name = rest.partition(",")
    if not comma or not latitude.strip() or not longitude.strip():
        fail(f"{option}: expected LAT,LONG, such as 12.97,77.59")
    place = {"latitude": latitude.strip(), "longitude": longitude.strip()}
    return {**place, "name": name.strip()} if name.strip() else place


def _object(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        fail(f"{path}: cannot be read ({error})")
    if not isinstance(found, dict):
        fail(f"{path}: expected one object, as Meta describes it")
    return found
