"""What errors say of themselves is for anybody; what they say to whom is one sentence for each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import background_agents
from background_agents.domain import errors as err
from background_agents.domain.asking import Ask, Question
from background_agents.views.errors import for_model, for_people

OTTER = "brave-amber-otter"

MAY = Ask(id="per_1", session="ses_1", permission="bash", patterns=("ls",))

WHICH = Ask(id="que_1", session="ses_1", questions=(Question("Which one?"),))

TO_GRANT = (
    "only your human may grant it, so ask them; they answer in OpenCode's dialogue, with "
    f"`bga answer {OTTER} once` in a terminal, or by an answers rule in the configuration. You may "
    f'refuse it: delegation_answer("{OTTER}", "reject: why")'
)

TO_ANSWER = 'reply "once", "always" (also for others, until OpenCode restarts) or "reject: why"'

UNDONE = "its user has undone messages there, which a message would delete for good"

STARTED_BY_MODEL = "a model in OpenCode calls the tool delegate, which obeys the rules of its user"

APART: list[tuple[err.DelegationError, str, str]] = [
    (
        err.UnknownDelegation(OTTER),
        f"No delegation is called '{OTTER}' in this session; delegation_list() shows the ids.",
        f"No delegation of this project is called '{OTTER}'; `background-agents list` shows the "
        "ids.",
    ),
    (
        err.RunElsewhere(OTTER),
        f"{OTTER} is run by another OpenCode process on this project; ask there.",
        f"{OTTER} has just ended or was taken over; look with `background-agents status`, and try "
        "again.",
    ),
    (
        err.NotSteerable(OTTER, "ending"),
        f"{OTTER} is ending and takes no instruction: it is ending just now; wait for its notice.",
        f"{OTTER} is ending and takes no instruction: it is ending just now.",
    ),
    (
        err.NotSteerable(OTTER, "completed"),
        f"{OTTER} is completed and takes no instruction: go on in its session with "
        f'delegate(prompt, agent, continue_id="{OTTER}").',
        f"{OTTER} is completed and takes no instruction: go on in its session with "
        f"`background-agents delegate --continue {OTTER}`.",
    ),
    (
        err.NothingAsked(OTTER, "running"),
        f"{OTTER} is running and waits for no answer; delegation_status() shows which do.",
        f"{OTTER} is running and waits for no answer; `background-agents status` shows which do.",
    ),
    (
        err.NotChanged(OTTER, "src/a"),
        f"{OTTER} has not changed 'src/a'; delegation_diff(\"{OTTER}\") lists what it has.",
        f"{OTTER} has not changed 'src/a'; `background-agents diff {OTTER} --stat` lists what it "
        "has.",
    ),
    (
        err.StillWrites(OTTER, "running"),
        f"{OTTER} is running; what it changes can be undone once it has ended.",
        f"{OTTER} is running; what it changes can be undone once it has ended; "
        f"`background-agents stop {OTTER}` ends it now.",
    ),
    (
        err.StillActive(OTTER, "running"),
        f"{OTTER} cannot be continued: it is running; "
        f'delegation_steer("{OTTER}", message) reaches it now.',
        f"{OTTER} cannot be continued: it is running; `background-agents steer {OTTER}` reaches it "
        "now.",
    ),
]
"""Errors, with what they say to a model and to people."""

ALIKE: list[tuple[err.DelegationError, str]] = [
    (err.InvalidRequest("Give {one}."), "Give {one}."),
    (
        err.NotAnId("no {id}"),
        "'no {id}' is not the id of a delegation; ids look like brave-amber-otter and "
        "delegation_list() shows them.",
    ),
    (
        err.NoSuchRecord("bra"),
        "No delegation here has an id that begins with 'bra'; `background-agents list` shows the "
        "ids.",
    ),
    (
        err.AmbiguousId("b", list("abcdefghi")),
        "'b' could be a, b, c, d, e, f, g, h and more; type more of the id.",
    ),
    (
        err.UnknownAgent("x", ["build", "plan"]),
        "No agent is called 'x'; choose one of: build, plan.",
    ),
    (err.UnknownAgent("x", []), "No agent is called 'x'; choose one of: none."),
    (
        err.NotReadOnly("build", ["plan"]),
        "'build' may edit files or run commands, and only read-only agents may be delegated to "
        "here (BACKGROUND_AGENTS_STRICT_READONLY): choose one of: plan; or give this work to it "
        "with the native task tool.",
    ),
    (
        err.NotReadOnly("build", [], ["x_y"]),
        "'build' may call tools that may write unless safe_tools names them (x_y), and only "
        "read-only agents may be delegated to here (BACKGROUND_AGENTS_STRICT_READONLY): give this "
        "work to it with the native task tool.",
    ),
    (
        err.NotDelegable(),
        "A background agent cannot delegate; do this part of the work yourself.",
    ),
    (
        err.NotPermitted("build", "task"),
        "'build' was not delegated to: the user's rules deny it (permission.task); choose another "
        "agent, or do it yourself.",
    ),
    (
        err.OnlyReads("stop"),
        "stop was refused: what a background agent starts may read, not act; tell your supervisor "
        "with notify_parent what is needed.",
    ),
    (
        err.OnlyByTool("delegate", "delegate"),
        f"delegate was refused: {STARTED_BY_MODEL}; a command is for people.",
    ),
    (
        err.OnlyPlanning("build", ["plan"]),
        "'build' may edit files, and in plan mode nobody does: choose one of: plan; or make it "
        "part of the plan.",
    ),
    (
        err.OnlyPlanning("build", []),
        "'build' may edit files, and in plan mode nobody does: make it part of the plan.",
    ),
    (
        err.NotSteerable(OTTER, "registered"),
        f"{OTTER} is registered and takes no instruction: it has not begun; stop it and delegate "
        "anew with the instruction in its prompt.",
    ),
    (
        err.AskChanged(OTTER, MAY),
        "Nothing was answered: what was asked has changed meanwhile. "
        f"{OTTER} waits for a permission, bash: ls; {TO_GRANT}",
    ),
    (err.NotAnAnswer("yes", MAY), f"'yes' does not answer a permission; {TO_ANSWER}."),
    (
        err.NotAnAnswer("", WHICH),
        'The reply is empty; reply with the answer, or "reject".',
    ),
    (err.MayNotGrant(OTTER, MAY), f"Nothing was granted: {TO_GRANT}."),
    (
        err.NotContinuable(OTTER, "its session was deleted; delegate anew"),
        f"{OTTER} cannot be continued: its session was deleted; delegate anew.",
    ),
    (
        err.HasEnded(OTTER, "completed"),
        f"{OTTER} has ended (completed); `background-agents read {OTTER}` shows what it left.",
    ),
    (
        err.NoResult(OTTER, "running"),
        f"{OTTER} is running and has no result yet; `background-agents peek {OTTER}` shows what it "
        "is doing.",
    ),
    (
        err.NoSupervisor(),
        "Nobody was told: only a background agent that still runs has a supervisor; say it in your "
        "answer instead.",
    ),
    (
        err.TooTalkative(10),
        "Nobody was told: 10 of your messages still wait to be told, and no more are kept; say it "
        "in your result instead.",
    ),
    (
        err.DayIsSpent(5.02, 5.0, timedelta(hours=3, minutes=19, seconds=30)),
        "Nothing was delegated: this project has spent $5.02 today, and $5.00 is its limit for a "
        "day (day_cost_usd); it may again at 00:00 UTC, in 3h 20m.",
    ),
    (
        err.OnlyPeople("undo"),
        "undo was refused: what was changed is for people to take back; ask your human.",
    ),
    (
        err.ChangesGone(OTTER),
        f"What {OTTER} changed is kept no more: it was deleted, or is older than the setting "
        "changes_days lets it be.",
    ),
    (
        err.TreeGone(OTTER, "/src/x"),
        f"The folder in which {OTTER} worked is gone: /src/x; put it back there to undo what was "
        "changed in it.",
    ),
    (
        err.LeaveNeeded("build", "task"),
        "'build' was not delegated to: the user's rules want to be asked before (permission.task), "
        "and this OpenCode cannot ask for a plugin's tool; ask the user to allow it in their "
        "rules.",
    ),
    (
        err.LeaveToEdit("build", "edit"),
        "Nothing was applied: the user's rules want to be asked before 'build' edits "
        "(permission.edit), and this OpenCode cannot ask for a plugin's tool; ask your human, who "
        "can with `bga apply`.",
    ),
    (
        err.MayNotEdit("plan"),
        "'plan' may not edit files, and so not apply any either; ask your human, who can with "
        "`bga apply`.",
    ),
    (
        err.NotIsolated("its tree was discarded"),
        "There is no working tree of its own for it: its tree was discarded.",
    ),
    (
        err.GitFailed("write-tree", "fatal: no"),
        "There is no working tree of its own for it: git write-tree failed: fatal: no.",
    ),
    (
        err.NotApplied(OTTER, ["a", "b/c"]),
        f"{OTTER} was not applied, and nothing was changed: a, b/c cannot be put in place.",
    ),
    (
        err.NotApplied(OTTER, list(map(str, range(22))), partly=True),
        f"{OTTER} was only partly applied: {', '.join(map(str, range(20)))} and 2 more cannot be "
        "put in place.",
    ),
    (
        err.ContentGone("ab" * 32),
        "The content abababababab of a changed file is kept no more; how long contents are kept is "
        "set by `changes_days` and `changes_max_mb`.",
    ),
    (
        err.NotSeen("/src", "git is not installed"),
        "What commands change in /src is not seen: git is not installed.",
    ),
    (err.BadSetting("log", 7, "one of info, debug"), "log is 7, but must be one of info, debug."),
    (
        err.IllegalTransition(OTTER, "completed", "SteerSent"),
        f"SteerSent cannot happen to {OTTER}, which is completed.",
    ),
    (
        err.StaleVersion(OTTER, 3),
        f"{OTTER} is no longer at version 3; read it again before changing it.",
    ),
    (err.IdTaken(OTTER), f"Another delegation is already called {OTTER}; take another id."),
    (err.LeaseLost("svc_1"), "What svc_1 owned has been taken over."),
    (
        err.RunLetGo(OTTER),
        f"{OTTER} met an internal error, which the log tells, and is taken up again in a few "
        "seconds; whether this took effect is unknown, so look before you repeat it.",
    ),
    (err.NotAsked("per_1"), "per_1 is open no longer."),
    (err.SupervisorGone("ses_1"), "The session ses_1 no longer exists."),
    (err.RuntimeRefused("OpenCode refused GET /x (500): {}"), "OpenCode refused GET /x (500): {}"),
    (err.NotFound("OpenCode refused GET /x (404): "), "OpenCode refused GET /x (404): "),
    (err.Conflict("OpenCode refused POST /x (409): "), "OpenCode refused POST /x (409): "),
    (
        err.MessagesUndone("ses_1"),
        f"Nothing was sent to the session ses_1: {UNDONE}; let them redo these or go on there "
        "first.",
    ),
    (err.RuntimeUnreachable("No answer."), "No answer."),
    (err.NotServed("No service answers at /run/x."), "No service answers at /run/x."),
    (
        err.OwnerGone(OTTER),
        f"{OTTER} was run by a process that has ended; it goes on when OpenCode is opened on this "
        "project, or with `background-agents recover`.",
    ),
    (
        err.OwnerElsewhere(OTTER),
        f"{OTTER} is run in another container, which does not answer from here; act there, or open "
        "OpenCode here, which takes it over once that one has been silent for 15 seconds.",
    ),
    (err.StoreUnavailable("The disk is full."), "The disk is full."),
]
"""Errors, with what they say to both."""

ERRORS = [error for error, *_ in [*APART, *ALIKE]]

TOOL_OR_COMMAND = re.compile(
    r"delegation_|delegate\(|continue_id|notify_parent|task tool|background-a|bga"
)


def subclasses(kind: type[err.DelegationError]) -> Iterator[type[err.DelegationError]]:
    """Yield what is below a class of the tree."""
    for one in kind.__subclasses__():
        if one.__module__ == err.__name__:
            yield one
            yield from subclasses(one)


def drawn(kind: type[err.DelegationError], before: str = "") -> Iterator[str]:
    """Yield the tree below a class, line by line as the docstring draws it."""
    below = {one.__name__ for one in subclasses(kind) if one.__bases__ == (kind,)}
    names = [name for name in vars(err) if name in below]
    for name in names:
        is_last = name == names[-1]
        yield f"{before}{'└' if is_last else '├'}── {name}"
        yield from drawn(getattr(err, name), f"{before}{' ' if is_last else '│'}   ")


@pytest.mark.parametrize(
    ("error", "to_model", "to_people"), APART, ids=lambda one: type(one).__name__
)
def test_a_model_hears_of_its_tools_and_people_of_commands(
    error: err.DelegationError, to_model: str, to_people: str
) -> None:
    assert for_model(error) == to_model
    assert for_people(error) == to_people


@pytest.mark.parametrize(("error", "sentence"), ALIKE, ids=lambda one: type(one).__name__)
def test_what_is_said_alike(error: err.DelegationError, sentence: str) -> None:
    assert for_model(error) == sentence
    assert for_people(error) == sentence


def test_every_error_of_the_tree_is_worded() -> None:
    """A class that is new has to be looked at here: it may need words for whom it meets."""
    assert {type(error) for error in ERRORS} == set(subclasses(err.DelegationError))


def test_what_an_error_says_of_itself_is_for_anybody() -> None:
    """The domain knows no tools and no commands."""
    for error in ERRORS:
        assert not TOOL_OR_COMMAND.search(str(error)), error


def test_the_tree_is_drawn_as_it_is() -> None:
    """Complete, and in the order in which it stands in the file."""
    _, _, drawing = (err.__doc__ or "").partition("DelegationError\n")
    lines = [re.match(r"    ([│ ]*[├└]── \w+)", line) for line in drawing.splitlines()]
    assert [line[1] for line in lines if line] == list(drawn(err.DelegationError))


def test_no_error_of_the_tree_stands_elsewhere() -> None:
    """Whoever uses the package has one file to look into."""
    names = {kind.__name__ for kind in subclasses(err.DelegationError)} | {"DelegationError"}
    root = Path(background_agents.__file__).parent
    derived = re.compile(r"^class \w+\((?:\w+\.)?(\w+)\)", re.MULTILINE)
    found = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if names & set(derived.findall(path.read_text("utf-8")))
    }
    assert found == {"domain/errors.py"}
