"""Commands as processes beside a real OpenCode: from another terminal, what runs is worked on."""

from __future__ import annotations

import os
import signal

import msgspec
import pytest
from plays import Stage, Supervisor, call, delegate, say, together
from terminal_user import TerminalUser, ended

from background_agents.testing.scripts import script
from background_agents.views.json import ActiveSheet, PeekSheet, Sheet
from lab.harness.client.events import TextStored

pytestmark = [
    pytest.mark.opencode,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.only("2", why="a command asks our service, and so do the tools that run on both"),
]

OWN_WAY = "sessions and messages are made in each line's own way"

ASKING = {"permission": {"bash": "ask"}}


@pytest.fixture
def user(stage: Stage) -> TerminalUser:
    return TerminalUser(stage.opencode.home)


async def running(stage: Stage, task: str, *steps: dict[str, object]) -> str:
    """Let a supervisor delegate and end its turn; return the id."""
    supervisor = await stage.supervisor()
    await supervisor.turn(delegate(task, *steps), say("Off."), on_notice=[say("Noted.")])
    (name,) = await supervisor.delegated()
    return name


async def test_status_and_peek_show_what_runs(stage: Stage, user: TerminalUser) -> None:
    """As its owner knows it now: state, tokens and what was written last; JSON as documented."""
    name = await running(stage, "Look around.", say("So far so good. ", gate="seen"))
    await stage.model.wait_held("seen")
    await shown_as(user, name, "running")
    status = await user.run("status")
    assert (status.code, status.err) == (0, "")
    assert f"{name}  running  Look around." in status.out
    assert "last: …So far so good." in status.out
    peek = await user.run("peek", name[:-3])  # a prefix is enough
    assert (peek.code, peek.out.strip()) == (0, "So far so good.")
    told = msgspec.json.decode((await user.run("peek", name, "--json")).out, type=PeekSheet)
    assert (told.active.delegation.id, told.text, told.cut) == (name, "So far so good. ", 0)
    stage.model.open("seen")
    await user.run("wait", name)


@pytest.mark.only("1", "2", why=OWN_WAY)
async def test_a_run_is_steered_from_another_terminal(stage: Stage, user: TerminalUser) -> None:
    """The instruction is in the same run's next request, its receipt is shown, and whose it was.

    So it stands in the transcript, which OpenCode keeps.
    """
    steps = (say("First. ", gate="steer"), say("Then.", gate="steered"))
    name = await running(stage, "Go north.", call("bash", command="true", description="x"), *steps)
    await stage.model.wait_held("steer")
    sent = await user.run("steer", name, "Turn", "south.")
    assert (sent.code, sent.err) == (0, "")
    assert sent.out.startswith(f"Sent to {name}")
    stage.model.open("steer")
    await stage.model.wait_held("steered")
    request = stage.asked("Go north.")[-1]
    assert request.messages[-1].text == "Turn south."
    peek = await user.run("peek", name)
    assert "[instruction of the user, taken up: Turn south.]" in peek.out
    assert (await user.run("extend", name, "10")).out.endswith(" in all now.\n")
    stage.model.open("steered")
    assert (await user.run("wait", name)).code == 0
    transcript = await user.run("transcript", name)
    assert (transcript.code, transcript.err) == (0, "")
    pieces = [*transcript.out.split("\n\n"), ""][:6]
    assert pieces[0].startswith("> Go north.\n> ")
    assert pieces[1].endswith(" completed: true]")
    assert [one.strip() for one in pieces[2:]] == ["First.", "> Turn south.", "Then.", ""]


async def test_follow_prints_everything_and_ends_with_the_run(
    stage: Stage, user: TerminalUser
) -> None:
    """From the beginning on, as it comes, tool calls included, to the very last word."""
    steps = (
        call("bash", command="true", description="Nothing") | say("One. ", gate="follow"),
        call("bash", command="true", description="Nothing") | say("Two. ", repeat=50, every_ms=5),
        say("The end."),
    )
    name = await running(stage, "Tell a story.", *steps)
    await stage.model.wait_held("follow")
    process = await user.start("peek", "--follow", name)
    assert process.stdout is not None
    assert await process.stdout.readexactly(5) == b"One. "
    stage.model.open("follow")
    ran = await ended(process)
    assert ran.out.count(f"[{stage.shell} completed: true]") == 2
    assert ran.out.count("Two. ") == 50
    assert ran.out.endswith("The end.\n")
    assert f"{name}  completed" in ran.err
    assert ran.code == 0


async def test_stop_ends_it_and_says_who_did(stage: Stage, user: TerminalUser) -> None:
    """The model's connection is closed, the partial output kept and marked as the user's stop."""
    name = await running(stage, "Count.", say("tick ", repeat=10_000, every_ms=20))
    await stage.model.wait_for(lambda one: one in stage.asked("Count."))
    stopped = await user.run("stop", name)
    assert stopped.code == 0
    assert stopped.out.startswith(f"{name} is stopped; ")
    _, body = stage.result(name)
    assert body.startswith("[STOPPED BY USER] Stopped by the user, from the command line.\n\n")
    again = await user.run("stop", name)
    assert (again.code, again.out) == (0, f"{name} had ended already (stopped).\n")
    late = await user.run("steer", name, "more")
    assert late.code == 2
    assert late.err.startswith(f"{name} has ended (stopped); go on in its session with ")


@pytest.mark.only("1", "2", why=OWN_WAY)
async def test_stop_all_is_told_as_one_message_and_wakes_nobody(
    stage: Stage, user: TerminalUser
) -> None:
    """The model reads of all five with its user's next message, and is asked nothing before."""
    supervisor = await stage.supervisor()
    tasks = [delegate(f"Go on {n}.", say("Half. ", gate="all")) for n in range(5)]
    await supervisor.turn(together(*tasks), say("Off."), on_notice=[say("Woken.")] * 5)
    names = sorted(await supervisor.delegated(5))
    await stage.model.wait_held("all", 5)
    before = len(supervisor.requests)
    stopped = await user.run("stop", "--all")
    assert (stopped.code, stopped.err) == (0, "")
    assert all(f"{name} is stopped; " in stopped.out for name in names)
    notices = await supervisor.notices(5)
    assert sorted(one.id for one in notices) == names
    assert len({one.message for one in notices}) == 1
    await reads_of(supervisor, before, *names)


async def test_a_model_that_waits_hears_of_its_users_stop(stage: Stage, user: TerminalUser) -> None:
    supervisor = await stage.supervisor()
    waits = call("delegation_wait", timeout_seconds=60)
    task = delegate("Be stopped.", say("Half. ", gate="waited for"))
    mark = await supervisor.start(task, waits, say("I hear."), on_notice=[say("Noted.")])
    await stage.model.wait_held("waited for")
    (name,) = await supervisor.delegated()
    assert (await user.run("stop", name)).code == 0
    (waited,) = await supervisor.outputs("delegation_wait")
    assert f"{name}" in waited
    assert "stopped" in waited
    await stage.events.wait_idle(supervisor.id, since=mark)


async def test_going_on_from_a_terminal_wakes_no_open_conversation(
    stage: Stage, user: TerminalUser
) -> None:
    """Whoever began it waits at the terminal; the model reads of it with its next turn."""
    supervisor = await stage.supervisor()
    await supervisor.turn(
        delegate("Begin.", say("Begun.")), say("Off."), on_notice=[say("Noted.")] * 2
    )
    (first,) = await supervisor.settled()
    before = len(supervisor.requests)
    prompt = "Go on.\n" + script({"say": "Gone on."})
    made = await user.run(
        "delegate", "general", "-", "--continue", first.id, "--wait", given=prompt
    )
    assert (made.code, made.out) == (0, "Gone on.\n")
    second = (await supervisor.notices(2))[-1]
    assert second.id != first.id
    await reads_of(supervisor, before, second.id)


async def reads_of(supervisor: Supervisor, before: int, *names: str) -> None:
    """Let the user speak: that is the first request since ``before``, and it holds the notices."""
    turns = await supervisor.turns()
    await supervisor.turn(say("Back."))
    (request,) = supervisor.requests[before:]
    told = "".join(one.text for one in request.messages)
    assert all(f"<task-id>{name}</task-id>" in told for name in names)
    assert await supervisor.turns() == turns + 1


async def test_wait_returns_when_all_have_ended(stage: Stage, user: TerminalUser) -> None:
    """Codes: 0 all completed, 1 one did not, 4 the time was over first."""
    good = await running(stage, "Do well.", say("Well.", gate="good"))
    bad = await running(stage, "Do badly.", {"fail": 400, "message": "No."})
    await stage.model.wait_held("good")
    over = await user.run("wait", good, "--timeout", "0.2s")
    assert (over.code, over.out.split("  ")[:2]) == (4, [good, "running"])
    first = await user.run("wait", "--any", good, bad)
    assert first.code == 1
    waiting = await user.start("wait", good, "--json")
    stage.model.open("good")
    ran = await ended(waiting)
    assert ran.code == 0
    (sheet,) = msgspec.json.decode(ran.out, type=list[Sheet])
    assert (sheet.id, sheet.state) == (good, "completed")
    assert (await user.run("wait", good, bad)).code == 1


@pytest.mark.only("1", "2", why=OWN_WAY)
async def test_delegate_without_a_conversation(stage: Stage, user: TerminalUser) -> None:
    """Into the OpenCode that has the project open; its notice wakes nobody."""
    prompt = "Say hello.\n" + script({"say": "Hello from behind."})
    made = await user.run("delegate", "general", "-", "--wait", given=prompt)
    assert (made.code, made.out) == (0, "Hello from behind.\n")
    name = made.err.split(" ", 1)[0]
    front, _ = stage.result(name)
    notice = f"<task-id>{name}</task-id>"
    parent = str(front["parent_session"])
    await stage.events.fact(TextStored, lambda one: notice in one.text)
    messages = [*await stage.client.messages(parent), *await stage.client.pending(parent)]
    assert sum(one.text.count(notice) for one in messages) == 1
    assert {one.info.role for one in messages} == {"user"}  # nobody's turn ran there


async def test_wrong_use_is_one_clear_sentence(stage: Stage, user: TerminalUser) -> None:
    """Bad input changes nothing, and its answer says what to do."""
    name = await running(stage, "Be here.", say("Here.", gate="wrong"))
    await stage.model.wait_held("wrong")
    for args, sentence in {
        ("steer", name, " "): "The instruction is empty; say what the agent is to do differently.",
        ("steer", "no-such-id", "x"): "No delegation here has an id that begins with 'no-such-id'",
        ("answer", name, "once"): f"{name} is running and waits for no answer",
        ("stop",): "Name what to stop, or say --all; not both.",
        ("delegate", "nobody", "x"): "No agent is called 'nobody'; choose one of: ",
        ("delegate", "general", ""): "The prompt is empty; say what the agent is to do.",
        ("delegate", "general", "x", "--model", "bad"): "'bad' does not name a model",
        ("delegate", "general", "x", "--url", "nowhere"): "'nowhere' is no address",
        ("status", "-C", "/no/such"): "/no/such is not a folder",
    }.items():
        ran = await user.run(*args)
        assert (ran.code, ran.out) == (2, ""), args
        assert sentence in ran.err, args
        assert ran.err.count("\n") == 1, ran.err
    gone = await user.run("delegate", "general", "x", "--url", "http://127.0.0.1:9")
    assert gone.code == 3
    assert "No OpenCode answers at http://127.0.0.1:9" in gone.err
    stage.model.open("wrong")
    assert (await user.run("wait", name)).code == 0


async def test_when_its_service_has_died_that_is_said(stage: Stage, user: TerminalUser) -> None:
    """A frozen owner does not hang a command, and a dead one is said to be dead."""
    name = await running(stage, "Wait long.", say("Slow. ", gate="dead"))
    await stage.model.wait_held("dead")
    (active,) = await status_of(user, name)
    owner = int(active.delegation.owner.split(":")[0])
    os.kill(owner, signal.SIGSTOP)
    try:
        frozen = await user.run("peek", name)
        assert frozen.code == 3
        assert "does not answer" in frozen.err
    finally:
        os.kill(owner, signal.SIGCONT)
    stage.model.open("dead")
    assert (await user.run("wait", name)).code == 0


async def status_of(user: TerminalUser, name: str) -> list[ActiveSheet]:
    ran = await user.run("status", "--json")
    found = msgspec.json.decode(ran.out, type=list[ActiveSheet])
    return [one for one in found if one.delegation.id == name]


async def shown_as(user: TerminalUser, name: str, state: str) -> None:
    (active,) = await status_of(user, name)
    assert (active.delegation.state, active.live is not None) == (state, True)
