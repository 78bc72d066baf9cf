"""What every ``ChangeJournal`` does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from background_agents.domain.changes import ABSENT, Certainty, Image, Kind, Segment, Window
from background_agents.domain.errors import ContentGone, InvalidRequest
from background_agents.ports.changes import ChangeJournal
from background_agents.testing.contracts.samples import at

OTTER, HERON = "brave-amber-otter", "calm-blue-heron"


def change(path: str, seconds: float = 0, certainty: Certainty = Certainty.SURE) -> Segment:
    """Return a change of a file that nobody looks into."""
    after = Image(Kind.FILE, "ab" * 32, 0o644, 3)
    return Segment(
        at=at(seconds), path=path, before=ABSENT, after=after, certainty=certainty, by="write"
    )


def window(call: str) -> Window:
    """Return a call of a tool."""
    return Window(call=call, tool="write", at=at(0), top="/src", before={"a": ABSENT})


class ChangeJournalContract(ABC):
    """Subclass, name it ``Test...``, and open the journal."""

    @abstractmethod
    def opened(self, folder: Path) -> ChangeJournal:
        """Return an empty journal that may use ``folder``."""

    @pytest.fixture
    def journal(self, tmp_path: Path) -> ChangeJournal:
        return self.opened(tmp_path)

    def test_changes_come_back_in_order(self, journal: ChangeJournal) -> None:
        first, second = change("ä \n'b"), change("b", 1, Certainty.SHARED)
        journal.add(OTTER, [first])
        journal.add(OTTER, [])
        journal.add(OTTER, [second, first])
        assert journal.segments(OTTER) == [first, second, first]

    def test_each_delegation_has_its_own(self, journal: ChangeJournal) -> None:
        journal.add(OTTER, [change("a")])
        assert journal.segments(HERON) == []
        assert journal.windows(HERON) == []

    def test_a_call_is_open_until_it_is_closed(self, journal: ChangeJournal) -> None:
        journal.open(OTTER, window("c1"))
        journal.open(OTTER, window("c2"))
        journal.close(OTTER, "c1", [change("a")])
        journal.close(OTTER, "c0")
        assert journal.windows(OTTER) == [window("c2")]
        assert journal.segments(OTTER) == [change("a")]

    def test_what_users_took_back_is_found_for_all(self, journal: ChangeJournal) -> None:
        now = datetime.now(UTC).replace(microsecond=0)
        before, after = now - timedelta(seconds=1), now + timedelta(seconds=1)
        undone = [replace(change("a"), by="undo", at=one) for one in (before, now)]
        journal.add(OTTER, [*undone, replace(change("b"), at=after)])
        journal.add(HERON, [replace(change("c"), by="apply", at=after)])
        found = {(one.path, one.at) for one in journal.taken_back(now)}
        assert found == {("a", now), ("c", after)}

    @pytest.mark.parametrize("content", [b"", b"\0\xff\r\n", b"x" * 300_000])
    def test_a_content_is_kept_byte_by_byte(self, journal: ChangeJournal, content: bytes) -> None:
        digest = journal.keep(content)
        assert journal.keep(content) == digest
        assert journal.content(digest) == content

    @pytest.mark.parametrize("digest", ["ab" * 32, "", "../../etc/passwd"])
    def test_what_is_not_kept_is_said_to_be_gone(self, journal: ChangeJournal, digest: str) -> None:
        with pytest.raises(ContentGone):
            journal.content(digest)

    @pytest.mark.parametrize("name", ["", "..", "../../etc/passwd", "brave-amber-otter\n"])
    def test_what_is_no_id_is_refused(self, journal: ChangeJournal, name: str) -> None:
        with pytest.raises(InvalidRequest):
            journal.add(name, [change("a")])
        with pytest.raises(InvalidRequest):
            journal.segments(name)
