"""What was delegated is done once more, by the model and by a person, and several times at once."""

from __future__ import annotations

import msgspec
import pytest
from plays import Stage, call, delegate, say
from terminal_user import TerminalUser

from background_agents.testing.scripts import script
from background_agents.views.json import Sheet

pytestmark = [
    pytest.mark.opencode,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.only("2", why="what is done once more is registered like anything else"),
]


@pytest.fixture
def user(stage: Stage) -> TerminalUser:
    return TerminalUser(stage.opencode.home)


async def test_a_model_does_one_once_more_without_its_prompt(stage: Stage) -> None:
    """The id is enough; what is said beside it is other than it was."""
    supervisor = await stage.supervisor()
    await supervisor.turn(
        delegate("Do it.", say("Done."), timeout_minutes=3),
        say("Off."),
        on_notice=[call("delegate", retry_id="{id}"), say("Once more.")],
    )
    first, second = await supervisor.delegated(2)
    await supervisor.settled(2)

    front, body = stage.result(second)
    assert body == "Done."
    assert (front["retry_of"], front["agent"]) == (first, "general")
    assert front["prompt"] == stage.result(first)[0]["prompt"]
    assert "retry_of" not in stage.result(first)[0]


async def test_a_person_does_it_once_more(stage: Stage, user: TerminalUser) -> None:
    """Its conversation hears of it with the next turn, and is not woken."""
    supervisor = await stage.supervisor()
    await supervisor.turn(
        delegate("Do it again.", say("Done.")), say("Off."), on_notice=[say("Noted.")]
    )
    (first,) = await supervisor.delegated()
    await supervisor.settled()
    turns = await supervisor.turns()

    ran = await user.run("retry", first[:-2], "--wait")
    assert (ran.code, ran.out) == (0, "Done.\n"), ran.err
    second = ran.err.split(" ", 1)[0]
    shown = await user.run("show", second)
    assert f"retry       of {first}" in shown.out
    told = msgspec.json.decode((await user.run("wait", second, "--json")).out, type=list[Sheet])
    assert (told[0].retry_of, told[0].parent_session) == (first, supervisor.id)
    assert {one.id for one in await supervisor.notices(2)} == {first, second}
    assert await supervisor.turns() == turns

    refused = await user.run("retry", first, "--agent", "nobody")
    assert refused.code == 2
    assert refused.err.startswith("No agent is called 'nobody'")


async def test_several_tries_are_compared(stage: Stage, user: TerminalUser) -> None:
    """Each works apart: nothing of it is in the project."""
    await (await stage.supervisor()).turn(say("The project is open."))
    writes = call("bash", command="printf 'one\\ntwo\\n' > tried.txt", description="Work")
    prompt = f"Try it.\n{script(writes, say('Tried.'))}"
    ran = await user.run("delegate", "general", "-", "--tries", "3", given=prompt)
    assert ran.code == 0, ran.err
    head, *rows = ran.out.splitlines()
    assert head.split() == ["id", "state", "changes", "cost", "time", "model"]
    *begun, then = ran.err.splitlines()
    assert "`bga apply ID` takes it over" in then
    names = [line.split(" ", 1)[0] for line in begun]
    assert [row.split()[0] for row in rows] == names
    assert {row.split()[1] for row in rows} == {"completed"}
    assert len(set(names)) == 3
    assert all("  1 file +2 -0  " in row for row in rows), ran.out
    assert not (stage.opencode.home.project / "tried.txt").exists()

    models = "scripted/one,scripted/two"
    json = await user.run("delegate", "general", "-", "--models", models, "--json", given=prompt)
    made = msgspec.json.decode(json.out, type=list[Sheet])
    assert [one.model for one in made] == models.split(",")
    assert {one.state for one in made} == {"completed"}
    assert [one.changes and one.changes.files for one in made] == [1, 1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--tries", "1"), "1 tries cannot be compared; give --tries a number from 2 to 16."),
        (("--tries", "17"), "17 tries cannot be compared; give --tries a number from 2 to 16."),
        (("--models", "a/b"), "1 tries cannot be compared; give --tries a number from 2 to 16."),
        (("--tries", "2", "--continue", "x"), "Tries begin anew, each for itself;"),
    ],
)
async def test_so_many_cannot_be_meant(
    user: TerminalUser, words: tuple[str, ...], said: str
) -> None:
    ran = await user.run("delegate", "general", "x", *words)
    assert ran.code == 2
    assert ran.err.startswith(said)
