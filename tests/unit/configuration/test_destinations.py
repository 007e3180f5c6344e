"""From files and environment to destinations that are ready for use."""

import os
from pathlib import Path
from typing import Any

import pytest

from worker.actions import ACTIONS
from worker.configuration import ConfigurationError
from worker.destinations import Destination, Destinations, load_destinations

KEY = "not-a-real-key"
MAPPINGS = """mappings:
  - name: {name}
    action: send_sms
    trigger: type = "track"
    mapping: {{phone: {{"@path": $.properties.phone}}, message: {{"@path": $.properties.message}}}}
    enabled: {enabled}
"""


def load(folder: Path, text: str, **environ: str) -> Destinations:
    """Load a text as destinations file."""
    (folder / "destinations.yaml").write_text(text)
    return load_destinations(folder / "destinations.yaml", environ)


def only(folder: Path, keys: str = "", **environ: str) -> Destination:
    """Load one destination with given keys."""
    (destination,) = load(folder, f"destinations:\n  - name: msg91\n    authkey: {KEY}\n{keys}", **environ)
    return destination


def mapping_file(folder: Path, name: str, *, mapping: str = "shipped", enabled: str = "true") -> None:
    """Write a mapping file."""
    (folder / name).write_text(MAPPINGS.format(name=mapping, enabled=enabled))


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty directory."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_defaults(tmp_path: Path) -> None:
    """Name and authkey make a live destination for Indian numbers with the mappings of Segment's own destination."""
    destination = only(tmp_path)
    assert destination.base_url == "https://control.msg91.com"
    assert (destination.mode, destination.write_keys, destination.allow_list) == ("live", (), frozenset())
    assert [mapping.name for mapping in destination.mappings] == ["identify", "track", "page", "screen"]
    assert destination.context.numbers.read("8818888758") == "918818888758"
    assert destination.lane("sms").rate is None
    assert destination.recipients(ACTIONS["send_sms"]) == 100
    assert destination.recipients(ACTIONS["upsert_contact"]) == 1
    assert destination.policy("send_sms").time_to_live is None


def test_in_doubt_is_held_where_people_would_notice(tmp_path: Path) -> None:
    """What is safe to repeat, or a one-time password, is sent again by itself; another message to a person is not."""
    destination = only(tmp_path)
    assert {name: destination.policy(name).in_doubt for name in ACTIONS} == {
        name: "resend" if action.repeatable or name == "send_otp" else "hold" for name, action in ACTIONS.items()
    }


def test_keys_reach_the_parts_that_use_them(tmp_path: Path) -> None:
    """Every key of the file arrives where it takes effect."""
    destination = only(
        tmp_path,
        """    base_url: http://127.0.0.1:9191/
    write_keys: [aaaaaaaaaaaaaaaaaaaa]
    default_country: 1
    bare_numbers: national
    mode: allow-list
    allow_list: ["(650) 253-0000", +918818888758]
    default_sender: ABCDEF
    default_template_id: 65f0c1d2e3a4b5c6d7e8f901
    dlt_template_id: 1107161234567890123
    default_route: 1
    sms_country: 91
    max_parts: 3
    max_sender_length: 14
    segmento: {phonebook_id: 7, events_path: /e, contacts_path: /c, event_timezone: Asia/Kolkata}
    actions: {send_sms: {time_to_live: 10m, in_doubt: drop, in_doubt_grace: 1m, attempts: 3, horizon: 1h,
                         backoff_base: 4, backoff_cap: 60}}
    lanes: {sms: {rate: 600/min, cost: parts, concurrency: 50, recipients: 7, adaptive: false, floor: 2,
                  breaker_failures: 9, treat_503_as_in_doubt: true}}
""",
    )
    context, lane, policy = destination.context, destination.lanes["sms"], destination.policy("send_sms")
    assert destination.base_url == "http://127.0.0.1:9191"
    assert destination.allow_list == {"16502530000", "918818888758"}
    assert destination.allows("16502530000")
    assert not destination.allows("16502530001")
    assert (context.default_sender, context.default_route, context.sms_country) == ("ABCDEF", "1", "91")
    assert (context.default_template_id, context.dlt_template_id) == ("65f0c1d2e3a4b5c6d7e8f901", "1107161234567890123")
    assert (context.max_parts, context.max_sender_length, context.phonebook_id) == (3, 14, "7")
    assert (context.events_path, context.contacts_path, context.event_timezone) == ("/e", "/c", "Asia/Kolkata")
    assert (lane.name, lane.cost, lane.recipients, lane.treat_503_as_in_doubt) == ("msg91:sms", "parts", 7, True)
    limits = lane.limits
    assert (limits.rate, limits.burst, limits.concurrency, limits.adaptive, limits.floor) == (10, 1, 50, False, 2)
    assert limits.breaker_failures == 9
    assert (policy.time_to_live, policy.in_doubt, policy.in_doubt_grace) == (600, "drop", 60)
    assert (policy.retry.attempts, policy.retry.horizon, policy.retry.base, policy.retry.cap) == (3, 3600, 4, 60)


@pytest.mark.parametrize(
    ("lane", "burst"), [("{rate: 100}", 10), ("{rate: 1}", 1), ("{rate: 100, burst: 3}", 3), ("{}", 1)]
)
def test_burst_is_a_tenth_of_a_second(tmp_path: Path, lane: str, burst: float) -> None:
    """Without a burst of its own a lane lets a tenth of a second's rate go at once."""
    assert only(tmp_path, f"    lanes: {{sms: {lane}}}\n").lane("sms").burst == burst


# -- which destinations there are -------------------------------------------------------------------------------


def test_environment_alone_makes_one_destination(elsewhere: Path) -> None:
    """Without a file there is one destination, msg91, from MSG91_AUTHKEY and MSG91_BASE_URL."""
    found = load_destinations(None, {"MSG91_AUTHKEY": KEY, "MSG91_BASE_URL": "http://127.0.0.1:9191"})
    (destination,) = found
    assert (destination.name, destination.base_url, found.origin) == ("msg91", "http://127.0.0.1:9191", "environment")
    assert destination.authkey.get_secret_value() == KEY


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MSG91_BASE_URL", "http://msg91.example"),
        ("MSG91_DESTINATION_WRITE_KEY", "short"),
        ("MSG91_DESTINATION_CALLBACK_SECRET", "short"),
    ],
)
def test_a_warning_names_the_variable_that_it_is_about(variable: str, value: str, elsewhere: Path) -> None:
    """Where there is no file, what is likely a mistake stands in the environment."""
    (warning,) = load_destinations(None, {"MSG91_AUTHKEY": KEY, variable: value}).warnings
    assert str(warning).startswith(f"{variable}: ")


def test_nothing_at_all_teaches(elsewhere: Path) -> None:
    """Without file and authkey the error says what can be set."""
    with pytest.raises(ConfigurationError) as caught:
        load_destinations(None, {"MSG91_AUTHKEY": " "})
    for word in ("DESTINATIONS_FILE", "MSG91_AUTHKEY", "destinations.yaml", "Set MSG91_AUTHKEY"):
        assert word in str(caught.value)


def test_unusable_authkey_in_the_environment(elsewhere: Path) -> None:
    """An authkey that no header can carry is refused by the name of its variable, without showing it."""
    with pytest.raises(ConfigurationError, match="MSG91_AUTHKEY: expected visible ASCII characters") as caught:
        load_destinations(None, {"MSG91_AUTHKEY": "TOP\nSECRET"})
    assert "SECRET" not in str(caught.value)


def test_file_here_is_found(elsewhere: Path) -> None:
    """`destinations.yaml` in the working directory is read without being named."""
    (elsewhere / "destinations.yaml").write_text(f"destinations: [{{name: here, authkey: {KEY}}}]")
    assert load_destinations(None, {}).names == ("here",)


def test_named_file_wins(elsewhere: Path, tmp_path: Path) -> None:
    """DESTINATIONS_FILE wins over the file here, and an argument over both."""
    for folder in (elsewhere, tmp_path):
        (folder / "destinations.yaml").write_text(f"destinations: [{{name: {folder.name[:9]}, authkey: {KEY}}}]")
    (tmp_path / "third.yaml").write_text(f"destinations: [{{name: third, authkey: {KEY}}}]")
    environ = {"DESTINATIONS_FILE": str(tmp_path / "destinations.yaml")}
    assert load_destinations(None, environ).names == (tmp_path.name[:9],)
    assert load_destinations(tmp_path / "third.yaml", environ).names == ("third",)


def test_named_file_that_is_missing_is_an_error(elsewhere: Path) -> None:
    """A file that was named and is not there is no reason to send somewhere else."""
    with pytest.raises(ConfigurationError, match="there is no such file"):
        load_destinations(None, {"DESTINATIONS_FILE": "nowhere.yaml", "MSG91_AUTHKEY": KEY})


def test_base_url_of_the_environment_is_the_default(tmp_path: Path) -> None:
    """A destination without base_url goes where MSG91_BASE_URL says, so that a test system stays one."""
    assert only(tmp_path, MSG91_BASE_URL="http://127.0.0.1:1").base_url == "http://127.0.0.1:1"
    own = only(tmp_path, "    base_url: http://127.0.0.1:2\n", MSG91_BASE_URL="http://127.0.0.1:1")
    assert own.base_url == "http://127.0.0.1:2"


def test_names_are_unique(tmp_path: Path) -> None:
    """Two destinations of one name would share their deliveries; the second is refused."""
    text = f"destinations:\n  - {{name: a, authkey: {KEY}}}\n  - {{name: a, authkey: {KEY}}}\n"
    with pytest.raises(
        ConfigurationError, match=r"yaml:3:12: destinations\[1\]\.name: destinations\[0\] has this name"
    ):
        load(tmp_path, text)


# -- finding one ------------------------------------------------------------------------------------------------

THREE = f"""destinations:
  - {{name: shop, authkey: {KEY}, write_keys: [shop-key-000000000, both-key-000000000]}}
  - {{name: news, authkey: {KEY}, write_keys: both-key-000000000}}
  - {{name: MSG91, authkey: {KEY}}}
"""


def test_lookup_by_name(tmp_path: Path) -> None:
    """A destination is found by its name, and nothing by another."""
    found = load(tmp_path, THREE)
    shop = found.get("shop")
    assert shop is not None
    assert shop.name == "shop"
    assert found.get("shop2") is None
    assert len(found) == 3


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("shop-key-000000000", ["shop"]),
        ("both-key-000000000", ["shop", "news"]),
        ("", []),
        ("shop-key", []),
        ("nö", []),
        ("\udcff", []),
    ],
)
def test_lookup_by_write_key(tmp_path: Path, key: str, names: list[str]) -> None:
    """A write key reaches every destination that has it; any other text reaches none."""
    assert [destination.name for destination in load(tmp_path, THREE).by_write_key(key)] == names


# -- mapping files ----------------------------------------------------------------------------------------------


def test_mapping_files_stand_beside_the_destinations_file(tmp_path: Path, elsewhere: Path) -> None:
    """A relative path starts at the destinations file, wherever the process works; presets and files may be mixed."""
    (tmp_path / "more").mkdir()
    mapping_file(tmp_path, "more/orders.yaml")
    destination = only(
        tmp_path,
        "    mappings: [segmento-user-events, more/orders.yaml]\n    segmento: {phonebook_id: 7}\n",
    )
    assert "shipped" in [mapping.name for mapping in destination.mappings]
    assert len(destination.files) == 2


def test_disabled_mappings_take_no_part(tmp_path: Path) -> None:
    """A mapping that is not enabled is checked, and that is all."""
    mapping_file(tmp_path, "m.yaml", enabled="false")
    assert only(tmp_path, "    mappings: m.yaml\n").mappings == ()


@pytest.mark.parametrize(
    ("mappings", "expected"),
    [
        (
            "segment-msg9",
            "mappings[0]: there is no such preset, and no such file beside this one. Did you mean segment-msg91?",
        ),
        ("[segment-msg91, nowhere.yaml]", "mappings[1]: there is no such preset, and no such file"),
    ],
)
def test_missing_mapping_file(tmp_path: Path, mappings: str, expected: str) -> None:
    """A mapping file that is not there is named by its key, with the presets."""
    with pytest.raises(ConfigurationError) as caught:
        only(tmp_path, f"    mappings: {mappings}\n")
    assert expected in str(caught.value)


def test_problems_of_mapping_files_come_along(tmp_path: Path) -> None:
    """What is wrong in mapping files is told in the same breath, with their own lines, once for each file."""
    (tmp_path / "m.yaml").write_text(
        "mappings:\n  - {name: a, action: send_smss, trigger: type = track, mapping: {}}\n"
    )
    text = (
        f"destinations:\n  - {{name: a, authkey: {KEY}, mappings: m.yaml}}\n"
        f"  - {{name: b, authkey: {KEY}, mappings: m.yaml, mode: x}}\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, text)
    shown = str(caught.value)
    assert "destinations[1].mode: expected live" in shown
    assert "Did you mean send_sms?" in shown
    assert f"{tmp_path / 'm.yaml'}:2:" in shown


def test_mapping_names_are_unique_in_a_destination(tmp_path: Path) -> None:
    """Two mappings of one name would be one delivery; the second file is refused."""
    mapping_file(tmp_path, "a.yaml")
    mapping_file(tmp_path, "b.yaml")
    with pytest.raises(ConfigurationError, match=r"two of these files have a mapping 'shipped'.*rename one"):
        only(tmp_path, "    mappings: [a.yaml, b.yaml]\n")


def test_missing_phonebook_is_found_at_start(tmp_path: Path) -> None:
    """What an action needs of the destination is checked when the file is loaded, not with the first event."""
    with pytest.raises(ConfigurationError, match=r"the mappings use record_user_events, but .*phonebook_id"):
        only(tmp_path, "    mappings: segmento-user-events\n")


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (
            "    actions: {send_sm: {attempts: 1}}",
            "4:15: destinations[0].actions.send_sm: there is no such action. Did you mean",
        ),
        ("    actions: {zzz: {}}", "there is no such action. The actions are send_sms"),
        ("    mode: allow-list\n    allow_list: [123]", "5:18: destinations[0].allow_list[0]: "),
        ("    actions: {send_sms: {horizon: 80h}}", "4:35: destinations[0].actions.send_sms.horizon: 288000 s is"),
        (
            "    callbacks: {secrets: '0123456789abcdef'}\n    actions: {send_otp: {report_window: 80h}}",
            "5:41: destinations[0].actions.send_otp.report_window: 288000 s is",
        ),
        (
            "    actions: {send_sms: {report_window: 1h}}",
            "4:41: destinations[0].actions.send_sms.report_window: no report can come",
        ),
    ],
)
def test_checks_across_keys_name_their_place(tmp_path: Path, keys: str, expected: str) -> None:
    """What only the whole shows is reported where it stands, like everything else."""
    with pytest.raises(ConfigurationError) as caught:
        only(tmp_path, keys + "\n")
    assert expected in str(caught.value)


def test_number_of_the_allow_list_is_not_shown(tmp_path: Path) -> None:
    """An error about a number does not repeat it."""
    with pytest.raises(ConfigurationError) as caught:
        only(tmp_path, "    mode: allow-list\n    allow_list: ['+91 12345 67']\n")
    assert "12345" not in str(caught.value)


def test_horizon_is_measured_by_the_settings(tmp_path: Path) -> None:
    """A shorter life of records makes a horizon wrong that was right before."""
    keys = "    actions: {send_sms: {horizon: 5h}}\n"
    assert only(tmp_path, keys)
    with pytest.raises(ConfigurationError, match="not shorter than the life of a record"):
        only(tmp_path, keys, MSG91_DESTINATION_RECORD_TTL="5h", MSG91_DESTINATION_REPORT_WINDOW="1h")


def test_reports_are_expected_where_they_can_come(tmp_path: Path) -> None:
    """With a secret, of actions with a correlation id, within the time of the settings, unless an action says else."""
    keys = """\
    callbacks: {secrets: 0123456789abcdef}
    actions: {send_otp: {report_window: 30m}, send_flow_sms: {report_window: 0s}}
    whatsapp: {correlation: false}
"""
    found = only(tmp_path, keys, MSG91_DESTINATION_REPORT_WINDOW="5h")
    windows = {name: policy.report_window for name, policy in found.policies.items() if policy.report_window}
    assert windows == {"send_sms": 5 * 3600, "send_otp": 1800}
    assert not any(policy.report_window for policy in only(tmp_path, "").policies.values())


def test_the_environment_alone_can_take_callbacks() -> None:
    """Without a destinations file one variable has the secret; a bad one is named."""
    environ = {"MSG91_AUTHKEY": KEY, "MSG91_DESTINATION_CALLBACK_SECRET": "0123456789abcdef"}
    (found,) = load_destinations(None, environ)
    assert [one.get_secret_value() for one in found.configuration.callbacks.secrets] == ["0123456789abcdef"]
    with pytest.raises(ConfigurationError, match="MSG91_DESTINATION_CALLBACK_SECRET"):
        load_destinations(None, {**environ, "MSG91_DESTINATION_CALLBACK_SECRET": "with space"})


# -- loading again ----------------------------------------------------------------------------------------------


def touch(path: Path, text: str | None = None) -> None:
    """Give a file another date, and perhaps another content."""
    if text is not None:
        path.write_text(text)
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))


def test_change_is_noticed(tmp_path: Path) -> None:
    """Another content of the destinations file or of a mapping file is a change; another date alone is none."""
    mapping_file(tmp_path, "m.yaml")
    text = f"destinations: [{{name: a, authkey: {KEY}, mappings: m.yaml}}]"
    found = load(tmp_path, text)
    assert not found.changed()
    touch(tmp_path / "destinations.yaml")
    touch(tmp_path / "m.yaml")
    assert not found.changed()
    mapping_file(tmp_path, "m.yaml", mapping="other")
    touch(tmp_path / "m.yaml")
    assert found.changed()
    again = load(tmp_path, text)
    assert again.fingerprint != found.fingerprint
    assert not again.changed()
    touch(tmp_path / "destinations.yaml", text + "\n")
    assert again.changed()


def test_file_that_vanishes_or_appears_is_a_change(elsewhere: Path) -> None:
    """A file that is gone is a change, and so is the file that appears where there was none."""
    found = load_destinations(None, {"MSG91_AUTHKEY": KEY})
    assert not found.changed()
    (elsewhere / "destinations.yaml").write_text(f"destinations: [{{name: a, authkey: {KEY}}}]")
    assert found.changed()
    found = load_destinations(None, {"MSG91_AUTHKEY": KEY})
    assert found.names == ("a",)
    (elsewhere / "destinations.yaml").unlink()
    assert found.changed()


def test_broken_file_leaves_the_old_destinations_alone(tmp_path: Path) -> None:
    """Loading a broken file raises; the destinations in use stay as they were, for they cannot change."""
    found = load(tmp_path, THREE)
    with pytest.raises(ConfigurationError):
        load(tmp_path, "destinations: [")
    assert found.names == ("shop", "news", "MSG91")
    with pytest.raises(AttributeError):
        found.all = ()  # type: ignore[misc]
    with pytest.raises(TypeError):
        found.all[0].lanes["sms"] = None  # type: ignore[index]


def test_no_secret_is_shown(tmp_path: Path) -> None:
    """Neither authkey nor write keys are in a repr, wherever it may end up."""
    text = "destinations: [{name: a, authkey: TOPSECRET1, write_keys: [TOPSECRET2]}]"
    found = load(tmp_path, text)
    shown: Any = f"{found!r} {found.all[0]!r} {found.all[0].configuration!r} {found.warnings}"
    assert "TOPSECRET" not in shown


def test_warnings_name_their_place(tmp_path: Path) -> None:
    """A literal authkey is a warning with line and column; one from the environment is none."""
    (warning,) = load(tmp_path, "destinations:\n  - name: a\n    authkey: literal\n").warnings
    assert str(warning).startswith(
        f"{tmp_path / 'destinations.yaml'}:3:14: destinations[0].authkey: the authkey stands"
    )
    assert load(tmp_path, "destinations: [{name: a, authkey: '${K}'}]", K=KEY).warnings == ()
