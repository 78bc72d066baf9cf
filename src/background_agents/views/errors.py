"""What an error says to whom: to a model, which has tools, or to people, who have commands.

Most sentences go on from what the error says of itself, which is right for both where nothing is
added here. Knows nothing of how it travels.
"""

from __future__ import annotations

from collections.abc import Mapping

from background_agents.domain import errors as err
from background_agents.domain.errors import listed, quote
from background_agents.views.model import how_to_answer, request, to_answer

_TO_MODELS: Mapping[type[Exception], str] = {
    err.UnknownDelegation: " in this session; delegation_list() shows the ids",
    err.RunElsewhere: "; ask there",
    err.NotSteerable: ": go on in its session with delegate(prompt, agent, "
    'continue_id="{delegation}")',
    err.NothingAsked: "; delegation_status() shows which do",
    err.StillActive: '; delegation_steer("{delegation}", message) reaches it now',
    err.NotChanged: '; delegation_diff("{delegation}") lists what it has',
}

_TO_PEOPLE: Mapping[type[Exception], str] = {
    err.NotSteerable: ": go on in its session with `background-agents delegate --continue "
    "{delegation}`",
    err.NothingAsked: "; `background-agents status` shows which do",
    err.StillActive: "; `background-agents steer {delegation}` reaches it now",
    err.StillWrites: "; `background-agents stop {delegation}` ends it now",
    err.NotChanged: "; `background-agents diff {delegation} --stat` lists what it has",
}

_TO_BOTH: Mapping[type[Exception], str] = {
    err.NotAnId: "; ids look like brave-amber-otter and delegation_list() shows them",
    err.NoSuchRecord: "; `background-agents list` shows the ids",
    err.NotDelegable: "; do this part of the work yourself",
    err.MayNotEdit: "; ask your human, who can with `bga apply`",
    err.NotPermitted: "; choose another agent, or do it yourself",
    err.DayIsSpent: "; it may again at 00:00 UTC, in {left}",
    err.OnlyReads: "; tell your supervisor with notify_parent what is needed",
    err.OnlyPeople: "; ask your human",
    err.LeaveToEdit: ", and this OpenCode cannot ask for a plugin's tool; ask your human, who can "
    "with `bga apply`",
    err.LeaveNeeded: ", and this OpenCode cannot ask for a plugin's tool; ask the user to allow it "
    "in their rules",
    err.HasEnded: "; `background-agents read {delegation}` shows what it left",
    err.NoResult: "; `background-agents peek {delegation}` shows what it is doing",
    err.ChangesGone: ": it was deleted, or is older than the setting changes_days lets it be",
    err.TreeGone: "; put it back there to undo what was changed in it",
    err.NoSupervisor: "; say it in your answer instead",
    err.TooTalkative: "; say it in your result instead",
    err.ContentGone: "; how long contents are kept is set by `changes_days` and `changes_max_mb`",
    err.MessagesUndone: "; let them redo these or go on there first",
    err.OwnerGone: "; it goes on when OpenCode is opened on this project, or with "
    "`background-agents recover`",
    err.OwnerElsewhere: "; act there, or open OpenCode here, which takes it over once that one has "
    "been silent for 15 seconds",
}
"""Most of these only one of the two ever meets."""


def for_model(error: Exception) -> str:
    """Return what an error says to a model."""
    match error:
        case err.NotSteerable(status="ending"):
            return _then(error, ": it is ending just now; wait for its notice")
        case _:
            return _for_both(error, _TO_MODELS)


def for_people(error: Exception) -> str:
    """Return what an error says to whoever types commands, or reads what they have printed."""
    match error:
        case err.UnknownDelegation(given=given):
            whose = f"No delegation of this project is called {quote(given)}"
            return f"{whose}; `background-agents list` shows the ids."
        case err.RunElsewhere(delegation=name):
            look = "look with `background-agents status`, and try again"
            return f"{name} has just ended or was taken over; {look}."
        case err.NotSteerable(status="ending"):
            return _then(error, ": it is ending just now")
        case _:
            return _for_both(error, _TO_PEOPLE)


def _for_both(error: Exception, own: Mapping[type[Exception], str]) -> str:
    """Return what is said alike to both, but for the ends that ``own`` has for whom it is."""
    match error:
        case err.NotReadOnly(agents=agents, native=native):
            instead = f"{_choice(agents)}give this work to it with the native {native} tool"
            return _then(error, f" (BACKGROUND_AGENTS_STRICT_READONLY): {instead}")
        case err.OnlyPlanning(agents=agents):
            return _then(error, f": {_choice(agents)}make it part of the plan")
        case err.OnlyByTool(act=act, tool=tool):
            told = f"a model in OpenCode calls the tool {tool}, which obeys the rules of its user"
            return f"{act} was refused: {told}; a command is for people."
        case err.NotSteerable(status="registered"):
            anew = "stop it and delegate anew with the instruction in its prompt"
            return _then(error, f": it has not begun; {anew}")
        case err.AskChanged(delegation=name, ask=ask):
            return f"{error} {name} {request(name, ask)}"
        case err.NotAnAnswer(ask=ask):
            return _then(error, f"; {how_to_answer(ask)}")
        case err.MayNotGrant(delegation=name, ask=ask):
            return f"Nothing was granted: {to_answer(name, ask)}."
        case _:
            end = own.get(type(error)) or _TO_BOTH.get(type(error))
            return _then(error, end.format(**vars(error))) if end else str(error)


def _choice(agents: tuple[str, ...]) -> str:
    return f"choose one of: {listed(agents)}; or " if agents else ""


def _then(error: Exception, end: str) -> str:
    """Return what an error says of itself, with another end of the sentence."""
    return f"{str(error).removesuffix('.')}{end}."
