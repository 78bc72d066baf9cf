"""What a user can set, and what each setting means; nothing of how it is read or checked.

To add one, give ``Settings`` a field with its default and its meaning, and name in ``KINDS`` what
it may be. The variable, the file's key, ``config``, the example and the page follow from these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from background_agents.domain.limits import Limits

MAX_TIMEOUT_MINUTES = 7 * 24 * 60
"""A week; what lasts longer is not one piece of work."""

DATABASE = "delegations.db"
"""Its name in the folder of each project."""


@dataclass(frozen=True)
class AnswerRule:
    """How a permission is answered that a background agent asks for.

    ``*`` and ``?`` are wildcards. Of several rules that fit, the last one counts, as among
    OpenCode's own.
    """

    action: str
    """``allow`` (this once), ``deny`` or ``ask`` (the supervisor and its human)."""
    permission: str = "*"
    """What is asked for: ``bash``, ``edit``, ``external_directory`` and so on."""
    pattern: str = "*"
    """The command, path or the like that it is asked for."""
    agent: str = "*"


@dataclass(frozen=True)
class Settings:
    """What a user can set. Each field's variable is ``BACKGROUND_AGENTS_`` and its name.

    What is a table or a list can be set in the file only. What stands below a field is what
    people are told of it, too.
    """

    timeout_minutes: float = 15.0
    """Default time window of a delegation, in minutes; 0 = none."""
    max_concurrent: int = 8
    """Delegations that run at once in one project, all its worktrees together, in each OpenCode."""
    max_concurrent_per_provider: Mapping[str, int] = field(default_factory=dict)
    """Further limits, by provider."""
    max_concurrent_per_model: Mapping[str, int] = field(default_factory=dict)
    """Further limits, by ``provider/model-id``."""
    max_depth: int = 1
    """How deep delegations may go; 1 = background agents do not delegate themselves."""
    strict_readonly: bool = False
    """Only agents that can neither edit, run commands nor call unknown tools are delegated to."""
    safe_tools: tuple[str, ...] = ()
    """Tools beside OpenCode's own that only read, for ``strict_readonly``; ``*`` is a wildcard."""
    allow_task: bool = False
    """OpenCode's native ``task`` tool is left alone."""
    answers: tuple[AnswerRule, ...] = ()
    """What is answered without asking anybody; the rest is asked."""
    model_grants: str = "none"
    """How the supervisor's model may grant permissions: ``none``, or ``once`` where nobody sits."""
    ask_in_chat: bool = True
    """OpenCode asks in place of the input line; else only `bga answer` and `bga watch` answer."""
    answer_minutes: float = 0.0
    """How long a question or permission waits before ``answer_default`` is given; 0 = for ever."""
    answer_default: str = "reject"
    """``once``, ``always`` or ``reject``; a question is rejected in any case."""
    isolation: Mapping[str, str] = field(default_factory=dict)
    """How agents are kept apart, by name: ``worktree`` for a copy of the project, or ``none``."""
    resume: bool = True
    """A run that was cut off with its process is told to go on; else it ends as interrupted."""
    changes_max_file_mb: int = 10
    """The largest file whose content is kept when it is changed, in MiB."""
    changes_days: int = 30
    """How long what a delegation changed can be shown and undone after its end, in days."""
    changes_max_mb: int = 1000
    """What the contents of changed files of one project may take, in MiB; the oldest go first."""
    max_turns: int = 0
    """Calls of its model that a delegation may make, with all that is below it; 0 = no limit."""
    max_tokens: int = 0
    """Tokens that it may use, but for those that are read from a cache; 0 = no limit."""
    max_cost_usd: float = 0.0
    """US dollars that it may cost; 0 = no limit. Not kept where the price of a model is unknown."""
    day_cost_usd: float = 0.0
    """US dollars after which the project begins nothing new until 00:00 UTC; 0 = no limit."""
    notify_command: str = ""
    """A line for the shell, run when a delegation ends or asks, with JSON about it on stdin."""
    notify_desktop: bool = False
    """The desktop tells it, by `notify-send`: a state and an id, and no words of agents."""
    log: str = "warning"
    """Level of the log file."""

    @property
    def changes_max_file_bytes(self) -> int:
        return self.changes_max_file_mb * 2**20

    @property
    def default_timeout(self) -> timedelta | None:
        return timedelta(minutes=self.timeout_minutes) if self.timeout_minutes else None

    @property
    def limits(self) -> Limits:
        """Those of a delegation that is given none."""
        return Limits(self.max_cost_usd or None, self.max_tokens or None, self.max_turns or None)

    @property
    def model_grants_once(self) -> bool:
        return self.model_grants == "once"

    @property
    def answer_window(self) -> timedelta | None:
        return timedelta(minutes=self.answer_minutes) if self.answer_minutes else None
