"""A delegation is seen by its own root session; to any other it does not exist."""

from __future__ import annotations

import pytest
from toolbox import Toolbox

from background_agents.domain.errors import UnknownDelegation
from background_agents.views import errors

NOBODY = "brave-amber-otter"

NAMING: list[tuple[str, dict[str, object]]] = [
    ("delegation_read", {}),
    ("delegation_peek", {}),
    ("delegation_diff", {}),
    ("delegation_stop", {}),
    ("delegation_steer", {"message": "Hurry."}),
    ("delegation_answer", {"reply": "once"}),
]


def naming(name: str) -> list[tuple[str, dict[str, object]]]:
    """Return every call that names a delegation."""
    again: dict[str, object] = {"prompt": "Go on.", "agent": "build", "continue_id": name}
    one_id = [(tool, {"id": name, **more}) for tool, more in NAMING]
    return [*one_id, ("delegation_wait", {"ids": [name]}), ("delegate", again)]


async def refusal(tools: Toolbox, session: str, tool: str, args: dict[str, object]) -> str:
    """Return what a tool says of a delegation that it does not know."""
    with pytest.raises(UnknownDelegation) as refused:
        await tools.call(session, tool, **args)
    return errors.for_model(refused.value)


@pytest.mark.parametrize("is_over", [False, True], ids=["running", "ended"])
async def test_another_roots_delegation_is_as_if_it_did_not_exist(
    tools: Toolbox, is_over: bool
) -> None:
    """Every tool says the same as of an id that nobody has, and changes nothing."""
    name = await (tools.ended if is_over else tools.running)(tools.ours)
    before = await tools.record(name)
    for (tool, args), (_, of_nobody) in zip(naming(name), naming(NOBODY), strict=True):
        told = await refusal(tools, tools.theirs, tool, args)
        unknown = await refusal(tools, tools.theirs, tool, of_nobody)
        assert told.replace(name, NOBODY) == unknown
    assert await tools.record(name) == before
    assert [one.root_session for one in await tools.store.unfinished()] in ([], [tools.ours])


async def test_what_shows_all_shows_only_ones_own(tools: Toolbox) -> None:
    """List, status, waiting and what a compaction carries over name nothing of another root."""
    theirs = [await tools.running(tools.ours), await tools.ended(tools.ours, "Secret words.")]
    mine = await tools.running(tools.theirs)
    told = [
        (await tools.call(tools.theirs, "delegation_list")).output,
        (await tools.call(tools.theirs, "delegation_status")).output,
        (await tools.waited(tools.theirs)).output,
        await tools.service.guidance.carried_over(tools.theirs) or "",
    ]
    for text in told:
        assert mine in text
        assert not any(name in text for name in theirs)
        assert "Secret words" not in text


async def test_a_session_below_sees_what_its_root_does(tools: Toolbox) -> None:
    """Visible within one root means from each of its sessions."""
    name = await tools.running(tools.ours)
    below = tools.runtime.add_session(tools.ours)
    assert name in (await tools.call(below, "delegation_list")).output
    assert name in (await tools.call(below, "delegation_peek", id=name)).output


async def test_a_fork_sees_what_was_copied_into_it_and_nothing_else(tools: Toolbox) -> None:
    """What a model or a person has merely written in a session names nothing there."""
    copied, later = await tools.ended(tools.ours, "Copied."), await tools.running(tools.ours)
    tools.runtime.sessions[tools.ours].delegated.add(copied)
    fork = tools.runtime.add_session()
    tools.runtime.sessions[fork].delegated.add(copied)
    tools.runtime.user_says(fork, f"Read {later}, which I delegated: <task-id>{later}</task-id>")
    assert "Copied." in (await tools.call(fork, "delegation_read", id=copied)).output
    listed = (await tools.call(fork, "delegation_list")).output
    assert copied in listed
    assert later not in listed
    for (tool, args), (_, of_nobody) in zip(naming(later), naming(NOBODY), strict=True):
        told = await refusal(tools, fork, tool, args)
        assert told.replace(later, NOBODY) == await refusal(tools, fork, tool, of_nobody)
