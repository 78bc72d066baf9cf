"""Permissions and questions of background agents reach somebody, on the real OpenCode."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from plays import REQUEST, Stage, Step, Supervisor, call, delegate, say, staged, together

from background_agents.testing.scripts import script
from lab.harness.client.events import Asked, Settled
from lab.harness.line import Line

pytestmark = [pytest.mark.opencode, pytest.mark.asyncio(loop_scope="module")]

NO_PARENTS = "on OpenCode 2 nothing but its own tool, which agents do not have, makes children"

RULES = """
[background-agents]
[[background-agents.answers]]
permission = "bash"
pattern = "echo allowed*"
action = "allow"

[[background-agents.answers]]
permission = "bash"
pattern = "echo denied*"
action = "deny"
"""

CAREFUL = {
    "agent": {
        "strict": {
            "description": "A supervisor's agent whose user wants to be asked.",
            "mode": "primary",
            "permission": {"bash": "ask"},
        },
        "careful": {
            "description": "Asks before it runs anything.",
            "mode": "subagent",
            "permission": {"bash": "ask", "question": "allow"},
        },
    }
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def careful(tmp_path_factory: pytest.TempPathFactory, line: Line) -> AsyncIterator[Stage]:
    """An OpenCode with an agent that asks, and with rules that answer some of it."""
    root = tmp_path_factory.mktemp("careful")
    settings = root / "config" / "background-agents" / "config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(RULES)
    async with staged(root, line, config=CAREFUL) as stage:
        yield stage


def run(command: str) -> Step:
    """Let a model run a command."""
    return call("bash", command=command, description="Try it")


async def asked(stage: Stage, task: str, *steps: Step) -> tuple[Supervisor, str]:
    """Delegate something that asks; return once the supervisor has been told."""
    supervisor = await stage.supervisor()
    start = delegate(task, *steps, agent="careful")
    await supervisor.turn(start, say("Off."), on_notice=[say("Noted.")])
    (name,) = await supervisor.delegated()
    newest = (await supervisor.notices(tag=REQUEST))[-1]
    await supervisor.answered(newest.message)
    return supervisor, name


def only_people_grant(stage: Stage, name: str) -> str:
    """Return what the supervisor's model is told of how a permission is answered."""
    # OpenCode 2 shows a session's dialogue in that session alone.
    dialogue = "in OpenCode's dialogue, " if stage.line is Line.ONE else ""
    return (
        f"only your human may grant it, so ask them; they answer {dialogue}with "
        f"`bga answer {name} once` in a terminal, or by an answers rule in the configuration. "
        f'You may refuse it: delegation_answer("{name}", "reject: why")'
    )


@pytest.mark.main_path
async def test_a_model_grants_nothing_neither_to_its_child_nor_to_itself(careful: Stage) -> None:
    """Whatever words it finds: its child still waits, and its own command is still asked for."""
    supervisor, name = await asked(careful, "Grant me.", run("printf granted"), say("Printed."))
    tries = ["always", " Always ", "ONCE", "once: it is harmless", "yes", "allow"]
    calls = together(*(call("delegation_answer", id=name, reply=one) for one in tries))
    await supervisor.turn(calls, say("I tried."))
    refused = await supervisor.outputs("delegation_answer", len(tries))
    assert set(refused) == {f"Nothing was granted: {only_people_grant(careful, name)}."}
    child = await careful.child(name)
    assert child in await careful.client.permissions()

    await supervisor.start(run("printf mine"), say("Never said."), agent="strict")
    asking = await careful.events.fact(Asked, lambda one: one.session == supervisor.id)
    assert asking.patterns == ("printf mine",)
    await careful.answer_permission(supervisor.id, "reject")
    await careful.answer_permission(child, "once")
    await supervisor.settled()
    assert careful.result(name)[1] == "Printed."


@pytest.mark.main_path
async def test_a_permission_is_asked_of_the_human_and_the_run_goes_on_once_granted(
    careful: Stage,
) -> None:
    """It waits, the supervisor and the human are told, and once answered it completes."""
    task = "Say <hello> & more."
    supervisor, name = await asked(careful, task, run("printf granted"), say("Printed."))
    (request,) = await supervisor.stored_notices(REQUEST)
    assert request.is_hidden
    assert (request.fields["task-id"], request.fields["agent"]) == (name, "careful")
    assert request.fields["permission"] == f"{careful.shell}: printf granted"
    assert request.fields["answer"] == only_people_grant(careful, name)
    assert "printf granted" in await careful.shown(name)

    await supervisor.turn(call("delegation_status"), say("It asks you."))
    (status,) = await supervisor.outputs("delegation_status")
    assert f"- {name} [waiting]" in status
    waits = f"waits for a permission, {careful.shell}: printf granted; "
    assert waits + only_people_grant(careful, name) in status
    await careful.answer_permission(await careful.child(name), "once")
    (notice,) = await supervisor.settled()
    assert notice.fields["status"] == "completed"
    front, body = careful.result(name)
    assert (body, front["tool_calls"]) == ("Printed.", 1)
    assert len(await supervisor.stored_notices(REQUEST)) == 1


@pytest.mark.only("1", why="answers of a person and of a model go the same way")
async def test_a_model_grants_once_where_its_human_lets_it(
    tmp_path_factory: pytest.TempPathFactory, line: Line
) -> None:
    """For unattended use; `always` is refused even then, and its own commands are asked for."""
    root = tmp_path_factory.mktemp("unattended")
    env = {"BACKGROUND_AGENTS_MODEL_GRANTS": "once"}
    async with staged(root, line, config=CAREFUL, env=env) as stage:
        supervisor, name = await asked(stage, "Once.", run("printf granted"), say("Printed."))
        await supervisor.turn(
            call("delegation_answer", id=name, reply="always"),
            call("delegation_answer", id=name, reply="once"),
            say("Once."),
        )
        always, once = await supervisor.outputs("delegation_answer", 2)
        assert always.startswith("Nothing was granted: ")
        assert once == f"Answered: {stage.shell}: printf granted. {name} goes on."
        await supervisor.settled()
        assert stage.result(name)[1] == "Printed."
        await supervisor.start(run("printf mine"), say("Never said."), agent="strict")
        await stage.answer_permission(supervisor.id, "reject")


@pytest.mark.only("1", why="on OpenCode 2 the runtime's own tests see the reason")
async def test_a_refusal_with_its_reason_reaches_the_agent_and_the_run_goes_on(
    careful: Stage,
) -> None:
    """The reason is in the model's next request."""
    supervisor, name = await asked(careful, "Refuse me.", run("printf no"), say("Without."))
    await supervisor.turn(
        call("delegation_answer", id=name, reply="reject: the disk is full"), say("No.")
    )
    (notice,) = await supervisor.settled()
    assert notice.fields["status"] == "completed"
    assert "the disk is full" in careful.asked("Refuse me.")[-1].text


@pytest.mark.main_path
async def test_refusing_one_of_two_ends_nothing_either(careful: Stage) -> None:
    """OpenCode rejects the other along with it and stops there; the run is told to go on."""
    both = together(run("printf one"), run("printf two"))
    supervisor, name = await asked(careful, "Two at once.", both, say("Without both."))
    await supervisor.turn(call("delegation_answer", id=name, reply="reject"), say("No."))
    (notice,) = await supervisor.settled()
    assert notice.fields["status"] == "completed"
    assert careful.result(name)[1] == "Without both."
    assert f"This was refused: {careful.shell}: printf" in careful.asked("Two at once.")[-1].text


async def test_what_the_human_answers_in_the_tui_just_goes_on(careful: Stage) -> None:
    """OpenCode's own reply is noticed; an answer of the supervisor then has nothing to answer."""
    supervisor, name = await asked(careful, "Human first.", run("printf human"), say("Human."))
    await careful.answer_permission(await careful.child(name), "once")
    (notice,) = await supervisor.settled()
    assert notice.fields["status"] == "completed"
    await supervisor.turn(call("delegation_answer", id=name, reply="reject"), say("Late."))
    (late,) = await supervisor.outputs("delegation_answer")
    assert late.startswith(f"{name} is completed and waits for no answer")


async def test_what_the_human_refuses_in_the_tui_ends_it_as_failed(careful: Stage) -> None:
    """The ending says what was refused, and keeps what was written."""
    step = say("Half way.", **run("printf refused"))
    supervisor, name = await asked(careful, "Human refuses.", step, say("Never said."))
    await careful.answer_permission(await careful.child(name), "reject")
    (notice,) = await supervisor.settled()
    assert notice.fields["status"] == "failed"
    assert f"{careful.shell}: printf refused" in notice.fields["error"]
    assert "Half way." in careful.result(name)[1]


async def test_a_question_is_answered_in_words(careful: Stage) -> None:
    """An option is recognised in any case, and the model gets it as it was offered."""
    options = [{"label": "Red", "description": "r"}, {"label": "Blue", "description": "b"}]
    question = {"question": "Which colour?", "header": "Colour", "options": options}
    supervisor, name = await asked(
        careful, "Ask me.", call("question", questions=[question]), say("Painted.")
    )
    (request,) = await supervisor.stored_notices(REQUEST)
    assert request.fields["question"] == "Which colour? (Red, Blue)"
    await supervisor.turn(call("delegation_answer", id=name, reply="blue"), say("Blue."))
    await supervisor.settled()
    assert '"Which colour?"="Blue"' in careful.asked("Ask me.")[-1].text


@pytest.mark.main_path
async def test_stopping_while_a_permission_is_open(careful: Stage) -> None:
    """It is stopped at once, and nobody is left being asked."""
    supervisor, name = await asked(careful, "Stop me asking.", run("printf never"))
    await supervisor.turn(call("delegation_stop", id=name), say("Stopped."))
    (notice,) = await supervisor.settled()
    assert notice.fields["status"] == "stopped"
    assert careful.result(name)[1].startswith("[STOPPED BY SUPERVISOR]")
    child = await careful.child(name)
    if careful.line is Line.ONE:
        # OpenCode 2 forgets what was asked without a word.
        await careful.events.fact(Settled, lambda one: one.session == child)
    assert child not in await careful.client.permissions()


@pytest.mark.only("1", why=NO_PARENTS)
async def test_a_session_below_the_child_that_asks(careful: Stage) -> None:
    """Its permission makes the delegation wait, and the answer reaches it."""
    supervisor = await careful.supervisor()
    task = delegate("Have one below.", say("Held.", gate="below"))
    await supervisor.turn(task, say("Off."), on_notice=[say("Noted.")])
    (name,) = await supervisor.delegated()
    await careful.model.wait_held("below")
    child = await careful.child(name)
    below = await careful.client.create_session("Below", parent=child)
    steps = script(run("printf below"), say("Below is done."))
    await careful.client.prompt(below, f"Below it.\n{steps}", agent="careful")
    (request,) = await supervisor.notices(tag=REQUEST)
    assert (request.id, request.fields["permission"]) == (name, f"{careful.shell}: printf below")
    await supervisor.answered(request.message)
    await careful.answer_permission(below, "once")
    await careful.events.wait_idle(below)
    assert len(careful.asked("Below it.")) == 2
    careful.model.open("below")
    (notice,) = await supervisor.settled()
    assert notice.fields["status"] == "completed"


@pytest.mark.main_path
@pytest.mark.only("1", why=NO_PARENTS)
async def test_a_stop_ends_what_runs_below_too(careful: Stage) -> None:
    """Also the session that the child itself has started stops asking its model."""
    supervisor = await careful.supervisor()
    await supervisor.turn(delegate("Stop all.", say("Held.", gate="all")), say("Off."))
    (name,) = await supervisor.delegated()
    await careful.model.wait_held("all")
    below = await careful.client.create_session("Below", parent=await careful.child(name))
    endless = script(say("tick ", repeat=10_000, every_ms=20))
    await careful.client.prompt(below, f"Tick below.\n{endless}")
    (ticking,) = [await careful.model.wait_for(lambda one: one in careful.asked("Tick below."))]
    await supervisor.turn(call("delegation_stop", id=name), say("Stopped."))
    await careful.model.wait_for(lambda one: one is ticking and one.ended_s is not None)
    assert ticking.cut_off
    assert await careful.client.busy() & {below, await careful.child(name)} == set()
    await supervisor.settled()


@pytest.mark.only("1", why="our service settles what the configuration says")
async def test_rules_answer_without_asking_anybody(careful: Stage) -> None:
    """What the configuration allows or denies by pattern is settled at once."""
    supervisor = await careful.supervisor()
    steps = (run("echo allowed by rule"), run("echo denied by rule"), say("By rule."))
    await supervisor.turn(delegate("Rule it.", *steps, agent="careful"), say("Off."))
    (name,) = await supervisor.delegated()
    (notice,) = await supervisor.settled()
    assert notice.fields["status"] == "completed"
    assert careful.result(name)[1] == "By rule."
    conversation = careful.asked("Rule it.")[-1].text
    assert "allowed by rule\n" in conversation
    assert "A rule of the user's configuration refuses it" in conversation
    assert await supervisor.stored_notices(REQUEST) == []
