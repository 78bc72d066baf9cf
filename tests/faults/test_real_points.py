"""Which points of a real OpenCode's service the tests kill, and how its notices are counted."""

from __future__ import annotations

import re

from lab.faults.real import ENDED, SOME, around_the_end, fewer

BEFORE = [f"store.register {number}" for number in range(3 * SOME)]

END = [
    "artifacts.write(completed) before#1",
    "store.commit(Completed + NoticeQueued) before#1",
    "channel.deliver(task-notification) before#1",
    "store.settle(confirmed) after#1",
]

AFTER = [f"store.renew {number}" for number in range(SOME)]


def test_the_end_is_from_the_result_to_the_receipt() -> None:
    assert around_the_end([*BEFORE, *END, *AFTER]) == END


def test_every_point_around_the_end_is_killed_and_some_of_the_others() -> None:
    assert fewer([*BEFORE, *END, *AFTER]) == [*BEFORE[::SOME], AFTER[0], *END]


def test_a_message_may_tell_of_several() -> None:
    """OpenCode 2 has no parts: what is told together comes as one text."""
    notice = "<task-notification>\n<task-id>{}</task-id>\n</task-notification>"
    request = "<delegation-request>\n<task-id>a-b-c</task-id>\n</delegation-request>"
    text = "\n\n".join([notice.format("a-b-c"), request, notice.format("d-e-f")])
    assert re.findall(ENDED, text) == ["a-b-c", "d-e-f"]
