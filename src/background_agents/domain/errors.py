"""The errors that callers may meet, with what happened as data.

::

    DelegationError
    ├── InvalidRequest        what was asked cannot be done as asked; nothing changed
    │   ├── UnknownDelegation
    │   ├── NotAnId
    │   ├── NoSuchRecord
    │   ├── AmbiguousId
    │   ├── UnknownAgent
    │   ├── NotReadOnly
    │   ├── NotDelegable
    │   ├── NotPermitted
    │   ├── OnlyReads
    │   ├── OnlyByTool
    │   ├── OnlyPeople
    │   ├── OnlyPlanning
    │   ├── RunElsewhere
    │   ├── NotSteerable
    │   ├── NothingAsked
    │   ├── AskChanged
    │   ├── NotAnAnswer
    │   ├── MayNotGrant
    │   ├── NotContinuable
    │   │   └── StillActive
    │   ├── HasEnded
    │   ├── NoResult
    │   ├── NoSupervisor
    │   ├── MayNotEdit
    │   ├── NotIsolated
    │   │   └── GitFailed
    │   ├── NotApplied
    │   ├── TooTalkative
    │   ├── ContentGone
    │   ├── StillWrites
    │   ├── NotChanged
    │   ├── ChangesGone
    │   ├── TreeGone
    │   ├── DayIsSpent
    │   └── NotSeen
    ├── LeaveNeeded           the user is to be asked before
    │   └── LeaveToEdit
    ├── BadSetting            a setting has a value that it cannot have
    ├── IllegalTransition     an event that may not happen in this status
    ├── StaleVersion          somebody else changed the delegation first
    ├── IdTaken               somebody else has registered a delegation under the id
    ├── LeaseLost             another process has taken over what this one owned
    ├── RunLetGo              an error of ours ended the run's conduct, not the run
    ├── NotAsked              the request is open no longer
    ├── SupervisorGone        the supervisor's session exists no longer
    ├── RuntimeRefused        the runtime answered, and said no
    │   ├── NotFound
    │   ├── Conflict
    │   └── MessagesUndone
    ├── RuntimeUnreachable    the runtime did not answer
    ├── NotServed             no living service can do it
    │   ├── OwnerGone
    │   └── OwnerElsewhere
    └── StoreUnavailable      the database or the artifact folder cannot be used

What an error says of itself is one sentence that is right for anybody: what happened, with which
value. What a model or a person had better do then is said by ``views.errors``, for each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # It brings msgspec along, which a command does without until it reads a record.
    from background_agents.domain.asking import Ask

NAMES_SHOWN = 50
"""Of agents to choose from; nobody has so many, but a list must end somewhere."""

IDS_SHOWN = 8
"""Of ids that begin alike; more are no help."""

PATHS_SHOWN = 20
"""Of paths that do not fit; the first ones tell what to look at."""


class DelegationError(Exception):
    """Base of every error that this package raises on purpose."""


class InvalidRequest(DelegationError):
    """What was asked cannot be done as asked; nothing was changed."""


class UnknownDelegation(InvalidRequest):
    """No delegation of this root session, or of this project, has that id."""

    def __init__(self, given: str) -> None:
        super().__init__(f"No delegation is called {quote(given)}.")
        self.given = given


class NotAnId(InvalidRequest):
    """What was given can be no delegation's id."""

    def __init__(self, given: str) -> None:
        super().__init__(f"{quote(given)} is not the id of a delegation.")
        self.given = given


class NoSuchRecord(InvalidRequest):
    """No delegation of the project has an id that begins so."""

    def __init__(self, given: str) -> None:
        super().__init__(f"No delegation here has an id that begins with {quote(given)}.")
        self.given = given


class AmbiguousId(InvalidRequest):
    """Several delegations have an id that begins so."""

    def __init__(self, given: str, ids: Sequence[str]) -> None:
        shown = ", ".join(ids[:IDS_SHOWN]) + (" and more" if len(ids) > IDS_SHOWN else "")
        super().__init__(f"{quote(given)} could be {shown}; type more of the id.")
        self.given, self.ids = given, tuple(ids)


class UnknownAgent(InvalidRequest):
    """The runtime has no agent of that name that can be delegated to."""

    def __init__(self, given: str, agents: Sequence[str]) -> None:
        known = listed(agents) or "none"
        super().__init__(f"No agent is called {quote(given)}; choose one of: {known}.")
        self.given, self.agents = given, tuple(agents)


class NotReadOnly(InvalidRequest):
    """An agent that may change things, where only read-only ones may be delegated to."""

    def __init__(
        self,
        agent: str,
        agents: Sequence[str],
        tools: Sequence[str] = (),
        *,
        native: str = "task",
    ) -> None:
        what = (
            f"call tools that may write unless safe_tools names them ({listed(tools)})"
            if tools
            else "edit files or run commands"
        )
        super().__init__(
            f"{quote(agent)} may {what}, and only read-only agents may be delegated to here."
        )
        self.agent, self.agents, self.tools = agent, tuple(agents), tuple(tools)
        self.native = native


class NotDelegable(InvalidRequest):
    """The session that asks may not delegate."""

    def __init__(self, why: str = "A background agent cannot delegate.") -> None:
        super().__init__(why)


class NotPermitted(InvalidRequest):
    """The host's own rules for sub-agents deny it."""

    def __init__(self, agent: str, permission: str) -> None:
        super().__init__(
            f"{quote(agent)} was not delegated to: the user's rules deny it "
            f"(permission.{permission})."
        )
        self.agent, self.permission = agent, permission


class OnlyReads(InvalidRequest):
    """A program that a background agent has started wants to act."""

    def __init__(self, act: str) -> None:
        super().__init__(f"{act} was refused: what a background agent starts may read, not act.")
        self.act = act


class OnlyByTool(InvalidRequest):
    """A program that a supervisor's model has started wants what there is a tool for."""

    def __init__(self, act: str, tool: str) -> None:
        super().__init__(f"{act} was refused: a command is for people.")
        self.act, self.tool = act, tool


class OnlyPeople(InvalidRequest):
    """A program that a model has started wants what is for people to decide."""

    def __init__(self, act: str) -> None:
        super().__init__(f"{act} was refused: what was changed is for people to take back.")
        self.act = act


class OnlyPlanning(InvalidRequest):
    """A session in plan mode wants to delegate to an agent that may edit."""

    def __init__(self, agent: str, agents: Sequence[str]) -> None:
        super().__init__(f"{quote(agent)} may edit files, and in plan mode nobody does.")
        self.agent, self.agents = agent, tuple(agents)


class RunElsewhere(InvalidRequest):
    """Another process supervises the delegation."""

    def __init__(self, delegation: str) -> None:
        super().__init__(f"{delegation} is run by another OpenCode process on this project.")
        self.delegation = delegation


class NotSteerable(InvalidRequest):
    """There is no run that could take an instruction."""

    def __init__(self, delegation: str, status: str) -> None:
        super().__init__(f"{delegation} is {status} and takes no instruction.")
        self.delegation, self.status = delegation, status


class NothingAsked(InvalidRequest):
    """There is no open request that could be answered."""

    def __init__(self, delegation: str, status: str) -> None:
        super().__init__(f"{delegation} is {status} and waits for no answer.")
        self.delegation, self.status = delegation, status


class AskChanged(InvalidRequest):
    """An answer was begun when something else was asked than ``ask``, or nothing."""

    def __init__(self, delegation: str, ask: Ask) -> None:
        super().__init__("Nothing was answered: what was asked has changed meanwhile.")
        self.delegation, self.ask = delegation, ask


class NotAnAnswer(InvalidRequest):
    """A reply that does not answer what is asked."""

    def __init__(self, given: str, ask: Ask) -> None:
        what = f"{quote(given)} does not answer a {ask.kind}" if given else "The reply is empty"
        super().__init__(f"{what}.")
        self.given, self.ask = given, ask


class MayNotGrant(InvalidRequest):
    """A model would grant a permission that is for people to grant."""

    def __init__(self, delegation: str, ask: Ask) -> None:
        super().__init__(f"Nothing was granted: no model may give {delegation} this answer.")
        self.delegation, self.ask = delegation, ask


class NotContinuable(InvalidRequest):
    """A delegation cannot be gone on with."""

    def __init__(self, delegation: str, why: str, wish: str = "continued") -> None:
        super().__init__(f"{delegation} cannot be {wish}: {why}.")
        self.delegation, self.why = delegation, why


class StillActive(NotContinuable):
    """The same, since it has not ended."""

    def __init__(self, delegation: str, status: str, wish: str = "continued") -> None:
        super().__init__(delegation, f"it is {status}", wish)
        self.status = status


class HasEnded(InvalidRequest):
    """A delegation whose run was to be looked at has ended."""

    def __init__(self, delegation: str, status: str) -> None:
        super().__init__(f"{delegation} has ended ({status}).")
        self.delegation, self.status = delegation, status


class NoResult(InvalidRequest):
    """A delegation that was to be read has not ended."""

    def __init__(self, delegation: str, status: str) -> None:
        super().__init__(f"{delegation} is {status} and has no result yet.")
        self.delegation, self.status = delegation, status


class NoSupervisor(InvalidRequest):
    """The session that wants to tell its supervisor something has none that listens."""

    def __init__(self) -> None:
        super().__init__(
            "Nobody was told: only a background agent that still runs has a supervisor."
        )


class MayNotEdit(InvalidRequest):
    """The rules of an agent do not let it edit files, so that it applies none either."""

    def __init__(self, agent: str) -> None:
        super().__init__(f"{quote(agent)} may not edit files, and so not apply any either.")
        self.agent = agent


class NotIsolated(InvalidRequest):
    """A delegation that is to work apart has no working tree; it works nowhere else instead."""

    def __init__(self, why: str) -> None:
        super().__init__(f"There is no working tree of its own for it: {why}.")
        self.why = why


class GitFailed(NotIsolated):
    """Git, which copies and compares trees, said no (``code``) or could not be run (None)."""

    def __init__(self, command: str, words: str, code: int | None = None) -> None:
        super().__init__(f"git {command} failed: {words}")
        self.command, self.code = command, code


class NotApplied(InvalidRequest):
    """What an isolated try has changed was not written, since that does not fit at these paths.

    ``partly``: the rest had been written by then, and is noted.
    """

    def __init__(self, delegation: str, paths: Sequence[str], *, partly: bool = False) -> None:
        shown = ", ".join(paths[:PATHS_SHOWN])
        more = f" and {len(paths) - PATHS_SHOWN:,} more" if len(paths) > PATHS_SHOWN else ""
        so_far = "only partly applied" if partly else "not applied, and nothing was changed"
        super().__init__(f"{delegation} was {so_far}: {shown}{more} cannot be put in place.")
        self.delegation, self.paths, self.partly = delegation, tuple(paths), partly


class TooTalkative(InvalidRequest):
    """A background agent says more than its supervisor can be told; ``kept`` messages wait."""

    def __init__(self, kept: int) -> None:
        super().__init__(
            f"Nobody was told: {kept} of your messages still wait to be told, and no more are kept."
        )
        self.kept = kept


class ContentGone(InvalidRequest):
    """What stood in a file once is kept no more."""

    def __init__(self, digest: str) -> None:
        super().__init__(f"The content {digest[:12]} of a changed file is kept no more.")
        self.digest = digest


class StillWrites(InvalidRequest):
    """What a delegation changes is to be taken back while it runs."""

    def __init__(self, delegation: str, status: str) -> None:
        super().__init__(
            f"{delegation} is {status}; what it changes can be undone once it has ended."
        )
        self.delegation, self.status = delegation, status


class NotChanged(InvalidRequest):
    """A path that a delegation has not changed, or not any more."""

    def __init__(self, delegation: str, path: str) -> None:
        super().__init__(f"{delegation} has not changed {quote(path)}.")
        self.delegation, self.path = delegation, path


class ChangesGone(InvalidRequest):
    """A delegation has changed something, and what that was is kept no more."""

    def __init__(self, delegation: str) -> None:
        super().__init__(f"What {delegation} changed is kept no more.")
        self.delegation = delegation


class TreeGone(InvalidRequest):
    """The folder in which a delegation worked is gone."""

    def __init__(self, delegation: str, folder: str) -> None:
        super().__init__(f"The folder in which {delegation} worked is gone: {folder}.")
        self.delegation, self.folder = delegation, folder


class DayIsSpent(InvalidRequest):
    """The project has spent what it may in a day."""

    def __init__(self, spent_usd: float, limit_usd: float, left: timedelta) -> None:
        super().__init__(
            f"Nothing was delegated: this project has spent ${spent_usd:,.2f} today, and "
            f"${limit_usd:,.2f} is its limit for a day (day_cost_usd)."
        )
        hours, minutes = divmod(-(-left // timedelta(minutes=1)), 60)
        self.left = f"{hours}h {minutes:02d}m"


class NotSeen(InvalidRequest):
    """What changes in a folder cannot be seen as a whole."""

    def __init__(self, folder: str, why: str) -> None:
        super().__init__(f"What commands change in {folder} is not seen: {why}.")
        self.folder, self.why = folder, why


class LeaveNeeded(DelegationError):
    """The host's own rules want its user to be asked before."""

    def __init__(self, agent: str, permission: str) -> None:
        super().__init__(
            f"{quote(agent)} was not delegated to: the user's rules want to be asked before "
            f"(permission.{permission})."
        )
        self.agent, self.permission = agent, permission


class LeaveToEdit(LeaveNeeded):
    """The host's own rules want its user to be asked before files are written."""

    def __init__(self, agent: str, permission: str) -> None:
        super().__init__(agent, permission)
        self.args = (
            f"Nothing was applied: the user's rules want to be asked before {quote(agent)} edits "
            f"(permission.{permission}).",
        )


class BadSetting(DelegationError):
    """A setting has a value that it cannot have."""

    def __init__(self, name: str, value: object, allowed: str) -> None:
        super().__init__(f"{name} is {value!r}, but must be {allowed}.")
        self.name, self.value, self.allowed = name, value, allowed


class IllegalTransition(DelegationError):
    """An event that may not happen in the delegation's status."""

    def __init__(self, delegation: str, status: str, event: str) -> None:
        super().__init__(f"{event} cannot happen to {delegation}, which is {status}.")
        self.delegation, self.status, self.event = delegation, status, event


class StaleVersion(DelegationError):
    """The delegation was changed by somebody else since it was read."""

    def __init__(self, delegation: str, expected: int) -> None:
        super().__init__(
            f"{delegation} is no longer at version {expected}; read it again before changing it."
        )
        self.delegation, self.expected = delegation, expected


class IdTaken(DelegationError):
    """Another delegation of the project has this id already."""

    def __init__(self, delegation: str) -> None:
        super().__init__(f"Another delegation is already called {delegation}; take another id.")
        self.delegation = delegation


class LeaseLost(DelegationError):
    """Another process has taken over what this one owned."""

    def __init__(self, owner: str) -> None:
        super().__init__(f"What {owner} owned has been taken over.")
        self.owner = owner


class RunLetGo(DelegationError):
    """Nobody conducts the run just now: an error of ours kept it from going on."""

    def __init__(self, delegation: str) -> None:
        super().__init__(
            f"{delegation} met an internal error, which the log tells, and is taken up again in a "
            "few seconds; whether this took effect is unknown, so look before you repeat it."
        )
        self.delegation = delegation


class NotAsked(DelegationError):
    """The request is open no longer: it was answered already, or whoever asked is gone."""

    def __init__(self, request: str) -> None:
        super().__init__(f"{request} is open no longer.")
        self.request = request


class SupervisorGone(DelegationError):
    """The supervisor's session no longer exists."""

    def __init__(self, session: str) -> None:
        super().__init__(f"The session {session} no longer exists.")
        self.session = session


class RuntimeRefused(DelegationError):
    """The runtime answered a request with an error."""


class NotFound(RuntimeRefused):
    """The runtime has no such session or message."""


class Conflict(RuntimeRefused):
    """The runtime has what was to be changed in another state, or as something else."""


class MessagesUndone(RuntimeRefused):
    """The session's user has undone messages there, which any message would make final."""

    def __init__(self, session: str) -> None:
        super().__init__(
            f"Nothing was sent to the session {session}: its user has undone messages there, which "
            "a message would delete for good."
        )
        self.session = session


class RuntimeUnreachable(DelegationError):
    """The runtime gave no answer; the request may or may not have been taken."""


class NotServed(DelegationError):
    """No living service can do what was asked: the program that hosts it is closed."""


class OwnerGone(NotServed):
    """The process that ran a delegation has ended, and nobody has taken it over yet."""

    def __init__(self, delegation: str) -> None:
        super().__init__(f"{delegation} was run by a process that has ended.")
        self.delegation = delegation


class OwnerElsewhere(NotServed):
    """The process that runs a delegation cannot be reached or judged from here."""

    def __init__(self, delegation: str) -> None:
        super().__init__(
            f"{delegation} is run in another container, which does not answer from here."
        )
        self.delegation = delegation


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
