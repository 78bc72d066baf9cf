"""What every ``ArtifactStore`` does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import pytest
from msgspec.structs import replace

from background_agents.domain.errors import InvalidRequest, StoreUnavailable
from background_agents.ports.storage import ArtifactStore
from background_agents.testing.contracts.samples import ROOT, finished


class ArtifactStoreContract(ABC):
    """Subclass, name it ``Test...``, and open the store."""

    pytestmark = pytest.mark.asyncio

    @abstractmethod
    def opened(self, folder: Path) -> ArtifactStore:
        """Return an empty store that may use ``folder``."""

    @pytest.fixture
    def artifacts(self, tmp_path: Path) -> ArtifactStore:
        return self.opened(tmp_path)

    async def test_what_was_written_is_read(self, artifacts: ArtifactStore) -> None:
        await artifacts.write(finished(), "# Result\n\nPKCE it is.\n")
        text = await artifacts.read(finished())
        assert text.endswith("\n\n# Result\n\nPKCE it is.\n")
        assert "brave-amber-otter" in text.partition("# Result")[0]

    async def test_the_path_is_known_before_and_after(self, artifacts: ArtifactStore) -> None:
        path = artifacts.path(finished())
        assert await artifacts.write(finished(), "x") == path
        assert path == artifacts.folder(ROOT) / "brave-amber-otter.md"

    async def test_writing_again_replaces_the_whole_artifact(
        self, artifacts: ArtifactStore
    ) -> None:
        await artifacts.write(finished(), "a long first result " * 100)
        await artifacts.write(finished(), "second")
        assert (await artifacts.read(finished())).endswith("\n\nsecond")
        assert "first" not in await artifacts.read(finished())

    async def test_a_missing_artifact_is_said_in_a_sentence(self, artifacts: ArtifactStore) -> None:
        with pytest.raises(StoreUnavailable, match=r"brave-amber-otter\.md .*\.$"):
            await artifacts.read(finished())

    async def test_a_result_of_five_megabytes_survives(self, artifacts: ArtifactStore) -> None:
        result = "0123456789abcde\n" * (5 * 2**20 // 16)
        await artifacts.write(finished(), result)
        assert (await artifacts.read(finished())).endswith(f"\n\n{result}")

    @pytest.mark.parametrize("name", ["", "..", "../../etc/passwd", "a/b", "brave-amber-otter\n"])
    async def test_what_is_no_id_never_becomes_a_path(
        self, artifacts: ArtifactStore, name: str
    ) -> None:
        with pytest.raises(InvalidRequest):
            await artifacts.write(replace(finished(), id=name), "x")

    @pytest.mark.parametrize("session", ["", ".", "..", "../x", "a/b", "ses_x\n", "s" * 81])
    async def test_what_is_no_session_never_becomes_a_path(
        self, artifacts: ArtifactStore, session: str
    ) -> None:
        with pytest.raises(InvalidRequest):
            artifacts.folder(session)
        with pytest.raises(InvalidRequest):
            await artifacts.read(replace(finished(), root_session=session))
