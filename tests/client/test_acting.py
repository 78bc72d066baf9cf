"""Commands that act on what runs: what they say, and what comes of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio
from msgspec.structs import replace
from projects import HANG, Project

from background_agents import AsyncClient, connect, errors
from background_agents.adapters.files.private import private_folder
from background_agents.adapters.sqlite import rows, schema
from background_agents.client import on_demand
from background_agents.client.place import Place
from background_agents.domain.errors import NotServed
from background_agents.domain.order import Order
from background_agents.hosts.cli import main
from background_agents.testing.contracts.samples import registered
from lab.harness.service import Service


class Said(NamedTuple):
    """What a command came to."""

    code: object
    out: str
    err: str


Bga = Callable[..., Awaitable[Said]]


@pytest.fixture
def bga(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Bga:
    """Runs a command in the project's folder, as from a pipe."""
    monkeypatch.chdir(project.folder)

    async def run(*words: str) -> Said:
        with pytest.raises(SystemExit) as left:
            await asyncio.to_thread(main, words)
        return Said(left.value.code, *capsys.readouterr())

    return run


async def test_more_time_is_given(project: Project, agents: AsyncClient, bga: Bga) -> None:
    """It says what there is in all, and whoever has ended gets none."""
    delegation = await agents.delegate(project.prompt(HANG), "build", timeout_minutes=10)
    child = await project.working(delegation)
    for minutes, told in (("5", "has 15m 00s in all"), ("1h", "has 1h 15m in all")):
        assert await bga("extend", delegation.id, minutes) == (
            0,
            f"{delegation.id} {told} now.\n",
            "",
        )
    assert (await delegation.extend(0.5)).timeout_s == 75.5 * 60
    with pytest.raises(errors.InvalidRequest, match="minutes is nan; give a number"):
        await delegation.extend(float("nan"))
    assert (await bga("extend", delegation.id, "0")).out.endswith("has no time limit now.\n")
    refused = await bga("extend", delegation.id, "5")
    assert refused == (2, "", f"{delegation.id} has no time limit that could be extended.\n")
    senseless = await bga("extend", delegation.id, "soon")
    assert (senseless.code, senseless.out) == (2, "")
    assert "'soon' is no duration" in senseless.err
    below = await bga("extend", "brave-amber-otter", "--", "-5")
    assert "'-5' is no duration" in below.err  # as it was typed
    child.finish()
    await delegation.wait()
    late = await bga("extend", delegation.id, "5")
    assert late.err == (
        f"{delegation.id} has ended (completed); go on in its session with `background-agents "
        "delegate --continue`.\n"
    )


# --- transcripts ---------------------------------------------------------------------

LOOK: dict[str, object] = {"say": "I look.", "call": "bash", "args": {"command": "ls -l"}}


async def test_a_transcript_is_all_of_a_run_and_nothing_of_what_came_later(
    project: Project, agents: AsyncClient, bga: Bga
) -> None:
    """While it runs, after its end, and where another one has gone on in its session."""
    first = await agents.delegate(project.prompt(LOOK, HANG), "build")
    child = await project.working(first)
    child.write("Two files.")
    begun = ("> Look into it.\n", "\n\nI look.\n[bash completed: bash]\n\nTwo files.")
    so_far = await first.transcript()
    assert so_far.startswith(begun[0])
    assert so_far.endswith(begun[1])
    following = first.follow(from_prompt=True)
    assert await anext(following) == so_far
    assert (await first.steer("Count them.")).id == first.id
    child.write(" Or three.")
    child.finish()
    assert "".join([text async for text in following]).startswith(" Or three.")
    await first.wait()
    second = await agents.delegate(project.prompt({"say": "Again."}), "build", continue_id=first.id)
    await second.wait()
    said = await bga("transcript", first.id, "-f")
    assert (said.code, said.err) == (0, "")
    assert f"{begun[1]} Or three.\n\n> Count them.\n" in said.out
    assert "Again." not in said.out
    later = await second.transcript()
    assert later.startswith(begun[0])
    assert later.endswith("\n\nAgain.")
    assert "Two files." not in later


async def test_where_no_opencode_can_tell_there_is_the_result_alone(
    project: Project, bga: Bga, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said why, also where the session was deleted; and nothing is started unasked."""
    async with project.service(), connect(project.folder) as agents:
        delegation = await agents.delegate(project.prompt(LOOK, {"say": "Two files."}), "build")
        ended = await delegation.wait()
        project.runtime.delete_session(ended.session or "")
        gone = await bga("transcript", delegation.id)
        assert (gone.code, gone.out) == (1, "Two files.\n")
        assert gone.err.startswith("There is no transcript: ")
        assert gone.err.endswith(" This is its result:\n\n")

    def start(_place: Place) -> None:
        raise NotServed("OpenCode is not installed.")

    monkeypatch.setattr(on_demand, "start", start)
    async with connect(project.folder) as agents:
        with pytest.raises(errors.NotServed, match=r"No OpenCode has .* open"):
            await (await agents.get(delegation.id)).transcript(start=False)
    closed = await bga("transcript", delegation.id)
    assert (closed.code, closed.out) == (1, "Two files.\n")
    assert "open. One is started to read the session …\n" in closed.err
    assert "There is no transcript: OpenCode is not installed. This is its result:" in closed.err


async def test_one_that_never_began_has_no_transcript(
    project: Project, agents: AsyncClient, service: Service
) -> None:
    service.project.slots._limit = 0
    delegation = await agents.delegate(project.prompt(HANG), "build")
    assert await delegation.transcript() == ""
    await delegation.stop()
    with pytest.raises(errors.InvalidRequest, match=r"has ended .stopped. before it"):
        await delegation.transcript()


# --- several projects ----------------------------------------------------------------


@pytest.fixture
def other(project: Project, tmp_path: Path) -> Project:
    """Another project of the same user."""
    return Project(tmp_path / "elsewhere", beside=project)


@pytest_asyncio.fixture
async def elsewhere(other: Project, service: Service) -> AsyncIterator[Project]:
    """The same, which the service has open as well."""
    async with other.service():
        yield other


async def test_an_id_is_found_in_another_project(
    project: Project, elsewhere: Project, bga: Bga
) -> None:
    """Written out; it is told which project that is, and whoever named one means no other."""
    async with connect(elsewhere.folder) as agents:
        delegation = await agents.delegate(elsewhere.prompt(HANG, {"say": "Twice."}), "build")
        child = await elsewhere.working(delegation)
    name, told = delegation.id, f"{delegation.id} is of another project, {elsewhere.folder}.\n"
    for act, *words in (["show"], ["transcript"], ["extend", "5"], ["steer", "x"]):
        said = await bga(act, name, *words)
        assert (said.code, said.err) == (0, told), act
    child.finish()
    waited = await bga("wait", name)
    assert (waited.code, waited.err) == (0, told)
    assert (await bga("read", name)).err == told
    for words in ([name[:-1]], [name, "-C", str(project.folder)]):
        said = await bga("show", *words)
        assert (said.code, said.out) == (2, "")
        assert "No delegation here has an id that begins with" in said.err


@pytest.fixture
def twice(project: Project) -> str:
    """An id that two other projects have."""
    root = project.place.data_root
    for folder, where in (("one", "/src/one"), ("two", "/src/two")):
        private_folder(root / folder)
        with closing(schema.connect(root / folder / "delegations.db")) as connection:
            rows.register(connection, replace(registered("odd-new-emu"), directory=where))
    return "odd-new-emu"


async def test_one_id_in_two_other_projects_is_refused(twice: str, bga: Bga) -> None:
    said = await bga("show", twice)
    assert said.err == f"{twice} is in /src/one, /src/two; say which with --directory.\n"


async def test_everything_is_seen_and_stopped_everywhere(
    project: Project, elsewhere: Project, agents: AsyncClient, bga: Bga
) -> None:
    """A stop of so much is asked about; whoever cannot be asked says --yes."""
    here = await agents.delegate(project.prompt(HANG), "build")
    async with connect(elsewhere.folder) as others:
        there = await others.delegate(elsewhere.prompt(HANG), "build")
        await elsewhere.working(there)
    await project.working(here)
    status = (await bga("status", "--all-projects")).out
    for place, one in ((project, here), (elsewhere, there)):
        assert f"{place.folder}:\n{one.id}  running  Look into it." in status
    assert len(json.loads((await bga("status", "--all-projects", "--json")).out)) == 2
    assert len(json.loads((await bga("status", "--json")).out)) == 1
    unasked = await bga("stop", "--all", "--all-projects")
    assert (unasked.code, unasked.out) == (2, "")
    assert unasked.err.startswith("Nothing was stopped. Nobody can be asked; --yes says")
    stopped = await bga("stop", "--all", "--all-projects", "--yes")
    assert (stopped.code, stopped.err) == (0, "")
    for one in (here, there):
        assert f"{one.id} is stopped" in stopped.out
    assert (await bga("status", "--all-projects")).out.startswith("Nothing is active.")


# --- labels and notes ----------------------------------------------------------------

PEOPLES = 'labels: "Release urgent"\nnote: "Look at: it\\nagain."\n'


async def test_labels_and_notes_are_kept_and_no_model_is_told(
    project: Project, agents: AsyncClient, service: Service, bga: Bga
) -> None:
    """While it runs and afterwards, in its record and its file; what models read has neither."""
    root = project.runtime.add_session()
    order = Order(project.prompt(HANG), "build")
    delegation = await agents.get((await service.delegate(root, order)).id)
    name = delegation.id
    child = await project.working(delegation)
    assert (await bga("label", name)).out == f"{name} has no label.\n"
    labelled = await bga("label", name, "Release", "v2.0")
    assert labelled.out == f"{name} is labelled Release v2.0.\n"
    assert (await bga("note", name, "Look", "at: it\nagain.")).out == "Look at: it\nagain.\n"
    child.write("Done.")
    child.finish()
    ended = await delegation.wait()
    assert (ended.labels, ended.note) == (("Release", "v2.0"), "Look at: it\nagain.")
    assert (await delegation.annotate(["urgent"], without=["v2.0"])).labels == ("Release", "urgent")
    for words in (["label:release"], ["--label", "urgent"], ["label:urgent", "label:v2.0"]):
        assert (await bga("list", *words)).out.startswith(f"{name}  completed"), words
    assert (await bga("list", "label:v2.0")).out == ""
    shown = (await bga("show", name)).out
    assert "  labels      Release urgent\n  note        Look at: it again.\n" in shown
    assert "has the labels Release, urgent and the note: Look at: it again." in shown
    raw = (project.place.folder / root / f"{name}.md").read_text()
    assert f"\n{PEOPLES}prompt: " in raw
    assert (await service.read(root, name)).text == raw.replace(PEOPLES, "")
    assert (await bga("note", name, "--remove")).out == f"{name} has no note.\n"


async def test_what_is_no_label_is_refused(project: Project, agents: AsyncClient, bga: Bga) -> None:
    delegation = await agents.delegate(project.prompt({"say": "Done."}), "build")
    await delegation.wait()
    for label in ("two words", "", "a,b", "x" * 41, "\x1b[2J"):
        refused = await bga("label", delegation.id, label)
        assert (refused.code, refused.out) == (2, "")
        assert "is no label; write one word of at most 40 letters and digits." in refused.err
    with pytest.raises(errors.InvalidRequest, match="would have 21 labels; 20 is the most"):
        await delegation.annotate([f"l{number}" for number in range(21)])
    with pytest.raises(errors.InvalidRequest, match="would have 2,001 characters of note"):
        await delegation.annotate(note="x" * 2_001)
    assert (await delegation.status()).labels == ()


# --- small things --------------------------------------------------------------------


async def test_answer_alone_shows_what_is_asked_and_the_replies(
    project: Project, agents: AsyncClient, bga: Bga
) -> None:
    project.runtime.asking.add("bash")
    steps = (
        {"call": "bash", "args": {"command": "make\x1b[2J"}},
        {"call": "question", "args": {"questions": [
            {"question": "Which one?", "options": [{"label": "red"}, {"label": "blue"}]}]}},
    )  # fmt: skip
    delegation = await agents.delegate(project.prompt(*steps), "build")
    asked = asyncio.Event()
    waiting = asyncio.create_task(
        delegation._client.wait(
            [delegation.id], asks=lambda *_: loop.call_soon_threadsafe(asked.set)
        )
    )
    loop = asyncio.get_running_loop()
    await asked.wait()
    shown = (await bga("answer", delegation.id)).out
    assert shown.startswith(f"{delegation.id} asks for a permission:\n  bash\n  make")
    assert "\x1b" not in shown
    assert 'To answer, reply "once", "always"' in shown
    asked.clear()
    await bga("answer", delegation.id, "once")
    await asked.wait()
    shown = (await bga("answer", delegation.id)).out
    assert shown == (
        f"{delegation.id} asks for a question:\n  Which one?\n    - red\n    - blue\n"
        'To answer, reply with the answer, or "reject".\n'
    )
    await bga("answer", delegation.id, "red")
    await waiting
    nothing = await bga("answer", delegation.id)
    assert nothing.err.startswith(f"{delegation.id} is completed and waits for no answer")


async def test_the_folder_is_opened(
    project: Project, agents: AsyncClient, bga: Bga, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what its user has said, or the desktop; where there is nothing it says what to do."""
    delegation = await agents.delegate(project.prompt({"say": "Done."}), "build")
    await delegation.wait()
    assert (await bga("open", delegation.id, "--print")).out == f"{project.folder}\n"
    monkeypatch.setenv("VISUAL", "sh -c 'echo opened > \"$0/seen\"; exit 7'")
    assert (await bga("open", delegation.id)).code == 1
    assert (project.folder / "seen").read_text() == "opened\n"
    monkeypatch.setenv("VISUAL", "no-such-editor --wait")
    refused = await bga("open", delegation.id)
    assert (refused.code, refused.err[:33]) == (2, "no-such-editor cannot be run (No ")
    monkeypatch.delenv("VISUAL")
    monkeypatch.delenv("EDITOR", raising=False)
    monkeypatch.setenv("PATH", str(project.folder))
    nothing = await bga("open", delegation.id)
    assert nothing.err == (
        f"There is nothing to open {project.folder} with; set EDITOR, or use it with --print.\n"
    )
