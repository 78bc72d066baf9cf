"""Two agents and a human write the same and different files at once; undoing one loses nothing.

Each seed plays another interleaving on a real repository, with the human between any two steps:
also between a hook and its tool. Lines carry the name of who wrote them, so that what is whose can
be told afterwards without asking the journal.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import unified_diff
from pathlib import Path

import pytest
from msgspec.structs import replace

from background_agents.adapters.changes.tree import FileTrees
from background_agents.adapters.system import processes
from background_agents.adapters.system.clock import SystemClock
from background_agents.client.undoing import Undoing
from background_agents.domain.change_sums import fold
from background_agents.domain.changes import REDO, UNDO
from background_agents.domain.ids import SortableIds
from background_agents.domain.undoing import Asked
from background_agents.hosts.opencode.tools import NAMES
from background_agents.hosts.opencode.writes import ToolCall as Call
from background_agents.service.changes.calls import Written
from background_agents.service.changes.recorder import Recorder
from background_agents.service.context import ProjectContext
from background_agents.service.tasks import Tasks
from background_agents.testing.contracts.samples import finished
from background_agents.testing.memory import MemoryArtifacts, MemoryStore
from background_agents.testing.tries import MemoryTries
from tests.client.trees import Tree, snapshot

A, B, HUMAN = "brave-amber-otter", "calm-blue-heron", "human"

TAGS = {A: "A", B: "B", HUMAN: "H"}

SEEDS = int(os.environ.get("INTERLEAVINGS", "15"))
"""Of each run of the tests; more by the variable."""

LIMIT = 10 * 2**20

STEPS = 60
"""After so many steps nobody begins anything new."""

Step = Callable[[], object]

SHARED = ("shared.txt", "crlf.txt", "no-end.txt", "d/deep.txt")


def base(name: str, end: str = "\n") -> str:
    return "".join(f"base {name} {number}{end}" for number in range(12))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a commit, something staged, and something ignored."""
    folder = tmp_path_factory.mktemp("template")
    tree = Tree(folder, repository=False)
    for name in SHARED:
        text = base(name, "\r\n" if name == "crlf.txt" else "\n")
        tree.write(name, (text[:-1] if name == "no-end.txt" else text).encode())
    tree.write("bin", bytes(range(256)))
    tree.write(".gitignore", b"ignored*\n")
    tree.write("ignored.txt", base("ignored.txt").encode())
    tree.git("init", "-q", "--template=")
    tree.git("add", "-A")
    tree.git("commit", "-qm", "first")
    tree.write("d/deep.txt", tree.read("d/deep.txt") + b"base staged\n")
    tree.git("add", "-A")
    return tree.top


@dataclass
class Play:
    """One interleaving."""

    tree: Tree
    random: random.Random
    recorder: Recorder
    count: int = 0
    begun: int = 0
    writers: dict[str, set[str]] = field(default_factory=dict)
    """Who has written, by path."""
    first: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    commands: set[tuple[str, str]] = field(default_factory=set)
    """Who has written where by a command."""
    brought: set[str] = field(default_factory=set)
    """Lines that somebody else than their author has put somewhere: nobody knows whose they are."""

    def path(self, name: str) -> Path:
        return self.tree.top / name

    def line(self, who: str) -> str:
        self.count += 1
        return f"{TAGS[who]}{self.count}"

    def files(self) -> list[str]:
        found = (name for name, (mode, _) in snapshot(self.tree.top).items() if mode & 0o100000)
        return sorted(name for name in found if name != "bin")

    # --- what one writes -------------------------------------------------------

    def changed(self, text: str, who: str) -> str:
        """Return a text with one line more, one less, or one replaced."""
        lines = text.splitlines(keepends=True)
        end = "\r\n" if "\r\n" in text else "\n"
        mine = f"{self.line(who)}{end}"
        at = self.random.randrange(len(lines) + 1)
        if not lines or self.random.random() < 0.5:
            return "".join([*lines[:at], mine, *lines[at:]])
        at = min(at, len(lines) - 1)
        return "".join(
            [*lines[:at], *([mine] if self.random.random() < 0.7 else []), *lines[at + 1 :]]
        )

    def note(self, name: str, who: str) -> None:
        self.writers.setdefault(name, set()).add(who)

    def put(self, name: str, text: str, who: str) -> None:
        self.note(name, who)
        brought = set(text.splitlines()) - set(self.text(name).splitlines())
        self.brought |= {line for line in brought if line[:1] != TAGS[who]}
        self.path(name).parent.mkdir(parents=True, exist_ok=True)
        self.path(name).write_bytes(text.encode())

    def text(self, name: str) -> str:
        try:
            return self.path(name).read_bytes().decode()
        except (OSError, UnicodeDecodeError):
            return ""

    def anywhere(self, who: str) -> Step:
        """Return one thing that somebody does by hand, or a command."""
        names = [*self.files(), *SHARED, f"{TAGS[who]}-new-{self.random.randrange(3)}"]
        if who != HUMAN:  # what git ignores is not seen where a command writes it
            names = [one for one in names if not one.startswith("ignored")]
        name, other = self.random.choice(names), self.random.choice(names)
        self.commands |= {(who, name), (who, other)}

        def edit() -> None:
            self.put(name, self.changed(self.text(name), who), who)

        def remove() -> None:
            if self.path(name).is_file():
                self.note(name, who)
                self.path(name).unlink()

        def move() -> None:
            if self.path(name).is_file() and not self.path(other).exists():
                self.note(name, who)
                self.note(other, who)
                self.brought |= set(self.text(name).splitlines())
                self.path(other).parent.mkdir(exist_ok=True)
                self.path(name).rename(self.path(other))

        def mode() -> None:
            if self.path(name).is_file():
                self.note(name, who)
                self.path(name).chmod(self.random.choice([0o755, 0o644, 0o600]))

        def binary() -> None:
            self.note("bin", who)
            self.path("bin").write_bytes(bytes([0, self.random.randrange(256)]) * 50)

        def link() -> None:
            at = self.path(f"{TAGS[who]}-link")
            self.note(at.name, who)
            at.unlink(missing_ok=True)
            at.symlink_to(self.line(who))

        return self.random.choice([edit, edit, edit, edit, edit, remove, move, mode, binary, link])

    # --- calls of tools --------------------------------------------------------

    async def call(self, who: str) -> AsyncIterator[None]:
        """Make one call of a tool, with a pause wherever somebody else may come in between."""
        self.begun += 1
        number = f"call_{self.begun}"
        kind = self.random.choice(["write", "write", "edit", "edit", "apply_patch", "bash"])
        name = self.random.choice([*SHARED, *SHARED, "ignored.txt", f"{TAGS[who]}-own"])
        seen = self.text(name)
        wanted = self.changed(seen, who)
        yield
        args, works = self._work(kind, name, seen, wanted, who)
        call = Call(session=f"ses_{TAGS[who]}", id=number, tool=kind, args=args)
        await self.recorder.before(call, str(self.tree.top), who)
        yield
        told: list[Written] = []
        failed = False
        for work in works:
            done = await asyncio.to_thread(work)
            failed |= done is False
            told += [done] if isinstance(done, Written) else []
            yield
        await self.recorder.after(call.session, number, told, failed=failed)

    def _work(
        self, kind: str, name: str, seen: str, wanted: str, who: str
    ) -> tuple[Mapping[str, object], Sequence[Step]]:
        path = str(self.path(name))
        if kind == "write":
            return {"filePath": path, "content": wanted}, [lambda: self.put(name, wanted, who)]
        if kind == "bash":
            count = self.random.randrange(1, 4)
            return {"command": "…"}, [self.anywhere(who) for _ in range(count)]
        old = self.random.choice(seen.splitlines() or [""])
        new = self.line(who)

        def edited() -> object:
            before = self.text(name)
            if not old or before.count(old) != 1:
                return False
            after = before.replace(old, new)
            self.put(name, after, who)
            diff = unified_diff(before.splitlines(keepends=True), after.splitlines(keepends=True))
            return Written(path, "".join(diff))

        if kind == "edit":
            return {"filePath": path, "oldString": old, "newString": new}, [edited]
        patch = f"*** Begin Patch\n*** Update File: {name}\n@@\n-{old}\n+{new}\n*** End Patch"
        return {"patchText": patch}, [edited]

    async def play(self) -> None:
        """Let all three write, one step of somebody's at a time."""
        agents: dict[str, AsyncIterator[None] | None] = {A: None, B: None}
        for _ in range(STEPS):
            who = self.random.choice([A, A, B, HUMAN])
            if who == HUMAN:
                await asyncio.to_thread(self.anywhere(HUMAN))
            else:
                agents[who] = await self.go_on(agents[who] or self.call(who))
        for who, running in agents.items():
            while running is not None:
                running = await self.go_on(running)
            await self.recorder.finish(replace(finished(), id=who))
        if self.random.random() < 0.7:  # nobody stops because an agent has ended
            await asyncio.to_thread(self.anywhere(HUMAN))

    @staticmethod
    async def go_on(running: AsyncIterator[None]) -> AsyncIterator[None] | None:
        try:
            await anext(running)
        except StopAsyncIteration:
            return None
        return running


@pytest.fixture
async def play(
    tmp_path: Path, template: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Play]:
    tree = Tree(tmp_path, repository=False)
    shutil.rmtree(tree.top)
    shutil.copytree(template, tree.top, symlinks=True)
    trees = FileTrees(tree.journal.folder, tree.journal.keep, LIMIT)
    tasks = Tasks()
    chosen = random.Random(request.param)
    context = ProjectContext(
        store=MemoryStore(), artifacts=MemoryArtifacts(), journal=tree.journal, trees=trees,
        tries=MemoryTries(), clock=SystemClock(), processes=processes, ids=SortableIds(chosen),
        project="p1", owner="me", tools=NAMES,
    )  # fmt: skip
    play = Play(tree, chosen, Recorder(context, tasks))
    play.first = snapshot(tree.top)
    yield play
    await tasks.close()


def undoing(play: Play, who: str) -> Undoing:
    return Undoing(play.tree.place, replace(finished(), id=who, directory=str(play.tree.top)))


def lines_of(play: Play, content: bytes, of: str) -> list[str]:
    """Return the lines in a file that one of ``of`` has written, in order."""
    found = (line for line in content.decode(errors="replace").splitlines() if line[1:].isdigit())
    return [line for line in found if line[:1] in of and line not in play.brought]


def is_within(some: Sequence[str], all_of: Sequence[str]) -> bool:
    rest: Iterator[str] = iter(all_of)
    return all(line in rest for line in some)


def check_undone(play: Play, who: str, before: Mapping[str, tuple[int, bytes]]) -> None:
    """Check an undo of what is sure: what is others' is there, and what is its own is not."""
    it = undoing(play, who)
    plan = it.plan(UNDO, Asked())
    done = it.do(UNDO, plan)
    after = snapshot(play.tree.top)
    others = "".join(tag for name, tag in TAGS.items() if name != who)
    for path, (mode, content) in before.items():
        mine = lines_of(play, content, others)
        assert is_within(mine, lines_of(play, after.get(path, (0, b""))[1], others)), path
        if mode & 0o170000 != 0o040000 and who not in play.writers.get(path, ()):
            assert after[path] == (mode, content), path
    changed = {one.path for one in done.steps}
    for path in before.keys() | after.keys():
        is_file = (before.get(path) or after[path])[0] & 0o170000 != 0o040000
        if is_file and path not in changed:
            assert after.get(path) == before.get(path), path
    folded = {one.path: one for one in fold(play.tree.journal.segments(who))}
    for path in changed:
        if folded[path].standing or (who, path) in play.commands:
            continue  # whose a command's changes are is not known beyond doubt, nor always seen
        assert lines_of(play, after.get(path, (0, b""))[1], TAGS[who]) == [], path
        if play.writers[path] == {who}:
            assert after.get(path) == play.first.get(path), path


def check_redone(play: Play, who: str, before: Mapping[str, tuple[int, bytes]]) -> None:
    it = undoing(play, who)
    done = it.do(REDO, it.plan(REDO, Asked()))
    assert done.left == ()
    assert snapshot(play.tree.top) == before


@pytest.mark.parametrize("play", range(SEEDS), indirect=True)
async def test_an_undo_keeps_what_is_others_and_a_redo_brings_all_back(play: Play) -> None:
    git = snapshot(play.tree.top, git=True)
    await play.play()
    before = snapshot(play.tree.top)

    def there_and_back() -> None:
        for who in (A, B):
            check_undone(play, who, before)
            check_redone(play, who, before)
        for asked in (Asked(likely=True), Asked(tuple(before))):
            it = undoing(play, A)
            it.do(UNDO, it.plan(UNDO, asked))
            check_redone(play, A, before)

    await asyncio.to_thread(there_and_back)
    assert snapshot(play.tree.top, git=True) == git
