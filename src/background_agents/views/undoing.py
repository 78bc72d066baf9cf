"""What an undo or a redo would do, and did, in words for people."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from background_agents.domain.changes import UNDO, Kind
from background_agents.domain.text import counted, one_line
from background_agents.domain.undoing import Left, Plan, Reason, Step

_PATH_CHARS = 200


class Deed(StrEnum):
    """What is done with a file."""

    RESTORE = "restore"
    MERGE = "merge"
    DELETE = "delete"
    CREATE = "create"


_WHY: Mapping[Reason, str] = {
    Reason.CONFLICT: "the same lines, or lines beside them, were changed since",
    Reason.BINARY: "it was changed since, and has no lines to tell the changes apart",
    Reason.EDITED: "it was created, and changed by others since",
    Reason.GONE: "it was deleted or moved since",
    Reason.RECREATED: "it was deleted, and is there again",
    Reason.REPLACED: "something of another kind is there now",
    Reason.NOT_KEPT: "its content was not kept",
    Reason.FORGOTTEN: "its content is kept no more",
    Reason.UNREADABLE: "what is there now cannot be compared",
    Reason.LIKELY: "it is not sure that it was this delegation; --likely, or its name, includes it",
    Reason.SHARED: "others wrote at the same time; only its own name includes it",
    Reason.GITS_OWN: "it is git's own",
    Reason.NO_GIT: "it was changed since, and without git nothing is merged",
    Reason.MOVED: "it was changed just now",
    Reason.OUTSIDE: "a folder above it is a link by now",
    Reason.REFUSED: "the system refused",
}


def deed(step: Step) -> Deed:
    """Return what a step does with a file."""
    if not step.then.is_there:
        return Deed.DELETE
    if not step.now.is_there:
        return Deed.CREATE
    return Deed.MERGE if step.merged is not None else Deed.RESTORE


def how(step: Step) -> str:
    """Say of a step what its name does not."""
    match deed(step):
        case Deed.MERGE:
            return "it was changed since; what others wrote stays"
        case Deed.RESTORE if step.now.digest == step.then.digest:
            return f"mode {step.now.mode:o} → {step.then.mode:o}"
        case Deed.RESTORE | Deed.CREATE if step.then.kind is Kind.LINK:
            return "a link"
        case _:
            return ""


def why(left: Left) -> str:
    """Say why a file is left alone."""
    return f"{_WHY[left.reason]}: {left.detail}" if left.detail else _WHY[left.reason]


def nothing(by: str, delegation: str, plan: Plan) -> str:
    """Say that there is nothing to be undone or redone."""
    if plan.already:
        state = "as before already" if by == UNDO else "as it was left already"
        return f"Nothing to {by}: {_files(len(plan.already))} {state}."
    if by == UNDO:
        return f"Nothing to undo: {delegation} has changed nothing that still stands."
    return f"Nothing to redo: nothing of {delegation} was undone."


def done(by: str, delegation: str, count: int, left: int) -> str:
    """Say what has come of an undo or a redo."""
    did, back = ("Undid", "redo") if by == UNDO else ("Redid", "undo")
    rest = f"; {counted(left, 'file')} left alone" if left else ""
    again = f" `background-agents {back} {delegation}` takes that back." if count else ""
    return f"{did} {counted(count, 'file')}{rest}.{again}"


def question(by: str, count: int) -> str:
    """Return what is asked before anything is done."""
    return f"\n{by.capitalize()} {counted(count, 'file')}?"


def path(of: str) -> str:
    """Return a path as it may be shown."""
    return one_line(of, _PATH_CHARS)


def _files(number: int) -> str:
    return f"{counted(number, 'file')} {'is' if number == 1 else 'are'}"
