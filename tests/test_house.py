"""Who may import whom is a checked contract, not a habit (docs: the house's rooms)."""

from pathlib import Path

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def test_arrows_go_down() -> None:
    assert lint_imports(str(PYPROJECT), no_cache=True) == EXIT_STATUS_SUCCESS
