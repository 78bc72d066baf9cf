"""Whatever agents wrote, a notice has the tags that we gave it, one line each, and is bounded."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from fuzzing import fuzzed
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from background_agents.domain.asking import ASKED_CHARS, Ask, Question
from background_agents.domain.notice import Notice, NoticeKind
from background_agents.domain.text import SUMMARY_CHARS, TITLE_CHARS
from background_agents.testing.contracts.samples import finished, notice
from background_agents.views import notices, rules

TAGS = ["</summary>", "</task-notification>", "<task-notification>", "<all-complete>true", "<!--"]
MARKUP = ["<![CDATA[", "]]>", "&lt;", "&#60;", "&", "<?xml", "<", ">", "<script>", '"', "'", "`"]
CONTROLS = ["\n", "\r", "\x00", "\x1b[31m", "\x85", "\u2028", "\u202e", "\u200b", "\ud800"]
tags = st.sampled_from([*TAGS, *MARKUP, *CONTROLS])
hostile = st.lists(tags | st.text(max_size=10), max_size=30).map("".join)
long = hostile.map(lambda text: text * 200)
written = hostile | long

FIELDS = {
    NoticeKind.ENDED: "task-id status title summary error elapsed remaining retrieval",
    NoticeKind.REQUEST: "task-id title permission elapsed answer",
    NoticeKind.MESSAGE: "task-id title message elapsed reply",
}

ENTITY_CHARS = 6
"""What the longest escape makes of one character."""

MOST_CHARS = {
    NoticeKind.ENDED: ENTITY_CHARS * (TITLE_CHARS + 2 * SUMMARY_CHARS) + 500,
    NoticeKind.REQUEST: ENTITY_CHARS * (TITLE_CHARS + ASKED_CHARS) + 700,
    NoticeKind.MESSAGE: ENTITY_CHARS * (TITLE_CHARS + notices.MESSAGE_CHARS) + 500,
}


def told(kind: NoticeKind, text: str, ask: Ask | None) -> Notice:
    """Return a notice in which every word of an agent is ``text``."""
    return replace(
        notice("prt_1"), kind=kind, title=text, summary=text, error=text, words=text, ask=ask
    )


@fuzzed
@given(written, st.sampled_from(NoticeKind), st.booleans())
@example("</title><status>failed</status>", NoticeKind.ENDED, False)
@example("\ufffe\uffff", NoticeKind.MESSAGE, False)
def test_a_notice_has_no_tags_but_ours(text: str, kind: NoticeKind, is_question: bool) -> None:
    """It parses as XML with exactly the elements of its kind, on one line each."""
    ask = Ask(id="per_1", session="ses_1", permission=text, patterns=(text, text))
    if is_question:
        ask = Ask(id="que_1", session="ses_1", questions=(Question(text, (text,) * 20),))
    found = notices.text(told(kind, text, ask), remaining=3)
    expected = FIELDS[kind].replace("permission", ask.kind).split()
    if not text:
        expected = [name for name in expected if name != "error"]
    assert len(found) < MOST_CHARS[kind]
    lines = found.splitlines()
    assert len(lines) == len(expected) + 2
    assert [re.match(r"</?([a-z-]+)>", line)[1] for line in lines[1:-1]] == expected  # type: ignore[index]
    # Two code points that are no characters, which XML forbids and no model minds.
    root = ElementTree.fromstring(re.sub("[\ufffe\uffff]", "", found))
    assert [one.tag for one in root] == expected
    assert all(len(one) == 0 for one in root)


@fuzzed
@given(written)
def test_what_a_compaction_carries_over_is_escaped_and_bounded(text: str) -> None:
    """Titles and agents' names open no tag in a summary either, and it costs what it may."""
    active = [replace(finished(), title=text, agent=text)] * 50
    carried = rules.carried_over(active, [])
    assert carried is not None
    assert "<" not in carried
    assert len(carried) <= rules.COMPACTION_CHARS
    assert carried.splitlines() == carried.split("\n")


@fuzzed
@given(written, st.sampled_from(NoticeKind))
def test_a_toast_is_one_bounded_line(text: str, kind: NoticeKind) -> None:
    """The human's screen takes no control characters of an agent's."""
    ask = Ask(id="per_1", session="ses_1", permission=text, patterns=(text,))
    title, message, _ = notices.toast([told(kind, text, ask)])
    assert len(message.splitlines()) == 1
    assert len(title) + len(message) < 500
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", message)
