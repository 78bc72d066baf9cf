"""Settings, from the environment and a file; the environment wins.

A value that cannot be meant is an error that names the variable, the value and what is
allowed: a supervisor with a wrong limit is worse than one that does not start. What there is
to set stands in ``settings``, what each may be in ``kinds``, how they are read in ``sources``.
"""

from background_agents.config.settings import (
    DATABASE,
    MAX_TIMEOUT_MINUTES,
    AnswerRule,
    Settings,
)
from background_agents.config.sources import (
    Origin,
    Reading,
    Source,
    config_path,
    data_root,
    load,
    read,
    variable,
)

__all__ = [
    "DATABASE",
    "MAX_TIMEOUT_MINUTES",
    "AnswerRule",
    "Origin",
    "Reading",
    "Settings",
    "Source",
    "config_path",
    "data_root",
    "load",
    "read",
    "variable",
]
