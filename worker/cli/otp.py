"""``msg91-destination otp``: send a one-time password, send it again, verify it."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.text import Text

from worker.cli.connection import DataDir
from worker.cli.gate import (
    CONTEXT,
    DestinationOption,
    VarOption,
    WaitOption,
    account,
    chosen,
    digits_of,
    hand_over,
    variables_of,
)
from worker.cli.operating import JsonOption
from worker.cli.output import Exit, print_json, stdout
from worker.msg91.numbers import mask

app = typer.Typer(
    help="One-time passwords: send, send again, verify.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=CONTEXT,
)

PhoneArgument = Annotated[str, typer.Argument(help="The recipient's number.")]


@app.command("send")
def send(
    phone: PhoneArgument,
    template: Annotated[
        str, typer.Option("--template", "-t", help="The OTP template.", show_default="the destination's")
    ] = "",
    digits: Annotated[
        str,
        typer.Option("--digits", help="4 to 9 digits of your own; - asks for them.", show_default="MSG91 makes them"),
    ] = "",
    length: Annotated[int | None, typer.Option("--length", min=4, max=9, help="Digits that MSG91 makes.")] = None,
    expiry: Annotated[int | None, typer.Option("--expiry", min=1, max=10_080, help="Minutes it is good for.")] = None,
    sender: Annotated[str, typer.Option("--sender", help="Sender ID.")] = "",
    email: Annotated[str, typer.Option("--email", help="Send it to this address, too.")] = "",
    user_ip: Annotated[str, typer.Option("--user-ip", help="The address of who asked for it.")] = "",
    unicode: Annotated[bool, typer.Option("--unicode", help="The template is not in the GSM alphabet.")] = False,
    invisible: Annotated[bool, typer.Option("--invisible", help="For MSG91's verification in mobile apps.")] = False,
    real_time: Annotated[bool, typer.Option("--real-time", help="Let MSG91 check more first.")] = False,
    var: VarOption = None,
    wait: WaitOption = 20.0,
    destination: DestinationOption = "",
    json_: JsonOption = False,
    data_dir: DataDir = None,
) -> None:
    """Send a one-time password. Its digits are encrypted until they are sent, and shown nowhere.

    Exit codes: 0 accepted, or on its way; 1 refused or in doubt; 2 it cannot be sent so.

    Examples:
      msg91-destination otp send +918818888758
      msg91-destination otp send +918818888758 --digits - --expiry 5
    """
    fields: dict[str, Any] = {
        "phone": phone,
        "templateId": template,
        "otp": digits_of(digits, "Digits"),
        "otpLength": length,
        "otpExpiry": expiry,
        "senderID": sender,
        "email": email,
        "userIp": user_ip,
        "unicode": unicode or None,
        "invisible": invisible or None,
        "realTimeResponse": real_time or None,
        "variables": variables_of(var) or None,
    }
    given = {name: value for name, value in fields.items() if value not in (None, "")}
    hand_over(chosen(destination), "send_otp", [given], wait=wait, data_dir=data_dir, json_=json_)


@app.command("resend")
def resend(
    phone: PhoneArgument,
    voice: Annotated[
        bool | None, typer.Option("--voice/--text", help="By a call, or as text.", show_default="the destination's")
    ] = None,
    wait: WaitOption = 20.0,
    destination: DestinationOption = "",
    json_: JsonOption = False,
    data_dir: DataDir = None,
) -> None:
    """Send the last one-time password again; MSG91 allows that twice.

    Exit codes: 0 accepted, or on its way; 1 refused or in doubt; 2 it cannot be sent so.

    Examples:
      msg91-destination otp resend +918818888758 --voice
    """
    fields = {"phone": phone} | ({} if voice is None else {"channel": "voice" if voice else "text"})
    hand_over(chosen(destination), "resend_otp", [fields], wait=wait, data_dir=data_dir, json_=json_)


@app.command("verify")
def verify(
    phone: PhoneArgument,
    digits: Annotated[str, typer.Argument(metavar="[DIGITS]", help="What was typed; - or nothing asks for it.")] = "-",
    destination: DestinationOption = "",
    json_: JsonOption = False,
) -> None:
    """Ask MSG91 whether these are the digits it sent.

    Says verified, wrong, expired, already_verified, max_attempts, not_found, or unknown with MSG91's words.

    Exit codes: 0 verified; 1 anything else; 2 wrong usage, or MSG91 could not be asked.

    Examples:
      msg91-destination otp verify +918818888758 4321
    """
    where = chosen(destination)
    with account(where, "otp") as msg91:
        found = msg91.verify_otp(phone, digits_of(digits, "Digits"))
    answer = found.answer
    if json_:
        print_json(
            {
                "destination": where.name,
                "phone": mask("".join(filter(str.isdigit, phone))),
                "result": found.result.value,
                "status": answer.status,
                "message": answer.message,
            }
        )
    else:
        words = f"  {answer.message}" if found.result == "unknown" else ""
        stdout.print(Text.assemble((found.result.value, "bold green" if found else "bold red"), words), soft_wrap=True)
    raise typer.Exit(int(Exit.OK if found else Exit.PROBLEM))
