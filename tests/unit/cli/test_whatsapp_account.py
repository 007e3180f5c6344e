"""The questions that WhatsApp commands ask MSG91, where no good answer comes."""

from __future__ import annotations

import socket

import pytest
from typer.testing import CliRunner

from worker.cli.main import app


@pytest.mark.parametrize("question", ["numbers", "templates"])
def test_an_account_that_cannot_be_asked_is_named_with_the_reason(question: str) -> None:
    """Nobody listens at the address: exit code 2, with whose account it is and why, and not as words of MSG91's."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        environ = {
            "MSG91_AUTHKEY": "k" * 24,
            "MSG91_BASE_URL": f"http://127.0.0.1:{nobody.getsockname()[1]}",
            "DESTINATIONS_FILE": None,
        }
        number = ["--from", "919812345678"] if question == "templates" else []
        result = CliRunner(env=environ).invoke(app, ["whatsapp", question, *number])

    assert result.exit_code == 2, result.output
    assert "WhatsApp of msg91: connect_failed" in result.stderr
    assert "MSG91 says" not in result.stderr
