"""The log file of the service: small, private, without secrets, and never on stdout.

What is logged may quote errors of OpenCode, of providers and of agents. So whatever looks
like a secret, or is one of our own environment, is blotted out here, where all lines pass.
"""

from __future__ import annotations

import base64
import logging
import os
import re
from collections.abc import Mapping
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType

from background_agents.adapters.files.private import open_private, private_root
from background_agents.domain.errors import StoreUnavailable
from background_agents.domain.text import one_line

LOG_BYTES, LOG_FILES = 1_000_000, 2
"""A log to look into after a fault, not an archive."""

LINE_CHARS = 4_000
"""No message of ours needs more; what others wrote could fill the file by itself."""

TRACE_CHARS = 20_000
"""The end of a traceback that is longer; some 200 lines."""

HALF_CHARS = 100_000
"""What is looked at of either end of a longer record; the looking takes some milliseconds."""

CUT_CHARS = 8_000
"""What is dropped beside such a cut, where half a secret could stay: a token has less."""

FORMAT = "%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"

BLOT = "***"

SECRET_CHARS = 6
"""A value of the environment that is shorter could be part of any word."""

ExceptionInfo = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)

_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$", re.IGNORECASE)

_LOOKS_SECRET = re.compile(
    r"(?P<scheme>\b(?i:Basic|Bearer)\s+)(?=[\w+/.~-]*[\d=+/])[\w+/.~-]{6,}=*"
    r"|(?P<url>://)[^\s/@:]+:[^\s/@]+(?=@)"
    r"|\b(?:(?:sk|pk|rk|xai|gsk|hf|gh[opsu]|github_pat|glpat|xox[abprs])[-_]|AKIA|AIza)"
    r"(?P<key>[-\w]{12,})"
)
"""Authorization headers, passwords in addresses, and keys as the known providers make them.

Takes time in proportion to the text, whatever it is: a key needs a digit, which is looked for once
the key is found as a whole. Looked for at each beginning, 60 KB of ``sk-sk-…`` took 18 s.
"""

_DIGIT = re.compile(r"\d")


def open_log(data_root: Path, level: str, env: Mapping[str, str] = os.environ) -> None:
    """Write what happens from ``level`` on to ``service.log`` in the data folder.

    A folder that cannot be written leaves the log on stderr, where the bridge keeps its
    last lines: a missing log must not end the service.
    """
    root = logging.getLogger("background_agents")
    root.setLevel(level.upper())
    root.addHandler(_handler(data_root / "service.log", BlottingFormatter(secrets_of(env))))


class BlottingFormatter(logging.Formatter):
    """Makes lines in which no secret can be read; each message stays on its line."""

    def __init__(self, secrets: frozenset[str]) -> None:
        super().__init__(FORMAT)
        longest_first = sorted(secrets, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self._cut_chars = max(CUT_CHARS, *map(len, longest_first), 0)

    def format(self, record: logging.LogRecord) -> str:
        return self._blot(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        # Blotted before it is cut, else half a secret could stay.
        return one_line(self._blot(super().formatMessage(record)), LINE_CHARS)

    def formatException(self, ei: ExceptionInfo) -> str:  # noqa: N802  # logging's name
        told = self._blot(super().formatException(ei))
        return told if len(told) <= TRACE_CHARS else "…" + told[-TRACE_CHARS:]

    def _blot(self, text: str) -> str:
        """Return a text without secrets, and without its middle where it is very long."""
        if len(text) <= 2 * HALF_CHARS:
            return self._blot_all(text)
        head, tail = self._blot_all(text[:HALF_CHARS]), self._blot_all(text[-HALF_CHARS:])
        return f"{head[: -self._cut_chars]} … {tail[self._cut_chars :]}"

    def _blot_all(self, text: str) -> str:
        return _LOOKS_SECRET.sub(_blotted, self._known.sub(BLOT, text))


def secrets_of(env: Mapping[str, str]) -> frozenset[str]:
    """Return what must not be read in a log: secrets of the environment, plain and encoded."""
    plain = {
        value
        for name, value in env.items()
        if _SECRET_NAME.search(name) and len(value) >= SECRET_CHARS
    }
    password = env.get("OPENCODE_SERVER_PASSWORD", "")
    if not password:
        return frozenset(plain)
    user = env.get("OPENCODE_SERVER_USERNAME") or "opencode"
    header = base64.b64encode(f"{user}:{password}".encode()).decode()
    return frozenset(plain | {header})


class PrivateFile(RotatingFileHandler):
    """A log file that stays private when it is rotated, and is no link."""

    def _open(self) -> TextIOWrapper:
        descriptor = open_private(Path(self.baseFilename), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        return open(descriptor, "a", encoding=self.encoding, errors=self.errors)


def _handler(path: Path, formatter: logging.Formatter) -> logging.Handler:
    handler: logging.Handler
    try:
        private_root(path.parent)
        handler = PrivateFile(
            path,
            maxBytes=LOG_BYTES,
            backupCount=LOG_FILES,
            encoding="utf-8",
            errors="backslashreplace",
        )
    except (OSError, StoreUnavailable) as error:
        handler = logging.StreamHandler()
        logging.getLogger(__name__).warning("no log file at %s: %s", path, error)
    handler.setFormatter(formatter)
    return handler


def _blotted(found: re.Match[str]) -> str:
    if found["key"] and not _DIGIT.search(found["key"]):
        return found[0]
    return (found["scheme"] or found["url"] or "") + BLOT
