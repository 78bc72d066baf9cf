"""What a delegation changed is told in a few words, and no name of a file gets out of its place."""

from __future__ import annotations

import re
from datetime import timedelta
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from background_agents.domain.changes import Changes
from background_agents.domain.delegation import Delegation
from background_agents.domain.notice import NoticeKind
from background_agents.ports.storage import Line
from background_agents.testing.contracts.samples import at, finished
from background_agents.views import model, notices
from background_agents.views.json import sheet


def ended_with(changes: Changes) -> Delegation:
    return replace(finished(), changes=changes)


def told(changes: Changes) -> str:
    notice = notices.new(ended_with(changes), NoticeKind.ENDED, "prt_1", at(200))
    return notices.text(notice, 0)


SOME = Changes(7, 3, 42, 2, ("a", "b → c"), ("bash `npm run watch` may still write",))


def test_a_notice_says_how_much_was_changed_and_what_may_still_write() -> None:
    assert (
        '\n<changes files="7" added="3" removed="42" uncertain="2">a, b → c, …</changes>\n'
        "<still-writing>bash `npm run watch` may still write</still-writing>\n" in told(SOME)
    )


def test_a_notice_says_nothing_of_changes_where_there_are_none() -> None:
    assert "changes" not in told(Changes())
    assert "uncertain" not in told(Changes(1, names=("a",)))


@given(st.lists(st.text(), max_size=6), st.lists(st.text(), max_size=2))
def test_no_name_of_a_file_closes_a_tag(names: list[str], still: list[str]) -> None:
    text = told(Changes(9, 1, 1, names=tuple(names), open=tuple(still)))
    (line,) = (one for one in text.splitlines() if one.startswith("<changes"))
    assert re.fullmatch(r'<changes files="9" added="1" removed="1">[^<>]{0,1600}</changes>', line)
    ElementTree.fromstring(text)  # our own


def test_lists_and_sheets_say_the_same_sum() -> None:
    one = ended_with(SOME)
    line = model.line(Line.of(one), at(200) + timedelta(minutes=1))
    assert "{7 files +3 -42, 2 uncertain}" in line
    changes = sheet(one, at(200)).changes
    assert changes is not None
    assert (changes.files, changes.added, changes.removed, changes.uncertain) == (7, 3, 42, 2)
