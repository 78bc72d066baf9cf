"""The log file of the service: small, private, and never on stdout."""

from __future__ import annotations

import logging
import os
from logging.handlers import RotatingFileHandler
from pathlib import Path

LOG_BYTES, LOG_FILES = 1_000_000, 2
"""A log to look into after a fault, not an archive."""

FORMAT = "%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"


def open_log(data_root: Path, level: str) -> None:
    """Write what happens from ``level`` on to ``service.log`` in the data folder.

    A folder that cannot be written leaves the log on stderr, where the bridge keeps its
    last lines: a missing log must not end the service.
    """
    root = logging.getLogger("background_agents")
    root.setLevel(level.upper())
    root.addHandler(_handler(data_root / "service.log"))


def _handler(path: Path) -> logging.Handler:
    handler: logging.Handler
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        os.chmod(path, 0o600)
        handler = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=LOG_FILES)
    except OSError as error:
        handler = logging.StreamHandler()
        logging.getLogger(__name__).warning("no log file at %s: %s", path, error)
    handler.setFormatter(logging.Formatter(FORMAT))
    return handler
