"""What all tests share: the contract suites assert as tests do, and nothing blocks the loop."""

import getpass
import resource
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

pytest.register_assert_rewrite("background_agents.testing.contracts")

_CHECKED = {Path(__file__).parent / room for room in ("adapters", "client", "service")}


# Before the workers' own, which reads the marks.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together, with several workers, what shares what is slow to start.

    That is a file's tests, and of one that runs on both lines of OpenCode those of a line.
    """
    for item in items:
        spec = getattr(item, "callspec", None)
        line = "" if spec is None else spec.params.get("line", "")
        item.add_marker(pytest.mark.xdist_group(f"{item.path.name} {line}".strip()))


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
