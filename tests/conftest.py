"""What all tests share: the contract suites assert as tests do, and nothing blocks the loop."""

import getpass
import re
import resource
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

pytest.register_assert_rewrite("background_agents.testing.contracts")

_LINE = re.compile(r"\bline[12]\b")

_FAULTS = Path(__file__).parent / "faults"

_CHECKED = {Path(__file__).parent / room for room in ("adapters", "client", "service")}


class ByFileAndLine(LoadScopeScheduling):  # type: ignore[misc]
    """Keeps together, with several workers, what shares what is slow to start.

    That is a file's tests, and of one that runs on both lines of OpenCode those of a line.
    """

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        line = _LINE.search(test)
        return f"{file} {line[0]}" if line else file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that at the end no worker is busy alone for minutes."""
    items.sort(key=_how_short)


def _how_short(test: pytest.Item) -> tuple[bool, bool]:
    is_fault = _FAULTS in test.path.parents
    return not is_fault, test.get_closest_marker("opencode") is None


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFileAndLine:
    """Hand tests out so; xdist 3.8 does not see its own groups with pytest 9.2."""
    return ByFileAndLine(config, log)


def pytest_unconfigure() -> None:
    """Leave nothing in the temporary folder; what failing tests keep there stays."""
    with suppress(OSError):  # there is something in it, or somebody else's tests run
        (Path(tempfile.gettempdir()) / f"pytest-of-{getpass.getuser()}").rmdir()


@pytest.fixture(autouse=True)
def no_blocking_calls(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test in which our code blocks the event loop; a test itself may."""
    if _CHECKED.isdisjoint(request.path.parents):
        yield
        return
    with blockbuster_ctx("background_agents"):
        yield


@pytest.fixture
def full_disk() -> Callable[[int], AbstractContextManager[None]]:
    """Return ``full_disk(size)``, within which no file can grow beyond ``size`` bytes."""

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited
