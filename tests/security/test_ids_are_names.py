"""What a model gives as an id is a name: it is checked as one and never becomes a path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fuzzing import fuzzed
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace
from toolbox import Toolbox

from background_agents.adapters.files.artifacts import MarkdownArtifacts
from background_agents.domain.errors import InvalidRequest
from background_agents.domain.ids import READABLE, is_readable_id
from background_agents.service.checks import check_id
from background_agents.testing.contracts.samples import finished
from background_agents.views import errors

SECRET = "the content of somebody else's file"

HOSTILE = [
    "",
    ".",
    "..",
    "../secret",
    "../../secret",
    "..\\..\\secret",
    "%2e%2e%2fsecret",
    "/etc/passwd",
    "~/secret",
    "file:///etc/passwd",
    "C:\\secret",
    "brave-amber-otter/../../secret",
    "brave-amber-otter.md",
    "brave-amber-otter\x00",
    "brave-amber-otter\x00.md",
    "brave-amber\n-otter",
    "brave-amber-otter\u2028",
    "Brave-Amber-Otter",
    "brave\u2010amber\u2010otter",
    "brave\u2212amber\u2212otter",
    "br\u0430ve-amber-otter",
    "\uff42rave-amber-otter",
    "brave-amber-otter-\u0661",
    "brave-amber-otter-\uff11",
    "brave-amber-o\u0301tter",
    "brave-amber-otter\u200b",
    "\u202erett0-rebma-evarb",
    "brave-amber-otter' OR '1'='1",
    "brave-amber-otter; DROP TABLE delegations",
    "a-b-" + "c" * 21,
    "a" * 10_000,
    "a-" * 5_000,
    "\U0001f9a6" * 2_500,
    "\x00" * 10_000,
    "brave-amber-otter-" + "1" * 10_000,
]

NAMING = [
    ("delegation_read", {}),
    ("delegation_peek", {}),
    ("delegation_diff", {}),
    ("delegation_stop", {}),
    ("delegation_steer", {"message": "Hurry."}),
    ("delegation_answer", {"reply": "once"}),
]
"""Every tool that takes one id, with what else it needs."""


def arguments(given: str) -> list[tuple[str, dict[str, object]]]:
    """Return every call in which a model can give an id."""
    named = [(tool, {"id": given, **more}) for tool, more in NAMING]
    again: dict[str, object] = {"prompt": "Go on.", "agent": "build"}
    return [
        *named,
        ("delegation_wait", {"ids": [given]}),
        *([("delegate", {**again, "continue_id": given})] if given else []),
    ]


@pytest.mark.parametrize("given", HOSTILE, ids=lambda one: ascii(one)[:30])
async def test_what_is_no_name_is_refused_in_one_sentence(
    tools: Toolbox, tmp_path: Path, given: str
) -> None:
    """Each tool refuses it, bounded and on one line, and nothing is read, written or changed."""
    for place in (tmp_path, tmp_path / "delegations"):
        place.mkdir(exist_ok=True)
        (place / "secret.md").write_text(SECRET)
    name = await tools.running(tools.ours)
    before = await tools.record(name)
    for tool, args in arguments(given):
        with pytest.raises(InvalidRequest) as refused:
            await tools.call(tools.ours, tool, **args)
        sentence = errors.for_model(refused.value)
        assert 10 < len(sentence) < 1_000
        assert sentence.isprintable()
        assert SECRET not in sentence
    assert await tools.record(name) == before
    assert [one.id for one in await tools.store.unfinished()] == [name]
    assert not (tmp_path / "delegations" / "project").exists()


@pytest.mark.parametrize("around", ["{}", " {} ", "`{}`", '"{}"', "'{}'\n"])
async def test_a_name_is_known_also_in_quotes(tools: Toolbox, around: str) -> None:
    """Models quote ids now and then; what is inside is what counts."""
    name = await tools.running(tools.ours)
    answer = await tools.call(tools.ours, "delegation_peek", id=around.format(name))
    assert name in answer.output


def refusal(check: Callable[[], object]) -> str | None:
    """Return in which words something is refused; None if it is not."""
    try:
        check()
    except InvalidRequest as refused:
        return errors.for_model(refused)
    return None


@fuzzed
@given(st.text() | st.from_regex(READABLE, fullmatch=True) | st.text("abc-/.\x00\u2010 "))
@example("a-b-c")
def test_an_id_is_plain_ascii_or_refused(given: str) -> None:
    """Nothing but lower-case words, hyphens and a number comes through."""
    refused = refusal(lambda: check_id(given))
    if refused is not None:
        assert refused.isprintable()
        assert len(refused) < 1_000
    else:
        name = check_id(given)
        assert is_readable_id(name)
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz-0123456789")
        assert len(name) < 80


@fuzzed
@given(session=st.text(), name=st.text())
@example(session="ses_x", name="a-b-c")
@example(session="ses_x/../..", name="a-b-c")
@example(session="ses\x00", name="a-b-c")
@example(session="\uff53es_x", name="a-b-c")
@example(session="s" * 10_000, name="a-b-c")
def test_every_path_stays_two_levels_below_its_root(session: str, name: str) -> None:
    """A session's or delegation's id gives a path in its folder, or none at all."""
    root = Path("/data/project")
    artifacts = MarkdownArtifacts(root)
    delegation = replace(finished(), id=name, root_session=session)
    refused = refusal(lambda: artifacts.path(delegation))
    if refused is not None:
        assert len(refused) < 1_000
    else:
        path = artifacts.path(delegation)
        assert path.parent.parent == root
        assert ".." not in path.parts
        assert str(path).isascii()
        assert len(path.parent.name) <= 80
