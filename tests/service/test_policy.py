"""What the configuration decides without asking anybody: answers by rule, and further limits."""

from __future__ import annotations

import pytest
from world import HANG, World, bash, questions

from background_agents.config import AnswerRule, Settings
from background_agents.domain.asking import Ask, Question, Reply
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import RuntimeUnreachable
from background_agents.domain.events import InputAnswered, InputRequested
from background_agents.domain.status import Status
from background_agents.ports.runtime import InputSettled
from background_agents.service.delivery.toasts import GIVE_WAY
from background_agents.service.running.answer_rules import REFUSED_BY_RULE, decide
from lab.harness.service import Service

ALLOW, DENY, ASKED = AnswerRule("allow"), AnswerRule("deny"), AnswerRule("ask")

MAKE = AnswerRule("allow", pattern="make *")

GRANTED, REFUSED = Reply(word="once"), Reply(word="reject", reason=REFUSED_BY_RULE)

DONE: dict[str, object] = {"say": "Done."}


def ask(*patterns: str, permission: str = "bash") -> Ask:
    return Ask(id="per_1", session="ses_1", permission=permission, patterns=patterns)


@pytest.mark.parametrize(
    ("rules", "asked", "reply"),
    [
        ((), ask("make all"), None),
        ((ALLOW,), ask("make all"), GRANTED),
        ((DENY,), ask("make all"), REFUSED),
        ((ASKED,), ask("make all"), None),
        ((MAKE,), ask("make all"), GRANTED),
        ((MAKE,), ask("make"), None),
        ((MAKE,), ask("cmake all"), None),
        ((AnswerRule("allow", pattern="ls ?"),), ask("ls x"), GRANTED),
        ((AnswerRule("allow", pattern="ls ?"),), ask("ls xy"), None),
        ((AnswerRule("allow", pattern="a.c"),), ask("abc"), None),
        ((AnswerRule("allow", pattern="[ab]"),), ask("a"), None),
        ((AnswerRule("allow", pattern="one*"),), ask("one\ntwo"), GRANTED),
        ((AnswerRule("allow", permission="edit"),), ask("make all"), None),
        ((AnswerRule("allow", permission="b*"),), ask("make all"), GRANTED),
        ((AnswerRule("deny", permission="bash"),), ask("rm", permission="shell"), REFUSED),
        ((AnswerRule("deny", permission="shell"),), ask("rm", permission="bash"), REFUSED),
        ((AnswerRule("deny", permission="task"),), ask("x", permission="subagent"), REFUSED),
        ((AnswerRule("allow", permission="task"),), ask("rm", permission="shell"), None),
        ((AnswerRule("allow", agent="build"),), ask("make all"), GRANTED),
        ((AnswerRule("allow", agent="plan"),), ask("make all"), None),
        ((ALLOW, DENY), ask("make all"), REFUSED),
        ((DENY, MAKE), ask("make all"), GRANTED),
        ((MAKE, DENY), ask("make all"), REFUSED),
        ((ALLOW, ASKED), ask("make all"), None),
        ((MAKE,), ask("make all", "make test"), GRANTED),
        ((MAKE,), ask("make all", "rm -rf /"), None),
        ((ALLOW, AnswerRule("deny", pattern="rm *")), ask("make all", "rm -rf /"), REFUSED),
        ((AnswerRule("deny", pattern="rm *"),), ask("make all", "rm -rf /"), REFUSED),
        ((ALLOW,), ask(), GRANTED),
        ((MAKE,), ask(), None),
    ],
)
def test_the_last_rule_that_fits_counts(
    rules: tuple[AnswerRule, ...], asked: Ask, reply: Reply | None
) -> None:
    """Of several patterns each must be granted, and one that is refused refuses all."""
    assert decide(rules, "build", asked) == reply


def test_a_question_can_be_refused_by_a_rule_but_not_answered() -> None:
    """No rule knows what to say."""
    where = Ask(id="que_1", session="ses_1", questions=(Question("Where?"),))
    assert decide((ALLOW,), "build", where) is None
    assert decide((AnswerRule("allow", permission="question"),), "build", where) is None
    assert decide((AnswerRule("deny", permission="question"),), "build", where) == REFUSED
    assert decide((AnswerRule("deny", permission="bash"),), "build", where) is None


async def ruled(
    world: World, rule: AnswerRule, *steps: dict[str, object], agent: str = "build"
) -> Delegation:
    """Return a delegation under one rule, once nothing happens any more."""
    service = await world.service(Settings(answers=(rule,)))
    world.runtime.asking.add("bash")
    delegation = await world.delegate(service, *steps, agent=agent)
    await world.settle()
    return delegation


async def nobody_was_asked(world: World, delegation: Delegation) -> None:
    """One notice and one toast tell of the ending, and there is no other."""
    ((notice,),) = await world.notified()
    assert notice.startswith("<task-notification>")
    world.clock.advance(GIVE_WAY)
    await world.settle()
    assert [title for title, _, _ in world.channel.toasts] == ["Delegation completed"]
    history = await world.store.history(delegation.id)
    (asked,) = [one for one in history if isinstance(one, InputRequested)]
    (answered,) = [one for one in history if isinstance(one, InputAnswered)]
    assert (answered.request, answered.by) == (asked.ask.id, "policy")


async def test_what_a_rule_allows_is_granted_without_a_word(world: World) -> None:
    """The run goes on, nobody is told, and the history says that a rule did it."""
    delegation = await ruled(world, AnswerRule("allow", "bash", "make *"), bash("make it"), DONE)
    ended = await world.ended(delegation)
    assert ended.status is Status.COMPLETED
    assert await world.replies(delegation) == [("once", "policy")]
    await nobody_was_asked(world, delegation)


@pytest.mark.parametrize("step", [bash("rm -rf /"), questions(("Where?", ()))])
async def test_what_a_rule_denies_is_refused_with_words(
    world: World, step: dict[str, object]
) -> None:
    """The run goes on without it, and its agent knows why."""
    delegation = await ruled(world, DENY, step, {"say": "Without it."})
    ended = await world.ended(delegation)
    assert (ended.status, ended.summary) == (Status.COMPLETED, "Without it.")
    (settled,) = world.heard.of(ended.session or "", InputSettled)
    assert REFUSED_BY_RULE in (settled.reply.reason, *settled.reply.answers)
    assert await world.replies(delegation) == [("reject", "policy")]
    await nobody_was_asked(world, delegation)


async def test_a_rule_is_for_the_agent_that_it_names(world: World) -> None:
    """Another agent's request is asked."""
    delegation = await ruled(world, AnswerRule("allow", agent="plan"), bash("make"), DONE)
    assert world.now(delegation).status is Status.WAITING
    other = await world.delegate(world._open[0], bash("make"), DONE, agent="plan")
    assert (await world.ended(other)).status is Status.COMPLETED


async def test_a_rule_holds_below_too(world: World) -> None:
    """What a session below asks is answered by the rules for the delegation's agent."""
    delegation = await ruled(world, AnswerRule("allow", agent="build"), HANG)
    child = await world.working(delegation)
    below = world.below(child, bash("make"), DONE)
    await world.heard.answered(below.name)
    assert await world.replies(delegation) == [("once", "policy")]


async def test_time_that_a_rule_takes_is_none(world: World) -> None:
    """An answer by rule neither stops the time window nor opens a new one."""
    delegation = await ruled(world, ALLOW, HANG)
    child = await world.working(delegation)
    world.advance(minutes=14)
    below = world.below(child, bash("make"), DONE)
    await world.heard.answered(below.name)
    await world.settle()
    assert await world.replies(delegation) == [("once", "policy")]
    world.advance(minutes=1)
    assert (await world.ended(delegation)).status is Status.TIMED_OUT


async def test_where_the_answer_of_a_rule_is_not_taken_the_supervisor_is_asked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runtime that does not take it leaves nothing unanswered."""
    answer = world.runtime.answer

    async def refuse(_ask: Ask, _reply: Reply) -> None:
        raise RuntimeUnreachable("Nobody answers.")

    monkeypatch.setattr(world.runtime, "answer", refuse)
    delegation = await ruled(world, ALLOW, bash("make"), DONE)
    assert world.now(delegation).status is Status.WAITING
    assert len(await world.told("delegation-request")) == 1
    monkeypatch.setattr(world.runtime, "answer", answer)
    await world._open[0].user.answer(delegation.id, "once")
    assert (await world.ended(delegation)).status is Status.COMPLETED
    assert await world.replies(delegation) == [("once", "command line")]


# --- limits ------------------------------------------------------------------------


async def running(world: World, delegations: list[Delegation]) -> list[bool]:
    await world.settle()
    return [world.now(one).status is Status.RUNNING for one in delegations]


async def several(world: World, service: Service, *models: str) -> list[Delegation]:
    return [await world.delegate(service, HANG, model=model) for model in models]


async def finish(world: World, delegation: Delegation) -> None:
    (await world.working(delegation)).finish()
    await world.ended(delegation)


async def test_a_model_has_a_limit_of_its_own(world: World) -> None:
    """What waits for it holds up nobody else, and gets the place that becomes free."""
    service = await world.service(Settings(max_concurrent_per_model={"scripted/one": 1}))
    three = await several(world, service, "scripted/one", "scripted/one", "scripted/two")
    assert await running(world, three) == [True, False, True]
    await finish(world, three[2])
    assert await running(world, three) == [True, False, False]
    await finish(world, three[0])
    assert await running(world, three) == [False, True, False]


async def test_a_provider_has_a_limit_over_all_its_models(world: World) -> None:
    """Any of its models counts."""
    service = await world.service(Settings(max_concurrent_per_provider={"scripted": 2}))
    three = await several(world, service, "scripted/one", "scripted/two", "scripted/small")
    assert await running(world, three) == [True, True, False]
    await finish(world, three[0])
    assert await running(world, three) == [False, True, True]


async def test_one_that_waits_for_an_answer_counts_for_its_model(world: World) -> None:
    """Its place is its own until it has ended."""
    service = await world.service(Settings(max_concurrent_per_model={"scripted/one": 1}))
    world.runtime.asking.add("bash")
    first = await world.delegate(service, bash("make"), model="scripted/one")
    await world.waits(first)
    (second,) = await several(world, service, "scripted/one")
    assert await running(world, [second]) == [False]
    await service.stop(world.supervisor, first.id)
    assert await running(world, [second]) == [True]
