"""The errors that callers may meet.

::

    DelegationError
    ├── InvalidRequest        what was asked cannot be done as asked; nothing changed
    │   ├── UnknownDelegation
    │   ├── UnknownAgent
    │   ├── NotReadOnly
    │   ├── NotDelegable
    │   ├── NotPermitted
    │   ├── OnlyReads
    │   ├── OnlyByTool
    │   ├── OnlyPlanning
    │   ├── RunElsewhere
    │   ├── NotSteerable
    │   ├── NothingAsked
    │   ├── MayNotGrant
    │   ├── NotContinuable
    │   ├── NoSupervisor
    │   └── TooTalkative
    ├── LeaveNeeded           the user is to be asked before
    ├── IllegalTransition     an event that may not happen in this status
    ├── StaleVersion          somebody else changed the delegation first
    ├── RunLetGo              an error of ours ended the run's conduct, not the run
    ├── RuntimeRefused        the runtime answered, and said no
    │   └── MessagesUndone
    ├── RuntimeUnreachable    the runtime did not answer
    ├── NotServed             no living service can do it
    └── StoreUnavailable      the database or the artifact folder cannot be used

Each message is one sentence for the person or model that reads it: what happened,
with which value, and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence

NAMES_SHOWN = 50
"""Of agents to choose from; nobody has so many, but a list must end somewhere."""


class DelegationError(Exception):
    """Base of every error that this package raises on purpose."""


class InvalidRequest(DelegationError):
    """What was asked cannot be done as asked; nothing was changed."""


class UnknownDelegation(InvalidRequest):
    """No delegation of this root session has that id."""

    def __init__(self, given: str) -> None:
        super().__init__(
            f"No delegation is called {quote(given)} in this session; "
            "delegation_list() shows the ids."
        )
        self.given = given


class UnknownAgent(InvalidRequest):
    """The runtime has no agent of that name that can be delegated to."""

    def __init__(self, given: str, agents: Sequence[str]) -> None:
        known = listed(agents) or "none"
        super().__init__(f"No agent is called {quote(given)}; choose one of: {known}.")
        self.agents = tuple(agents)


class NotReadOnly(InvalidRequest):
    """An agent that may change things, where only read-only ones may be delegated to."""

    def __init__(self, given: str, agents: Sequence[str], tools: Sequence[str] = ()) -> None:
        instead = f"choose one of: {listed(agents)}; or " if agents else ""
        what = (
            f"call tools that may write unless safe_tools names them ({listed(tools)})"
            if tools
            else "edit files or run commands"
        )
        super().__init__(
            f"{quote(given)} may {what}, and only read-only agents may be delegated to here "
            f"(BACKGROUND_AGENTS_STRICT_READONLY): {instead}give this work to it with the native "
            "task tool."
        )


class NotDelegable(InvalidRequest):
    """The session that asks may not delegate."""

    def __init__(self) -> None:
        super().__init__("A background agent cannot delegate; do this part of the work yourself.")


class NotPermitted(InvalidRequest):
    """The host's own rules for sub-agents deny it."""

    def __init__(self, agent: str, permission: str) -> None:
        super().__init__(
            f"{quote(agent)} was not delegated to: the user's rules deny it "
            f"(permission.{permission}); choose another agent, or do it yourself."
        )


class OnlyReads(InvalidRequest):
    """A program that a background agent has started wants to act."""

    def __init__(self, act: str) -> None:
        super().__init__(
            f"{act} was refused: what a background agent starts may read, not act; tell your "
            "supervisor with notify_parent what is needed."
        )


class OnlyByTool(InvalidRequest):
    """A program that a supervisor's model has started wants what there is a tool for."""

    def __init__(self, act: str) -> None:
        super().__init__(
            f"{act} was refused: a model in OpenCode calls the tool {act}, which obeys the rules "
            "of its user; a command is for people."
        )


class OnlyPlanning(InvalidRequest):
    """A session in plan mode wants to delegate to an agent that may edit."""

    def __init__(self, agent: str, agents: Sequence[str]) -> None:
        instead = f"choose one of: {listed(agents)}; or " if agents else ""
        super().__init__(
            f"{quote(agent)} may edit files, and in plan mode nobody does: {instead}make it part "
            "of the plan."
        )


class LeaveNeeded(DelegationError):
    """The host's own rules want its user to be asked before."""

    def __init__(self, agent: str, permission: str) -> None:
        super().__init__(
            f"{quote(agent)} was not delegated to: the user's rules want to be asked before "
            f"(permission.{permission}), and this OpenCode cannot ask for a plugin's tool; ask the "
            "user to allow it in their rules."
        )
        self.agent, self.permission = agent, permission


class RunElsewhere(InvalidRequest):
    """Another process supervises the delegation."""

    def __init__(self, delegation: str) -> None:
        super().__init__(
            f"{delegation} is run by another OpenCode process on this project; ask there."
        )
        self.delegation = delegation


class NotSteerable(InvalidRequest):
    """There is no run that could take an instruction."""

    def __init__(self, delegation: str, status: str) -> None:
        instead = {
            "registered": "it has not begun; stop it and delegate anew with the instruction in "
            "its prompt",
            "ending": "it is ending just now; wait for its notice",
        }.get(
            status, f'go on in its session with delegate(prompt, agent, continue_id="{delegation}")'
        )
        super().__init__(f"{delegation} is {status} and takes no instruction: {instead}.")
        self.delegation, self.status = delegation, status


class NothingAsked(InvalidRequest):
    """There is no open request that could be answered."""

    def __init__(self, delegation: str, status: str) -> None:
        super().__init__(
            f"{delegation} is {status} and waits for no answer; delegation_status() shows which do."
        )
        self.delegation, self.status = delegation, status


class MayNotGrant(InvalidRequest):
    """A model would grant a permission that is for people to grant."""

    def __init__(self, how: str) -> None:
        super().__init__(f"Nothing was granted: {how}.")


class NotContinuable(InvalidRequest):
    """A delegation cannot be gone on with."""

    def __init__(self, delegation: str, why: str) -> None:
        super().__init__(f"{delegation} cannot be continued: {why}.")


class NoSupervisor(InvalidRequest):
    """The session that wants to tell its supervisor something has none that listens."""

    def __init__(self) -> None:
        super().__init__(
            "Nobody was told: only a background agent that still runs has a supervisor; say it "
            "in your answer instead."
        )


class TooTalkative(InvalidRequest):
    """A background agent says more than its supervisor can be told."""

    def __init__(self, kept: int) -> None:
        super().__init__(
            f"Nobody was told: {kept} of your messages still wait to be told, and no more are "
            "kept; say it in your result instead."
        )


class NotServed(DelegationError):
    """No living service can do what was asked: the program that hosts it is closed."""


class IllegalTransition(DelegationError):
    """An event that may not happen in the delegation's status."""

    def __init__(self, delegation: str, status: str, event: str) -> None:
        super().__init__(f"{event} cannot happen to {delegation}, which is {status}.")


class StaleVersion(DelegationError):
    """The delegation was changed by somebody else since it was read."""

    def __init__(self, delegation: str, expected: int) -> None:
        super().__init__(
            f"{delegation} is no longer at version {expected}; read it again before changing it."
        )


class RunLetGo(DelegationError):
    """Nobody conducts the run just now: an error of ours kept it from going on."""

    def __init__(self, delegation: str) -> None:
        super().__init__(
            f"{delegation} met an internal error, which the log tells, and is taken up again in a "
            "few seconds; whether this took effect is unknown, so look before you repeat it."
        )


class RuntimeRefused(DelegationError):
    """The runtime answered a request with an error."""


class MessagesUndone(RuntimeRefused):
    """The session's user has undone messages there, which any message would make final."""

    @classmethod
    def of(cls, session: str) -> MessagesUndone:
        """Return the error for a session."""
        return cls(
            f"Nothing was sent to the session {session}: its user has undone messages there, which "
            "a message would delete for good; let them redo these or go on there first."
        )


class RuntimeUnreachable(DelegationError):
    """The runtime gave no answer; the request may or may not have been taken."""


class StoreUnavailable(DelegationError):
    """The database or the artifact folder cannot be read or written."""


def listed(names: Sequence[str]) -> str:
    """Return names as they may stand in a message: short ones, and not all of very many."""
    shown = [name if len(name) <= 60 else name[:59] + "…" for name in names[:NAMES_SHOWN]]
    more = [f"and {len(names) - NAMES_SHOWN} more"] if len(names) > NAMES_SHOWN else []
    return ", ".join([*shown, *more])


def quote(value: str, limit: int = 60) -> str:
    """Return ``value`` as it may stand in a message: quoted, one line, at most ``limit`` long."""
    shown = value if len(value) <= limit else value[: limit - 1] + "…"
    return repr(shown)
