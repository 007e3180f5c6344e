"""Settings of callbacks, as a person writes them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from worker.sandbox.callbacks.settings import SETTINGS, read_callbacks
from worker.sandbox.errors import CallbackError

PAGE = (Path(__file__).parents[4] / "docs" / "sandbox.md").read_text()
BASE = "to=http://127.0.0.1:8080/v1/callbacks/shop"


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_can_be_written_as_its_example(name: str) -> None:
    """The example that the help shows is one."""
    example = SETTINGS[name].example.replace("=URL", "=http://127.0.0.1/x")
    wants_new = name in {"template", "received"}
    read_callbacks([BASE, *(["format=new"] if wants_new else []), example])


def test_the_page_lists_every_setting() -> None:
    """The table has all of them and no other."""
    table = PAGE.split("| setting | meaning |")[1].split("\n\n")[0]
    assert {name for row in table.splitlines() for name in re.findall(r"^\| `([a-z-]+)=", row)} == set(SETTINGS)


def test_one_address_stands_for_both_channels() -> None:
    """Reports of SMS and of WhatsApp go below it, each with its query; a later setting wins."""
    callbacks = read_callbacks([f"{BASE}?token=x", "sms=http://127.0.0.1/own"])
    assert (callbacks.sms, callbacks.whatsapp) == (
        "http://127.0.0.1/own",
        "http://127.0.0.1:8080/v1/callbacks/shop/whatsapp?token=x",
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["formt=v2"], "did you mean format"),
        (["delay"], "expected a value, like delay="),
        (["sms=ftp://x"], "http:// or https://"),
        (["sms=http://me:pass@x/"], "URL of a webhook"),
        (["sms=http://x:99999/"], "URL of a webhook"),
        ([BASE, "delay=-1"], "from 0 to"),
        ([BASE, "delay=nan"], "from 0 to"),
        ([BASE, "delay=3-1"], "shorter than the shortest"),
        ([BASE, "lost=1.5"], "a share from 0 to 1"),
        ([BASE, "status=gone"], "there are: delivered"),
        ([BASE, "status=delivered:0"], "add up to nothing"),
        ([BASE, "status=delivered:nan"], "expected a share"),
        ([BASE, "tries=0"], "from 1 to 20"),
        ([BASE, "timeout=0"], "from 0.1 to 600"),
        ([BASE, "hold=maybe"], "yes or no"),
        ([BASE, "header=a b"], "name of a header"),
        ([BASE, "header=Host"], "name of a header"),
        ([BASE, "format=new", "template={"], "expected JSON"),
        ([BASE, "format=new", "template=[]"], "object with keys"),
        ([BASE, "format=new", 'template={"a": [{"b": "{{nr}}"}]}'], "there are: requestId"),
        ([BASE, 'template={"a": "{{CRQID}}"}'], "add format=new"),
        ([BASE, "received=yes"], "add format=new"),
        (["delay=1"], "add to=URL"),
    ],
)
def test_what_cannot_be_is_refused_with_what_is_expected(settings: list[str], said: str) -> None:
    """The error names the setting and says what would be right."""
    with pytest.raises(CallbackError, match=re.escape(said)):
        read_callbacks(settings)


def test_no_secret_is_shown() -> None:
    """Neither the secret nor what stands in the query of a URL comes back to a reader."""
    callbacks = read_callbacks([f"{BASE}?token=t0p", "delay=1"], "s3cret")
    assert "s3cret" not in repr(callbacks)
    assert callbacks.shown() == [f"{BASE}?***", "delay=1"]


def test_a_secret_that_fits_no_header_is_refused() -> None:
    """A line break would make a header of its own."""
    with pytest.raises(CallbackError, match="printable"):
        read_callbacks([BASE], "a\r\nX: b")
