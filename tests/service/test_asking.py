"""What a background agent asks is told once, waited for, and answered by whoever is first."""

from __future__ import annotations

import asyncio

import pytest
from world import HANG, LIVING, World, bash, questions

from background_agents.config import Settings
from background_agents.domain.asking import GRANTS, Ask, Reply
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import (
    InvalidRequest,
    MayNotGrant,
    NotAnAnswer,
    NotDelegable,
    NothingAsked,
    RunElsewhere,
    RuntimeUnreachable,
    UnknownDelegation,
)
from background_agents.domain.events import InputAnswered, InputRequested
from background_agents.domain.status import Status
from background_agents.ports.runtime import InputAsked, InputSettled
from background_agents.service.delivery.outbox import RETRY_FIRST
from background_agents.service.delivery.toasts import GIVE_WAY
from background_agents.service.running.asking import MOST_NUDGES, REFUSED
from background_agents.service.running.stopping import BELOW_PAUSE
from background_agents.testing.scripted_session import ScriptedSession
from background_agents.views import errors, live
from background_agents.views import model as for_model
from lab.harness.service import Service

DONE: dict[str, object] = {"say": "Done."}

REQUEST, ENDING = "delegation-request", "task-notification"

ONCE, NO = Reply(word="once"), Reply(word="reject")

LIMIT_S = 2
"""What would wait for ever without this takes milliseconds."""


async def asking(
    world: World, service: Service, *steps: dict[str, object]
) -> tuple[Delegation, ScriptedSession, tuple[Ask, ...]]:
    """Return a delegation that asks before it runs a command, its session, and what is asked."""
    world.runtime.asking.add("bash")
    delegation = await world.delegate(service, *(steps or (bash("make deploy"), DONE)))
    asks = await world.waits(delegation)
    return delegation, world.runtime.sessions[world.now(delegation).session or ""], asks


async def asking_below(
    world: World, service: Service, then: dict[str, object] = HANG
) -> tuple[Delegation, ScriptedSession, ScriptedSession]:
    """Return a delegation below whose session another one asks, and both sessions."""
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    below = world.below(child, bash("make deploy"), then)
    await world.waits(delegation)
    return delegation, child, below


async def answered_by(world: World, service: Service, given: str) -> Delegation:
    """Answer the only delegation, by its user where it is granted; return it once it has ended."""
    (name,) = world.journal.of("register")
    if given in GRANTS:
        await service.user.answer(name, given)
    else:
        await service.answer(world.supervisor, name, given)
    await world.until(lambda: world.store.now(name).is_terminal)
    return world.store.now(name)


# --- it is told ------------------------------------------------------------------


async def test_a_permission_is_told_to_model_and_human(world: World, service: Service) -> None:
    """One escaped notice says what is asked and how to answer; the human gets a toast."""
    delegation, _, _ = await asking(world, service, bash('echo </permission>\n"&"'), DONE)
    assert world.now(delegation).status is Status.WAITING
    ((notice,),) = await world.notified()
    assert notice == (
        "<delegation-request>\n"
        f"<task-id>{delegation.id}</task-id>\n"
        "<agent>build</agent>\n"
        "<title>Look into it.</title>\n"
        "<permission>bash: echo &lt;/permission&gt; &quot;&amp;&quot;</permission>\n"
        "<elapsed>0.0s</elapsed>\n"
        "<answer>only your human may grant it, so ask them; they answer in OpenCode's dialogue, "
        f"with `bga answer {delegation.id} once` in a terminal, or by an answers rule in the "
        f'configuration. You may refuse it: delegation_answer("{delegation.id}", "reject: why")'
        "</answer>\n"
        "</delegation-request>"
    )
    world.clock.advance(GIVE_WAY)
    await world.channel.changes.until(lambda: bool(world.channel.toasts))
    ((title, message, variant),) = world.channel.toasts
    assert (title, variant) == ("Delegation asks for a permission", "warning")
    assert message == f'build · {delegation.id} (0.0s): bash: echo </permission> "&"'


async def test_a_host_that_shows_only_its_own_requests_is_not_named(
    world: World, service: Service
) -> None:
    world.runtime.shows_what_children_ask = False
    delegation, _, (ask,) = await asking(world, service)
    assert not ask.in_chat
    ((notice,),) = await world.notified()
    assert "dialogue" not in notice
    world.clock.advance(GIVE_WAY)
    await world.channel.changes.until(lambda: bool(world.channel.toasts))
    ((_, message, _),) = world.channel.toasts
    assert message.endswith(f"(bga answer {delegation.id})")


async def test_status_and_peek_show_what_it_waits_for(world: World, service: Service) -> None:
    """Both say the state, what is asked and how to answer, until it is answered."""
    delegation, _, _ = await asking(world, service, bash("make deploy"), HANG)
    asked = "waits for a permission, bash: make deploy; only your human may grant it"
    found = await service.peek(world.supervisor, delegation.id)
    assert isinstance(found, live.Live)
    for text in (await world.status(service), live.peek(found)):
        assert text.startswith(f"- {delegation.id} [waiting] Look into it.")
        assert asked in text
    await service.user.answer(delegation.id, "once")
    text = await world.status(service)
    assert text.startswith(f"- {delegation.id} [running] Look into it.")
    assert "waits for a" not in text


async def test_a_list_shows_that_it_waits(world: World, service: Service) -> None:
    """What waits is neither ended nor unread."""
    delegation, _, _ = await asking(world, service)
    text = for_model.listing(await service.list(world.supervisor))
    assert f"- {delegation.id} [waiting]" in text


# --- it is answered --------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "word"), [("once", "once"), (" ONCE ", "once"), ("Always", "always")]
)
async def test_a_grant_lets_it_go_on(world: World, service: Service, given: str, word: str) -> None:
    """The answer reaches the runtime, the run goes on to its result, the history says who."""
    delegation, child, (ask,) = await asking(world, service, bash("make deploy"), HANG)
    answered = await service.user.answer(delegation.id, given)
    assert (answered.ask, answered.delegation.status) == (ask, Status.RUNNING)
    assert answered.delegation.requests == ()
    assert for_model.answered(answered) == f"Answered: bash: make deploy. {delegation.id} goes on."
    (settled,) = world.heard.of(child.name, InputSettled)
    assert settled.reply == Reply(word=word)
    await world.settle()
    child.write("Deployed.")
    child.finish()
    assert (await world.ended(delegation)).status is Status.COMPLETED
    assert await world.replies(delegation) == [(word, "command line")]
    history = await world.store.history(delegation.id)
    assert [one.ask for one in history if isinstance(one, InputRequested)] == [ask]
    assert [one.request for one in history if isinstance(one, InputAnswered)] == [ask.id]
    assert len(await world.told(REQUEST)) == len(await world.told(ENDING)) == 1


@pytest.mark.parametrize(
    "given",
    ["once", "always", " Always ", "ONCE", "once: it is harmless", "always\n", "yes", "allow", ""],
)
async def test_a_model_grants_nothing(world: World, service: Service, given: str) -> None:
    """Whatever its words, it hears who may and how; a user's own `always` is taken at once."""
    delegation, child, (ask,) = await asking(world, service)
    before = world.now(delegation)
    with pytest.raises(MayNotGrant) as refused:
        await service.answer(world.supervisor, delegation.id, given)
    assert errors.for_model(refused.value) == (
        "Nothing was granted: only your human may grant it, so ask them; they answer in OpenCode's "
        f"dialogue, with `bga answer {delegation.id} once` in a terminal, or by an answers rule in "
        f'the configuration. You may refuse it: delegation_answer("{delegation.id}", "reject: '
        'why").'
    )
    assert world.now(delegation) == before
    assert list(child.open) == [ask.id]
    assert (await answered_by(world, service, "always")).status is Status.COMPLETED


async def test_a_model_grants_once_where_its_human_lets_it(world: World) -> None:
    """It is told so, and the history says who; for good it grants nothing."""
    service = await world.service(Settings(model_grants="once"))
    delegation, child, (ask,) = await asking(world, service)
    (notice,) = await world.told(REQUEST)
    how = f'delegation_answer("{delegation.id}", reply): reply "once" or "reject: why"'
    assert f"<answer>{how}</answer>" in notice
    for given in ("always", "Always ", "yes"):
        with pytest.raises(MayNotGrant) as refused:
            await service.answer(world.supervisor, delegation.id, given)
        assert errors.for_model(refused.value) == f"Nothing was granted: {how}."
    assert list(child.open) == [ask.id]
    await service.answer(world.supervisor, delegation.id, " ONCE ")
    assert (await world.ended(delegation)).status is Status.COMPLETED
    assert await world.replies(delegation) == [("once", "supervisor")]


async def test_the_setting_of_now_counts_not_that_of_when_it_was_asked(world: World) -> None:
    """A process without it grants nothing that one with it had asked for."""
    service = await world.service(Settings(model_grants="once"))
    delegation, child, _ = await asking(world, service)
    await service.close()
    world.runtime.release(child.name)
    other = await world.service(owner=LIVING)
    await world.waits(delegation)
    with pytest.raises(MayNotGrant) as refused:
        await other.answer(world.supervisor, delegation.id, "once")
    assert "only your human" in errors.for_model(refused.value)


async def test_a_background_agent_answers_nothing(world: World, service: Service) -> None:
    """Not its own request, and not that of another: it stays below its supervisor."""
    delegation, child, (ask,) = await asking(world, service)
    for session in (child, world.below(child, HANG)):
        with pytest.raises(NotDelegable):
            await service.answer(session.name, delegation.id, "reject: no")
    assert list(child.open) == [ask.id]


async def test_outside_of_the_chat_it_is_asked_below_a_session_between(world: World) -> None:
    """The supervisor's view shows nothing of it; model and human are told what does answer."""
    service = await world.service(Settings(ask_in_chat=False))
    delegation, child, _ = await asking(world, service)
    between = world.runtime.sessions[child.parent or ""]
    assert (between.parent, between.busy) == (world.supervisor, False)
    (notice,) = await world.told(REQUEST)
    assert "OpenCode's dialogue" not in notice
    assert f"they answer with `bga answer {delegation.id} once` in a terminal" in notice
    world.clock.advance(GIVE_WAY)
    await world.channel.changes.until(lambda: bool(world.channel.toasts))
    ((_, message, _),) = world.channel.toasts
    assert message.endswith(f"bash: make deploy (bga answer {delegation.id})")
    assert (await answered_by(world, service, "once")).status is Status.COMPLETED


@pytest.mark.parametrize("permission", ["external_directory", "doom_loop", "edit", "webfetch"])
async def test_no_kind_of_permission_is_a_models_to_grant(
    world: World, service: Service, permission: str
) -> None:
    """Also of a session below: what is asked for makes no difference."""
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    for session in (child, world.below(child, HANG)):
        await world.heard.until(lambda one=session: world.heard.works(one.name))
        session.ask(permission, "/etc/*")
    await world.waits(delegation, 2)
    for given in ("once", "always"):
        with pytest.raises(MayNotGrant):
            await service.answer(world.supervisor, delegation.id, given)
    assert len(await world.runtime.requests()) == 2


@pytest.mark.parametrize(
    ("given", "reason"), [("reject", REFUSED), ("Reject: use staging", "use staging")]
)
async def test_a_rejection_does_not_end_the_run(
    world: World, service: Service, given: str, reason: str
) -> None:
    """A reason always goes along, since OpenCode ends a run that is rejected without one."""
    delegation, child, _ = await asking(world, service, bash("make"), {"say": "Done without it."})
    ended = await answered_by(world, service, given)
    assert (ended.status, ended.summary) == (Status.COMPLETED, "Done without it.")
    (settled,) = world.heard.of(child.name, InputSettled)
    assert settled.reply == Reply(word="reject", reason=reason)
    assert await world.replies(delegation) == [("reject", "supervisor")]


@pytest.mark.parametrize("given", ["", "  ", "yes please", "once and for all"])
async def test_what_is_no_answer_changes_nothing(
    world: World, service: Service, given: str
) -> None:
    """It is refused with what would be one, and the request stays open."""
    delegation, child, (ask,) = await asking(world, service)
    before = world.now(delegation)
    with pytest.raises(NotAnAnswer) as refused:
        await service.user.answer(delegation.id, given)
    assert 'reply "once", "always"' in errors.for_people(refused.value)
    assert world.now(delegation) == before
    assert list(child.open) == [ask.id]


async def test_what_the_runtime_does_not_take_stays_open(world: World, service: Service) -> None:
    """An answer that did not arrive is not called given, and can be given again."""
    delegation, _, _ = await asking(world, service)
    session = world.now(delegation).session
    world.runtime.failure = RuntimeUnreachable("Nobody answers.")
    # The runtime is asked for nothing else here: the session's root is remembered.
    with pytest.raises(RuntimeUnreachable):
        await service.user.answer(delegation.id, "once")
    world.runtime.failure = None
    assert world.now(delegation).status is Status.WAITING
    ended = await answered_by(world, service, "once")
    assert (ended.status, ended.session) == (Status.COMPLETED, session)


# --- questions -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "sent"),
    [("staging", "Staging"), (" PRODUCTION", "Production"), ("Ask Ann", "Ask Ann")],
)
async def test_a_question_takes_an_option_or_free_words(
    world: World, service: Service, given: str, sent: str
) -> None:
    """An option is sent as it was offered, whatever its case; other words as they are."""
    step = questions(("Deploy <where>?", ("Staging", "Production")))
    delegation, child, _ = await asking(world, service, step, DONE)
    ((notice,),) = await world.notified()
    assert "<question>Deploy &lt;where&gt;? (Staging, Production)</question>" in notice
    assert 'reply): reply with the answer, or "reject"</answer>' in notice
    assert (await answered_by(world, service, given)).status is Status.COMPLETED
    (settled,) = world.heard.of(child.name, InputSettled)
    assert settled.reply == Reply(answers=(sent,))
    assert await world.replies(delegation) == [(sent, "supervisor")]


async def test_several_questions_take_one_line_each(world: World, service: Service) -> None:
    """A wrong number of lines is refused; the right one is sent in order."""
    step = questions(("Where?", ("Here", "There")), ("Why?", ()))
    delegation, child, _ = await asking(world, service, step, DONE)
    with pytest.raises(InvalidRequest, match="2 questions are asked and the reply has 1 lines"):
        await service.answer(world.supervisor, delegation.id, "here")
    assert world.now(delegation).status is Status.WAITING
    await answered_by(world, service, "there\nBecause.")
    (settled,) = world.heard.of(child.name, InputSettled)
    assert settled.reply == Reply(answers=("There", "Because."))


@pytest.mark.parametrize(("given", "words"), [("reject: skip it", "skip it"), ("reject", None)])
async def test_a_question_that_is_rejected_does_not_end_the_run(
    world: World, service: Service, given: str, words: str | None
) -> None:
    """Each question gets words instead of a rejection, which would end the run."""
    step = questions(("Where?", ()), ("Why?", ()))
    delegation, child, _ = await asking(world, service, step, {"say": "Assumed."})
    ended = await answered_by(world, service, given)
    assert (ended.status, ended.summary) == (Status.COMPLETED, "Assumed.")
    (settled,) = world.heard.of(child.name, InputSettled)
    assert not settled.reply.is_rejection
    first, second = settled.reply.answers
    assert first == second == (words or first)
    assert await world.replies(delegation) == [("reject", "supervisor")]


# --- somebody else answers -------------------------------------------------------


async def test_the_user_may_answer_in_the_dialogue(world: World, service: Service) -> None:
    """The run goes on by itself, and a late answer of the supervisor is refused."""
    delegation, child, (ask,) = await asking(world, service, bash("make"), HANG)
    child.settle(ask.id, ONCE)
    await world.goes_on(delegation)
    assert world.now(delegation).status is Status.RUNNING
    with pytest.raises(NothingAsked):
        await service.user.answer(delegation.id, "once")
    child.finish()
    await world.ended(delegation)
    assert await world.replies(delegation) == [("once", "user")]


async def test_a_rejection_of_the_user_without_words_ends_the_run(
    world: World, service: Service
) -> None:
    """It has failed, says what was refused, and keeps what was written."""
    step = bash("rm -rf /", say="Half of it.")
    delegation, child, (ask,) = await asking(world, service, step, DONE)
    child.settle(ask.id, NO)
    ended = await world.ended(delegation)
    error = "It ended as this was refused: bash: rm -rf /"
    assert (ended.status, ended.error) == (Status.FAILED, error)
    assert f"[FAILED] {error}\n\nHalf of it." in await world.artifact(delegation)
    (notice,) = await world.told(ENDING)
    assert f"<error>{error}</error>" in notice


async def test_a_rejection_of_the_user_with_words_does_not(world: World, service: Service) -> None:
    """Words reach the agent, which goes on with them."""
    delegation, child, (ask,) = await asking(world, service)
    child.settle(ask.id, Reply(word="reject", reason="Use staging."))
    assert (await world.ended(delegation)).status is Status.COMPLETED
    assert await world.replies(delegation) == [("reject", "user")]


async def test_of_two_answers_the_first_counts(world: World, service: Service) -> None:
    """An answer that meets one of the user's on its way is refused, and the run goes on."""
    delegation, child, (ask,) = await asking(world, service, bash("make"), HANG)
    answering = asyncio.create_task(service.user.answer(delegation.id, "once"))
    with world.runtime.losing_events():
        child.settle(ask.id, ONCE)
        with pytest.raises(NothingAsked):
            await answering
    assert world.now(delegation).status is Status.RUNNING
    assert await world.replies(delegation) == [("", "user")]


async def busy_channel(world: World, service: Service, *, held: bool) -> ScriptedSession:
    """Return a session whose first message to the supervisor hangs, or fails twice."""
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    if held:
        world.channel.hold()
    else:
        world.channel.fail(2)
    await service.notify(child.name, "Hello.")
    await world.channel.changes.until(lambda: len(world.channel.attempts) == 1)
    await world.settle()
    return child


@pytest.mark.parametrize("held", [True, False], ids=["hangs", "fails"])
@pytest.mark.parametrize("settled", [True, False], ids=["answered", "open"])
async def test_what_was_answered_before_it_was_told_is_not_told(
    world: World, service: Service, held: bool, settled: bool
) -> None:
    """A request that waits for its delivery goes out only while it is open."""
    child = await busy_channel(world, service, held=held)
    (name,) = world.journal.of("register")
    ask = child.ask("bash", "make")
    await world.waits(world.store.now(name))
    if settled:
        child.settle(ask.id, ONCE)
        await world.goes_on(world.store.now(name))
    world.channel.let_go()
    world.clock.advance(RETRY_FIRST * 2)
    await world.told("child-notification")
    await world.settle()
    told = [text for parts in world.channel.delivered(world.supervisor) for text in parts]
    assert sum("<delegation-request>" in text for text in told) == (0 if settled else 1)
    assert world.journal.of("dropped") == ([name] if settled else [])
    assert await world.store.due() == []


async def test_what_failed_to_be_told_is_not_told_once_it_is_answered(
    world: World, service: Service
) -> None:
    """A delivery is not repeated for a request that nobody has to answer any more."""
    delegation = await world.delegate(service, HANG, HANG)
    child = await world.working(delegation)
    world.channel.fail()
    ask = child.ask("bash", "make")
    await world.channel.changes.until(lambda: len(world.channel.attempts) == 1)
    await world.settle()
    child.settle(ask.id, ONCE)
    await world.goes_on(delegation)
    world.clock.advance(RETRY_FIRST)
    await world.settle()
    assert world.channel.delivered(world.supervisor) == []
    assert await world.store.due() == []


# --- several at once -------------------------------------------------------------

TWO: dict[str, object] = {
    "calls": [{"call": "bash", "args": {"command": command}} for command in ("one", "two")]
}


async def test_of_two_the_oldest_is_answered_first(world: World, service: Service) -> None:
    """Each answer says what it was for, and what is left."""
    delegation, _, _ = await asking(world, service, TWO, DONE)
    await world.waits(delegation, 2)
    assert len(await world.told(REQUEST, 2)) == 2
    first = await service.user.answer(delegation.id, "once")
    assert first.delegation.status is Status.WAITING
    assert for_model.answered(first).startswith(
        f"Answered: bash: one. {delegation.id} still waits for a permission, bash: two; "
        "only your human may grant it"
    )
    second = await service.user.answer(delegation.id, "once")
    assert for_model.answered(second) == f"Answered: bash: two. {delegation.id} goes on."
    assert (await world.ended(delegation)).status is Status.COMPLETED


async def test_always_settles_the_other_of_its_kind(world: World, service: Service) -> None:
    """What the runtime grants along with it is not waited for."""
    delegation, _, _ = await asking(world, service, TWO, DONE)
    await world.waits(delegation, 2)
    ended = await answered_by(world, service, "always")
    assert ended.status is Status.COMPLETED
    assert await world.replies(delegation) == [("always", "command line"), ("always", "user")]


async def test_a_rejection_takes_the_other_along_and_yet_ends_nothing(
    world: World, service: Service
) -> None:
    """OpenCode rejects the other without words, which ends the run: it is told to go on."""
    delegation, child, _ = await asking(world, service, TWO, DONE)
    await world.waits(delegation, 2)
    ended = await answered_by(world, service, "reject: no")
    assert (ended.status, ended.error) == (Status.COMPLETED, None)
    assert await world.replies(delegation) == [("reject", "supervisor"), ("reject", "user")]
    assert await world.runtime.requests() == []
    told = [entry.text for entry in child.entries.values() if entry.role == "user"]
    assert told[1].startswith("This was refused: bash: one. It was refused. Go on without it")


async def test_an_agent_that_asks_without_end_is_not_told_to_go_on_without_end(
    world: World, service: Service
) -> None:
    """After five times the run ends, and says what was refused."""
    delegation, _, _ = await asking(world, service, *[TWO] * 8)
    rejections = 0
    while not world.now(delegation).is_terminal:
        await world.waits(delegation, 2)
        await service.answer(world.supervisor, delegation.id, "reject: no")
        rejections += 1
        await world.goes_on(delegation)
    ended = world.now(delegation)
    assert (ended.status, rejections) == (Status.FAILED, MOST_NUDGES + 1)
    assert "this was refused: bash: " in str(ended.error)


async def test_a_request_that_is_told_twice_is_asked_once(world: World, service: Service) -> None:
    """An event that comes again, as after a lost stream, changes nothing."""
    delegation, child, (ask,) = await asking(world, service)
    before = world.now(delegation)
    world.runtime.emit(InputAsked(child.name, ask))
    await world.settle()
    assert world.now(delegation) == before


# --- sessions below --------------------------------------------------------------


async def test_what_a_session_below_asks_is_asked_for_the_delegation(
    world: World, service: Service
) -> None:
    """It waits for that, is told of it, and the answer goes where it was asked."""
    delegation, child, below = await asking_below(world, service, DONE)
    assert world.now(delegation).status is Status.WAITING
    assert len(await world.told(REQUEST)) == 1
    answered = await service.user.answer(delegation.id, "once")
    assert answered.ask is not None
    assert answered.ask.session == below.name
    await world.heard.answered(below.name)
    assert world.now(delegation).status is Status.RUNNING
    child.finish()
    assert (await world.ended(delegation)).status is Status.COMPLETED


async def test_also_when_nobody_knew_whose_session_it_is(
    world: World, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runtime is asked for the parents that no event has told of."""
    asked_for: set[str] = set()
    ancestors, lineage = world.runtime.ancestors, world.runtime.lineage

    async def learn(session: str) -> tuple[str, ...]:
        asked_for.add(session)
        return await lineage(session)

    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    below = world.below(child, HANG, DONE)
    stranger = world.below(world.runtime.sessions[world.supervisor], HANG)
    await world.heard.until(lambda: world.heard.works(below.name))
    await world.heard.until(lambda: world.heard.works(stranger.name))
    await world.settle()
    monkeypatch.setattr(world.runtime, "lineage", learn)
    monkeypatch.setattr(
        world.runtime, "ancestors", lambda one: ancestors(one) if one in asked_for else (one,)
    )
    stranger.ask("bash", "make")
    ask = below.ask("bash", "make")
    (waits,) = await world.waits(delegation)
    assert (waits.id, waits.in_chat) == (ask.id, False)
    assert stranger.name in asked_for
    assert len(world.now(delegation).requests) == 1
    await service.user.answer(delegation.id, "once")
    child.finish()
    assert (await world.ended(delegation)).status is Status.COMPLETED


async def test_a_run_that_has_finished_waits_for_what_is_asked_below(
    world: World, service: Service
) -> None:
    """It completes when that is answered, and not before."""
    delegation, child, _ = await asking_below(world, service)
    child.write("The result.")
    child.finish()
    await world.settle()
    assert world.now(delegation).status is Status.WAITING
    ended = await answered_by(world, service, "once")
    assert (ended.status, ended.summary) == (Status.COMPLETED, "The result.")


async def test_or_until_the_user_has_answered_it(world: World, service: Service) -> None:
    """An answer in the dialogue completes it just as well."""
    delegation, child, below = await asking_below(world, service)
    child.finish()
    await world.settle()
    below.settle(next(iter(below.open)), ONCE)
    assert (await world.ended(delegation)).status is Status.COMPLETED
    assert below.busy


async def test_a_run_that_has_finished_waits_for_nothing_of_its_own(
    world: World, service: Service
) -> None:
    """Who rests asks nothing, even if nobody has told that it was answered."""
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    lost = Ask(id="per_lost", session=child.name, permission="bash", patterns=("make",))
    world.runtime.emit(InputAsked(child.name, lost))
    await world.waits(delegation)
    child.finish()
    assert (await world.ended(delegation)).status is Status.COMPLETED


@pytest.mark.parametrize("rests", [False, True], ids=["works", "rests"])
async def test_a_session_below_that_is_aborted_is_not_waited_for(
    world: World, service: Service, rests: bool
) -> None:
    """Whoever rests waits for nothing, and nothing is left open in the runtime."""
    delegation, child, below = await asking_below(world, service)
    if rests:
        child.finish()
        await world.settle()
    async with asyncio.timeout(LIMIT_S):
        below.abort()
        await world.goes_on(delegation)
        if not rests:
            child.finish()
        assert (await world.ended(delegation)).status is Status.COMPLETED
    await world.settle()
    assert await world.runtime.requests() == []


@pytest.mark.parametrize("rests", [False, True], ids=["works", "rests"])
async def test_a_session_below_that_is_deleted_is_not_waited_for(
    world: World, service: Service, rests: bool
) -> None:
    """What is gone waits for nothing."""
    delegation, child, below = await asking_below(world, service)
    if rests:
        child.finish()
        await world.settle()
    async with asyncio.timeout(LIMIT_S):
        world.runtime.delete_session(below.name)
        await world.goes_on(delegation)
        if not rests:
            child.finish()
        assert (await world.ended(delegation)).status is Status.COMPLETED


# --- it is stopped ---------------------------------------------------------------


async def test_a_stop_takes_back_what_was_asked(world: World, service: Service) -> None:
    """It is stopped, and nobody is asked for what nobody needs any more."""
    delegation, _, _ = await asking(world, service, TWO, DONE)
    await world.waits(delegation, 2)
    stopped = await service.stop(world.supervisor, delegation.id)
    assert (stopped.status, stopped.requests) == (Status.STOPPED, ())
    await world.settle()
    assert await world.runtime.requests() == []
    assert len(await world.told(ENDING)) == 1


async def test_an_abort_by_the_user_takes_back_what_was_asked(
    world: World, service: Service
) -> None:
    """OpenCode leaves it open after an abort, and its human would be asked for nothing."""
    delegation, child, _ = await asking(world, service)
    child.abort()
    assert (await world.ended(delegation)).status is Status.STOPPED
    await world.settle()
    assert await world.runtime.requests() == []


@pytest.mark.parametrize("ending", [Status.STOPPED, Status.TIMED_OUT])
async def test_what_works_below_is_stopped_too(
    world: World, service: Service, ending: Status
) -> None:
    """Neither a stop nor the end of the time window leaves anything at work."""
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    below = world.below(child, HANG)
    lowest = world.below(below, HANG)
    await world.heard.until(lambda: world.heard.works(lowest.name))
    if ending is Status.STOPPED:
        world.ask(lambda one, name: one.stop(world.supervisor, name))
    else:
        world.advance(minutes=15)
    for session in (below, lowest):
        await world.heard.idle(session.name)
        await world.settle()
        world.clock.advance(BELOW_PAUSE)
    assert (await world.ended(delegation)).status is ending
    assert not any(session.busy for session in (child, below, lowest))


async def test_a_stop_takes_back_what_was_asked_below(world: World, service: Service) -> None:
    """The session below is quiet, and asks for nothing."""
    delegation, _, below = await asking_below(world, service)
    world.ask(lambda one, name: one.stop(world.supervisor, name))
    await world.heard.idle(below.name)
    await world.settle()
    world.clock.advance(BELOW_PAUSE)
    assert (await world.ended(delegation)).status is Status.STOPPED
    await world.settle()
    assert (below.busy, await world.runtime.requests()) == (False, [])


# --- there is nothing to answer ----------------------------------------------------


async def test_one_that_asks_nothing_takes_no_answer(world: World, service: Service) -> None:
    """While it runs, as it ends and once it has ended, in words that say which."""
    delegation = await world.delegate(service, HANG)
    await world.working(delegation)
    with pytest.raises(NothingAsked, match="is running and waits for no answer"):
        await service.user.answer(delegation.id, "once")
    stopping = asyncio.create_task(service.stop(world.supervisor, delegation.id))
    await asyncio.sleep(0)
    with pytest.raises(NothingAsked, match="is ending"):
        await service.user.answer(delegation.id, "once")
    await stopping
    with pytest.raises(NothingAsked, match="is stopped"):
        await service.user.answer(delegation.id, "once")


async def test_one_that_waits_for_a_slot_takes_no_answer(world: World) -> None:
    """It asks nothing, since it has not begun."""
    service = await world.service(max_concurrent=1)
    await world.working(await world.delegate(service, HANG))
    second = await world.delegate(service, HANG)
    await world.settle()
    with pytest.raises(NothingAsked, match="is registered"):
        await service.user.answer(second.id, "once")


async def test_an_answer_from_elsewhere_is_refused(world: World) -> None:
    """Neither another root session nor another process can answer, and no invented id."""
    service = await world.service(owner=LIVING)
    delegation, child, (ask,) = await asking(world, service)
    stranger = world.runtime.add_session()
    for session, name in ((stranger, delegation.id), (world.supervisor, "brave-amber-otter")):
        with pytest.raises(UnknownDelegation):
            await service.answer(session, name, "once")
    with pytest.raises(InvalidRequest, match="is not the id"):
        await service.user.answer("../x", "once")
    other = await world.service()
    with pytest.raises(RunElsewhere):
        await other.user.answer(delegation.id, "once")
    assert list(child.open) == [ask.id]


# --- processes and streams end -----------------------------------------------------


async def test_a_new_process_goes_on_waiting_and_asks_no_second_time(world: World) -> None:
    """What was asked stays asked, is told once, and can be answered."""
    service = await world.service()
    delegation, child, asks = await asking(world, service)
    await world.notified()
    await service.close()
    world.runtime.release(child.name)
    other = await world.service(owner=LIVING)
    assert await world.waits(delegation) == asks
    assert world.now(delegation).status is Status.WAITING
    assert "waits for a permission, bash: make deploy" in await world.status(other)
    answered = await other.user.answer(delegation.id, "once")
    assert answered.ask == asks[0]
    assert (await world.ended(delegation)).status is Status.COMPLETED
    assert len(await world.told(ENDING)) == len(await world.told(REQUEST)) == 1


async def test_what_was_answered_between_two_processes_is_settled(world: World) -> None:
    """A run that goes on meanwhile is followed, and one that has finished completes."""
    service = await world.service()
    delegation, child, (ask,) = await asking(world, service, bash("make"), HANG)
    await service.close()
    world.runtime.release(child.name)
    child.settle(ask.id, ONCE)
    await world.settle()
    await world.service(owner=LIVING)
    await world.goes_on(delegation)
    assert world.now(delegation).status is Status.RUNNING
    child.finish()
    assert (await world.ended(delegation)).status is Status.COMPLETED


async def test_one_that_was_answered_and_finished_between_two_processes_completes(
    world: World,
) -> None:
    """The result is taken from its messages."""
    service = await world.service()
    delegation, child, (ask,) = await asking(world, service)
    await service.close()
    world.runtime.release(child.name)
    child.settle(ask.id, ONCE)
    await world.heard.answered(child.name)
    await world.service(owner=LIVING)
    assert (await world.ended(delegation)).status is Status.COMPLETED


async def test_one_whose_runtime_died_while_it_waited_goes_on(world: World) -> None:
    """Nobody is waited for who cannot ask any more; the run is told to go on."""
    service = await world.service()
    delegation, child, _ = await asking(world, service)
    await service.close()
    world.runtime.release(child.name)
    child.cut_off()
    await world.service(owner=LIVING)
    ended = await world.ended(delegation)
    assert (ended.status, ended.relaunches) == (Status.COMPLETED, 1)


async def finished_above(world: World, service: Service) -> tuple[Delegation, ScriptedSession]:
    """Return a delegation that has finished but for what is asked below it, and who asks."""
    delegation, child, below = await asking_below(world, service)
    child.finish()
    await world.settle()
    assert world.now(delegation).status is Status.WAITING
    return delegation, below


async def test_a_finished_one_that_waited_below_completes_in_a_new_process(world: World) -> None:
    """That its session rests is seen again, and the answer ends it."""
    service = await world.service()
    delegation, _ = await finished_above(world, service)
    await service.close()
    other = await world.service(owner=LIVING)
    await world.settle()
    async with asyncio.timeout(LIMIT_S):
        await other.user.answer(delegation.id, "once")
        assert (await world.ended(delegation)).status is Status.COMPLETED


@pytest.mark.parametrize("dies", [False, True], ids=["stream", "process"])
async def test_a_finished_one_completes_if_the_answer_below_was_missed(
    world: World, dies: bool
) -> None:
    """What is open is asked for also when its own session rests."""
    service = await world.service()
    delegation, below = await finished_above(world, service)
    if dies:
        await service.close()
    with world.runtime.losing_events():
        below.settle(next(iter(below.open)), ONCE)
        await world.settle()
    if dies:
        await world.service(owner=LIVING)
    async with asyncio.timeout(LIMIT_S):
        assert (await world.ended(delegation)).status is Status.COMPLETED


async def test_one_that_finished_unseen_waits_for_what_is_asked_below(
    world: World, service: Service
) -> None:
    """A run that came to rest while the stream was broken completes with the answer."""
    delegation, child, _ = await asking_below(world, service)
    with world.runtime.losing_events():
        child.finish()
        await world.settle()
    await world.settle()
    assert world.now(delegation).status is Status.WAITING
    async with asyncio.timeout(LIMIT_S):
        assert (await answered_by(world, service, "once")).status is Status.COMPLETED


async def test_what_was_asked_unseen_is_found(world: World, service: Service) -> None:
    """When the stream is back, so is the question, of the session and of those below."""
    delegation = await world.delegate(service, HANG, HANG)
    child = await world.working(delegation)
    with world.runtime.losing_events():
        ask = child.ask("bash", "make")
        below = world.below(child, bash("make"), DONE)
        stranger = world.below(world.runtime.sessions[world.supervisor], bash("make"), DONE)
        await world.settle()
        assert stranger.open
        assert world.now(delegation).requests == ()
    first, second = await world.waits(delegation, 2)
    assert (first, second.session) == (ask, below.name)
    assert len(await world.told(REQUEST, 2)) == 2


async def test_what_was_answered_unseen_is_settled(world: World, service: Service) -> None:
    """When the stream is back, nothing is waited for that was answered meanwhile."""
    delegation, child, (ask,) = await asking(world, service, bash("make"), HANG)
    with world.runtime.losing_events():
        child.settle(ask.id, ONCE)
        await world.settle()
        assert world.now(delegation).status is Status.WAITING
    await world.goes_on(delegation)
    assert world.now(delegation).status is Status.RUNNING
    child.finish()
    assert (await world.ended(delegation)).status is Status.COMPLETED


async def test_a_request_of_a_session_that_is_gone_disturbs_nobody(
    world: World, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what is open everywhere, that which nobody can place concerns no run."""
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    ghost = Ask(id="per_ghost", session="ses_gone", permission="bash", patterns=("make",))
    requests = world.runtime.requests

    async def with_ghost() -> list[Ask]:
        return [ghost, *await requests()]

    monkeypatch.setattr(world.runtime, "requests", with_ghost)
    with world.runtime.losing_events():
        child.ask("bash", "make")
    await world.settle()
    assert [one.ask.session for one in world.now(delegation).requests] == [child.name]


# --- it keeps its place --------------------------------------------------------------


async def test_one_that_waits_keeps_its_slot(world: World) -> None:
    """It goes on at once when it is answered; the next begins when it has ended."""
    service = await world.service(Settings(max_concurrent=1))
    first, child, _ = await asking(world, service, bash("make"), HANG)
    second = await world.delegate(service, HANG)
    await world.settle()
    assert world.now(second).status is Status.REGISTERED
    await service.user.answer(first.id, "once")
    await world.settle()
    assert world.now(second).status is Status.REGISTERED
    child.finish()
    await world.working(second)
