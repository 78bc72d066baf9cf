"""No secret is ever read in the log, at whatever level, whoever put it into an error."""

from __future__ import annotations

import base64
import logging
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from bridged import Fetch, data_root, service_in
from fuzzing import fuzzed
from hypothesis import given
from hypothesis import strategies as st

from background_agents.log import HALF_CHARS, LINE_CHARS, BlottingFormatter, secrets_of

PASSWORD = "correct horse battery"
HEADER = base64.b64encode(f"opencode:{PASSWORD}".encode()).decode()

ENVIRONMENT = {
    "OPENCODE_SERVER_PASSWORD": PASSWORD,
    "ACME_API_KEY": "plain-words-that-no-pattern-knows",
    "SOME_TOKEN": "another(strange)value",
}

STORED_KEY = "sk-proj-Ab3dEf6hIj9kLm2nOp5q"
"""A provider's key that stands in a file of OpenCode's, where we cannot see it."""

FORMATTER = BlottingFormatter(secrets_of(ENVIRONMENT))


def written(message: str, **more: object) -> str:
    """Return the line that a message becomes in the log."""
    about = {"msg": message, "args": (), "levelname": "ERROR", "name": "x", **more}
    return FORMATTER.format(logging.makeLogRecord(about))


def test_the_services_log_names_none(tmp_path: Path) -> None:
    """Errors that quote the password, its header and keys are logged without them."""
    sent: list[str] = []

    def quoting(request: Fetch) -> Mapping[str, object]:
        headers = request["headers"]
        assert isinstance(headers, dict)
        sent.append(headers["authorization"])
        words = f"headers {headers}; {PASSWORD}; {STORED_KEY}; {ENVIRONMENT['ACME_API_KEY']}"
        if len(sent) % 2:
            return {"error": {"code": -32603, "message": words}}
        return {"result": {"status": 401, "body": words}}

    hook = {"instance": 1, "hook": "system", "session": "ses_1", "system": "You are opencode."}
    with service_in(tmp_path, BACKGROUND_AGENTS_LOG="debug", **ENVIRONMENT) as service:
        service.fetched = quoting
        service.attach()
        for _ in range(4):
            service.ask("hook", hook)
            service.tool("delegate", prompt="Find out.", agent="build")
        service.send({"id": 77, "error": {"code": 1, "message": f"Basic {HEADER} {PASSWORD}"}})
        service.send({"method": "unheard", "params": {"password": PASSWORD}})
        service.send_raw(f"{{no json {PASSWORD}\n".encode())
        service.ask("nothing", {})
    log = (data_root(tmp_path) / "service.log").read_text()
    assert set(sent) == {f"Basic {HEADER}"}
    assert "did not take" in log
    assert "(401)" in log
    assert "the peer reports: Basic ***" in log
    for text in (log, (tmp_path / "stderr").read_text()):
        for secret in (PASSWORD, HEADER, STORED_KEY, *ENVIRONMENT.values()):
            assert secret not in text


@pytest.mark.parametrize(
    "words",
    [
        "Incorrect API key provided: {}.",
        "headers={{'authorization': 'Bearer {}'}}",
        '{{"Authorization":"Basic {}"}}',
        "https://user:{}@example.org/v1",
    ],
)
@pytest.mark.parametrize(
    "secret",
    [
        "sk-ant-api03-Xy7Zw8Vu9Ts0Rq1Po2",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "AKIAIOSFODNN7EXAMPLE",
        "AIzaSyA1b2C3d4E5f6G7h8I9j0",
        "xoxb-123456789012-abcdefghij",
    ],
)
def test_what_looks_like_a_secret_is_blotted_out(words: str, secret: str) -> None:
    """Keys as providers make them, also those that no variable of ours holds."""
    line = written(words.format(secret))
    assert secret not in line
    assert "***" in line


@pytest.mark.parametrize(
    "words",
    [
        "brave-amber-otter is not stored yet: The database /x/delegations.db cannot be used",
        "OpenCode refused POST /session/ses_5cae21d0bffeF1RQnqWj2MNBcL/prompt_async (400): no",
        "the hook system said nothing for ses_1: basic understanding is missing",
        "no log file at /home/somebody/skill-share/service.log: Permission denied",
        "ask_for_the_skeleton_key_2024 at http://localhost:4096/session/status",
    ],
)
def test_what_is_no_secret_can_be_read(words: str) -> None:
    """Ids, paths and addresses are what a log is for."""
    assert written(words).endswith(words)


def test_a_traceback_is_blotted_too() -> None:
    """An exception's own words are in its traceback as well."""
    try:
        raise ValueError(f"wrong: {PASSWORD} in {HEADER}")
    except ValueError:
        text = written("It failed.", exc_info=sys.exc_info())
    assert "ValueError: wrong: *** in ***" in text


def test_a_short_value_blots_nothing() -> None:
    """A variable that holds ``1`` must not make every line unreadable."""
    assert secrets_of({"MY_KEY": "1", "A_TOKEN": "", "PATH": "/usr/bin:/bin"}) == frozenset()


@fuzzed
@given(st.text(), st.text(), st.sampled_from([PASSWORD, HEADER, *ENVIRONMENT.values()]))
def test_a_message_is_one_bounded_line_without_secrets(
    before: str, after: str, secret: str
) -> None:
    """What an agent wrote can forge no second line and hide no secret."""
    line = written(f"{before}{secret}{after}")
    assert secret not in line
    assert len(line.splitlines()) == 1
    assert len(line) <= LINE_CHARS


def test_a_secret_is_not_left_in_halves_where_a_line_is_cut() -> None:
    """Blotted first, cut then."""
    for length in range(LINE_CHARS - 100, LINE_CHARS + 1):
        assert PASSWORD[:8] not in written("x" * length + PASSWORD)


@pytest.mark.parametrize(
    "unit",
    [
        *("sk-", "sk_", "gh", "AKIA", "AIza", "xoxb-a-", "Basic ", "Bearer Bearer ", "Basic\t"),
        *("basic a/", "://", "://a", "://a:", "a:", "a@", "://a:a", " ", "-", "\n", "x"),
        *("sk-abcdefghijklm ", PASSWORD[:-1], HEADER[:-1], "sk-\u0661"),
    ],
)
def test_no_text_takes_more_time_than_its_length(unit: str) -> None:
    """What agents write must not hold up the loop: 16 times the text, some 16 times the time."""

    def took_s(chars: int) -> float:
        message = (unit * chars)[:chars]
        times = []
        for _ in range(3):
            start = time.process_time()
            written(message)
            times.append(time.process_time() - start)
        return min(times)

    a_little_s = 0.002  # below it, a clock says nothing
    small, large = took_s(2_000), took_s(32_000)
    assert large < max(64 * small, a_little_s), (small, large)
    huge = took_s(1_000_000)
    assert huge < 64 * max(large, a_little_s), (large, huge)


@pytest.mark.parametrize("end", ["head", "tail"])
def test_where_a_long_record_is_cut_no_half_of_a_secret_stays(end: str) -> None:
    """Its middle is left out, and what stands beside the cut with it."""
    for before in range(0, 60, 7):
        at = HALF_CHARS - before
        long = "x " * (3 * HALF_CHARS)
        around = (long[:at], long[at:]) if end == "head" else (long[:-at], long[-at:])
        filled = FORMATTER._blot(f"{around[0]}{PASSWORD} Bearer {HEADER}{around[1]}")
        assert PASSWORD[:6] not in filled
        assert HEADER[-8:] not in filled
        assert len(filled) <= 2 * HALF_CHARS
