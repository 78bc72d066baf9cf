"""Who may import whom is a checked contract, not a habit (docs: the house's rooms)."""

import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import grimp

CHECKOUT = Path(__file__).parents[1]


def test_arrows_go_down() -> None:
    # A process of its own: import-linter switches off the loggers of whoever calls it.
    checking = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())"
    command = [sys.executable, "-c", checking]
    checked = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=100)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports inside of functions count; those for types alone do not, since they never run."""
    graph = grimp.build_graph(
        "background_agents", exclude_type_checking_imports=True, cache_dir=None
    )
    imports = {one: graph.find_modules_directly_imported_by(one) for one in graph.modules}
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle


def test_every_room_is_on_the_map() -> None:
    """The table in docs/architecture.md names each package of the house."""
    house = CHECKOUT / "src" / "background_agents"
    table = (CHECKOUT / "docs" / "architecture.md").read_text("utf-8")
    rooms = {str(one.parent.relative_to(house)) for one in house.glob("*/**/__init__.py")}
    told = {room for room in rooms if f"`{room}/" in table or f"`{Path(room).name}/" in table}
    assert rooms - told == {"testing/contracts"}


def test_each_test_module_has_a_name_of_its_own() -> None:
    """Of two with one name pytest runs the first, in whichever folders they are."""
    names = [one.name for one in (CHECKOUT / "tests").rglob("test_*.py")]
    assert sorted(set(names)) == sorted(names)
