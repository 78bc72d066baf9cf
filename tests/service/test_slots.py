"""Only so many run at once; the others wait in their order."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from world import World

from background_agents.domain.status import Status
from background_agents.service.running.slots import Slots

HANG: dict[str, object] = {"hang": True}


def test_places_are_given_in_the_order_of_asking() -> None:
    slots, granted = Slots(2), list[str]()
    for key in "abcde":
        slots.ask(key, lambda key=key: granted.append(key))
    assert granted == ["a", "b"]
    assert [slots.position(key) for key in "abcde"] == [None, None, 1, 2, 3]
    slots.release("b")
    slots.release("a")
    assert granted == ["a", "b", "c", "d"]


def test_one_that_leaves_the_queue_is_never_granted() -> None:
    slots, granted = Slots(1), list[str]()
    for key in "abc":
        slots.ask(key, lambda key=key: granted.append(key))
    slots.release("b")
    slots.release("b")
    slots.release("a")
    assert granted == ["a", "c"]


def test_a_place_given_back_twice_is_one_place() -> None:
    slots, granted = Slots(1), list[str]()
    for key in "abc":
        slots.ask(key, lambda key=key: granted.append(key))
    slots.release("a")
    slots.release("a")
    assert granted == ["a", "b"]


def test_what_waits_for_its_model_alone_holds_up_nobody() -> None:
    slots, granted = Slots(3, per_model={"a/x": 1}), list[str]()
    for key, model in (("1", "a/x"), ("2", "a/x"), ("3", "a/y"), ("4", None), ("5", "a/y")):
        slots.ask(key, lambda key=key: granted.append(key), model)
    assert granted == ["1", "3", "4"]
    assert [slots.position(key) for key in "12345"] == [None, 1, None, None, 2]
    slots.release("1")
    assert granted[3:] == ["2"]
    slots.release("2")
    assert granted[4:] == ["5"]


def test_a_provider_has_a_limit_over_all_its_models() -> None:
    slots, granted = Slots(9, per_provider={"a": 2}, per_model={"a/x": 1}), list[str]()
    for key, model in (("1", "a/x"), ("2", "a/y"), ("3", "a/z"), ("4", "b/z"), ("5", "ab/z")):
        slots.ask(key, lambda key=key: granted.append(key), model)
    assert granted == ["1", "2", "4", "5"]
    slots.release("2")
    assert granted[4:] == ["3"]


def test_a_place_that_is_taken_counts_whatever_the_limits_say() -> None:
    slots, granted = Slots(2, per_model={"a/x": 1}), list[str]()
    for key in "123":
        slots.take(key, "a/x")
    slots.ask("4", lambda: granted.append("4"), "a/x")
    slots.ask("5", lambda: granted.append("5"))
    slots.release("1")
    assert granted == []
    slots.release("2")
    assert granted == ["5"]
    slots.release("5")
    assert granted == ["5"]
    slots.release("3")
    assert granted == ["5", "4"]


MODELS: Sequence[str | None] = (None, "a/x", "a/y", "b/x", "b/y", "b/z")

LIMITS = st.integers(1, 3)


class Places(RuleBasedStateMachine):
    """Asks for places, takes them and gives them back, in any order, and counts for itself."""

    keys: Bundle[str] = Bundle("keys")

    @initialize(
        limit=st.integers(1, 5),
        per_provider=st.dictionaries(st.sampled_from(["a", "b", "c"]), LIMITS),
        per_model=st.dictionaries(st.sampled_from(["a/x", "a/y", "b/x"]), LIMITS),
    )
    def begin(self, limit: int, per_provider: dict[str, int], per_model: dict[str, int]) -> None:
        self.slots = Slots(limit, per_provider=per_provider, per_model=per_model)
        self.limits: dict[str | None, int] = {**per_provider, **per_model, None: limit}
        self.models: dict[str, str | None] = {}
        self.waiting: list[str] = []
        self.running: set[str] = set()

    @rule(target=keys, model=st.sampled_from(MODELS))
    def ask(self, model: str | None) -> str:
        key = self.new_key(model)
        self.waiting.append(key)
        self.slots.ask(key, lambda: self.granted(key), model)
        return key

    @rule(target=keys, model=st.sampled_from(MODELS))
    def take(self, model: str | None) -> str:
        key = self.new_key(model)
        self.running.add(key)
        self.slots.take(key, model)
        return key

    @rule(key=keys, times=st.integers(1, 2))
    def release(self, key: str, times: int) -> None:
        self.running.discard(key)
        if key in self.waiting:
            self.waiting.remove(key)
        for _ in range(times):
            self.slots.release(key)

    def new_key(self, model: str | None) -> str:
        key = f"key {len(self.models)}"
        self.models[key] = model
        return key

    def granted(self, key: str) -> None:
        """No limit is exceeded, and nobody who asked before and could run was passed over."""
        assert key in self.waiting, "granted twice, or to one that has left"
        assert self.could_run(key)
        before = self.waiting[: self.waiting.index(key)]
        assert not [other for other in before if self.could_run(other)]
        assert self.models[key] not in [self.models[other] for other in before]
        self.waiting.remove(key)
        self.running.add(key)

    def could_run(self, key: str) -> bool:
        counted = [name for one in (*self.running, key) for name in self.counts_for(one)]
        return all(
            counted.count(name) <= self.limits[name]
            for name in self.counts_for(key)
            if name in self.limits
        )

    def counts_for(self, key: str) -> list[str | None]:
        model = self.models[key]
        return [None] if model is None else [None, model, model.split("/")[0]]

    @invariant()
    def nobody_waits_who_could_run(self) -> None:
        assert not [key for key in self.waiting if self.could_run(key)]

    @invariant()
    def the_queue_is_in_the_order_of_asking(self) -> None:
        places = [self.slots.position(key) for key in self.models]
        waiting = [place for place in places if place is not None]
        assert waiting == list(range(1, len(self.waiting) + 1))
        assert [key for key in self.models if self.slots.position(key)] == self.waiting


TestPlaces = Places.TestCase
TestPlaces.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


async def test_the_limit_holds_and_the_order_is_kept(world: World) -> None:
    service = await world.service(max_concurrent=2)
    all_five = [await world.delegate(service, HANG) for _ in range(5)]
    for position, delegation in enumerate(all_five):
        child = await world.working(delegation)
        running = [one for one in all_five if world.now(one).status is Status.RUNNING]
        assert running == all_five[position : position + 2][: len(running)]
        assert (
            sum(session.busy for session in world.runtime.sessions.values() if session.parent) <= 2
        )
        child.write("Done.")
        child.finish()
        await world.ended(delegation)


async def test_one_that_is_stopped_while_it_waits_leaves_the_queue(world: World) -> None:
    service = await world.service(max_concurrent=1)
    other = world.runtime.add_session()
    first = await world.delegate(service, HANG)
    child = await world.working(first)
    stopped = await world.delegate(service, HANG, supervisor=other)
    third = await world.delegate(service, HANG)
    world.runtime.delete_session(other)
    assert (await world.ended(stopped)).status is Status.STOPPED
    child.finish()
    await world.working(third)
    assert world.now(stopped).session is None


async def test_the_time_of_one_that_waits_does_not_run(world: World) -> None:
    service = await world.service(max_concurrent=1)
    child = await world.working(await world.delegate(service, HANG, minutes=0))
    waiting = await world.delegate(service, HANG, minutes=1)
    world.advance(minutes=5)
    child.finish()
    await world.working(waiting)
    world.advance(seconds=59)
    assert world.now(waiting).status is Status.RUNNING
    world.advance(seconds=1)
    assert (await world.ended(waiting)).status is Status.TIMED_OUT


# --- trees -----------------------------------------------------------------------


@dataclass
class Node:
    """A run of a tree, which is over once all below it are."""

    name: str
    model: str | None
    above: str
    below: list[Node]


def trees(depth: int = 3) -> st.SearchStrategy[list[Node]]:
    names = (f"n{number}" for number in itertools.count())
    models = st.sampled_from([None, "a/x", "a/y", "b/z"])

    def grown(level: int) -> st.SearchStrategy[list[tuple[str | None, list[object]]]]:
        under = grown(level - 1) if level > 1 else st.just([])
        return st.lists(st.tuples(models, under), max_size=3)  # type: ignore[arg-type]

    def named(found: list[tuple[str | None, list[object]]], above: str) -> list[Node]:
        made = []
        for model, under in found:
            name = next(names)
            made.append(Node(name, model, above, named(under, name)))  # type: ignore[arg-type]
        return made

    return grown(depth).map(lambda found: named(found, ""))


@given(trees(), st.integers(1, 3), st.randoms(use_true_random=False))
def test_no_tree_waits_for_ever(forest: list[Node], limit: int, chance: random.Random) -> None:
    """Each waits for all that it has delegated, and yet all come to their end."""
    slots = Slots(limit, per_provider={"a": 1}, per_model={"b/z": 1})
    granted: list[Node] = []
    waiting: dict[str, set[str]] = {}
    over: set[str] = set()

    def begin(node: Node) -> None:
        slots.ask(node.name, lambda: granted.append(node), node.model, node.above)

    everything: list[Node] = []
    for node in forest:
        begin(node)
    for _ in range(1_000):
        while granted:
            node = granted.pop(chance.randrange(len(granted)))
            everything.append(node)
            waiting[node.name] = {one.name for one in node.below}
            for one in node.below:
                begin(one)
        done = [name for name, left in waiting.items() if left <= over]
        if not done:
            break
        name = chance.choice(done)
        del waiting[name]
        over.add(name)
        slots.release(name)
    assert not waiting
    assert len(over) == len(everything) == count(forest)


def count(forest: list[Node]) -> int:
    return len(forest) + sum(count(node.below) for node in forest)


def test_one_lends_its_place_to_one_at_a_time() -> None:
    slots, granted = Slots(1), list[str]()
    for name, above in (("top", ""), ("first", "top"), ("second", "top"), ("other", "")):
        slots.ask(name, lambda name=name: granted.append(name), None, above)  # type: ignore[misc]
    assert granted == ["top", "first"]
    slots.release("first")
    assert granted == ["top", "first", "second"]
    slots.release("second")
    assert granted == ["top", "first", "second"]
    slots.release("top")
    assert granted[-1] == "other"


def test_a_place_of_ones_own_comes_before_a_lent_one() -> None:
    slots, granted = Slots(2), list[str]()
    slots.ask("top", lambda: granted.append("top"))
    slots.ask("first", lambda: granted.append("first"), above="top")
    slots.ask("other", lambda: granted.append("other"))
    assert granted == ["top", "first"]
    slots.ask("second", lambda: granted.append("second"), above="top")
    assert granted == ["top", "first", "second"]
