"""Who may import whom is a checked contract, not a habit (docs: the house's rooms)."""

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]


def test_arrows_go_down() -> None:
    # A process of its own: import-linter switches off the loggers of whoever calls it.
    checking = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())"
    command = [sys.executable, "-c", checking]
    checked = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=100)
    assert checked.returncode == 0, checked.stdout + checked.stderr
