"""``python -m background_agents``: the bridge's other end, or the command line.

OpenCode's start waits for nothing here, but its first tool call does: ``bridge`` must
not import what only the command line needs.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Serve the bridge when that is the first argument; else run the command line."""
    _forget_the_shell()
    try:
        _run()
    finally:
        if sys.flags.inspect and os.environ.get("PYTHONINSPECT"):
            _end()


def _run() -> None:
    if sys.argv[1:2] == ["bridge"]:
        from background_agents.hosts.opencode.server import main as serve

        serve()
    else:
        from background_agents.hosts.cli import main as command_line

        command_line()


def _forget_the_shell() -> None:
    """Take no module from ``PYTHONPATH``, unless we are in it, and no warning for an error.

    Both are set for the project that somebody works on. What we start gets them unchanged.
    """
    if sys.flags.ignore_environment:
        return
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    foreign = {os.path.abspath(one) for one in given if one} - {ours}
    sys.path[:] = [one for one in sys.path if os.path.abspath(one) not in foreign]
    if os.environ.get("PYTHONWARNINGS"):
        import warnings

        warnings.simplefilter("ignore")


def _end() -> None:
    """End as a program does; ``PYTHONINSPECT`` would leave a Python prompt behind it."""
    error = sys.exc_info()[1]
    if isinstance(error, SystemExit):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(error.code if isinstance(error.code, int) else error.code is not None)


if __name__ == "__main__":
    main()
