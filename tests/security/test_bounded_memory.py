"""A child that never stops writing costs a bounded amount of memory, and its text stays useful."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import pytest

from background_agents.adapters.opencode.live import (
    HEAD_CHARS,
    SESSION_CHARS,
    SLACK_CHARS,
    TAIL_CHARS,
    LiveSession,
    LiveText,
)
from background_agents.adapters.opencode.v1.events import EventReader
from background_agents.adapters.opencode.v1.wire import (
    ERROR_CHARS,
    Error,
    ErrorData,
    MessageInfo,
    Part,
    StoredMessage,
    ToolState,
)
from background_agents.ports.runtime import RuntimeEvent
from background_agents.rpc.framing import MAX_FRAME_BYTES, FrameDecoder

CHILD = "ses_child"

MEGA = 1_000_000

STREAMED = 100 * MEGA

MOST_BYTES = 10 * MEGA
"""What may be held of a session that writes ASCII: its 8 million characters, and a little."""


class Held:
    """How much memory a block has taken that is still held at its end."""

    bytes = 0


@contextmanager
def measured() -> Iterator[Held]:
    """Measure what is held at the end of the block, without what was held before."""
    held = Held()
    gc.collect()
    tracemalloc.start()
    try:
        yield held
        gc.collect()
        held.bytes = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def message(number: int = 1) -> str:
    """Return a message's id; a higher number is a later one."""
    return f"msg_{number:06}"


def info(number: int = 1) -> MessageInfo:
    return MessageInfo(id=message(number), role="assistant", session_id=CHILD)


def part(text: str = "", *, number: int = 1, kind: str = "text") -> Part:
    return Part(f"prt_{number}", kind, CHILD, message(number), text)


def followed(kind: str = "text") -> tuple[LiveSession, EventReader]:
    """Return a session in which an answer has begun, and the reader that follows it."""

    def nobody_hears(_event: RuntimeEvent) -> None:
        """The text is all that counts here."""

    reader = EventReader(nobody_hears)
    live = reader.live[CHILD] = LiveSession()
    live.message(info())
    live.part(part(kind=kind))
    return live, reader


def delta(text: str) -> msgspec.Raw:
    """Return the properties of an event that brings ``text``."""
    about = {"sessionID": CHILD, "messageID": message(), "partID": "prt_1", "field": "text"}
    return msgspec.Raw(msgspec.json.encode({**about, "delta": text}))


def stream(reader: EventReader, piece: str, total: int) -> None:
    event = delta(piece)
    for _ in range(total // len(piece)):
        reader.read("message.part.delta", event)


@pytest.mark.parametrize("piece", [1_000, 100_000, 5 * MEGA], ids="pieces of {}".format)
def test_a_hundred_megabytes_of_stream_cost_less_than_ten(piece: int) -> None:
    """The beginning and the end are kept, and a line says how much was left out."""
    live, reader = followed()
    with measured() as held:
        reader.read("message.part.delta", delta("The beginning. "))
        stream(reader, "x" * piece, STREAMED)
        reader.read("message.part.delta", delta(" The end."))
    assert held.bytes < MOST_BYTES
    (answer,) = live.transcript().messages
    assert answer.text.startswith("The beginning. xxx")
    assert answer.text.endswith("xxx The end.")
    assert HEAD_CHARS + TAIL_CHARS < len(answer.text) < SESSION_CHARS
    left_out = STREAMED + len("The beginning.  The end.") - answer.text.count("x")
    said = answer.text[HEAD_CHARS : HEAD_CHARS + 60]
    number = int(said.split("[… ")[1].split(" characters left out …]")[0].replace(",", ""))
    assert abs(number - left_out) < 100


def test_small_pieces_do_not_weigh_more_than_their_text() -> None:
    """A piece of four characters is an object of fifty bytes, and there may be millions."""
    live, _ = followed()
    with measured() as held:
        for number in range(100_000):
            live.delta(message(), "prt_1", f"{number:04x}")
    assert held.bytes < 1.5 * MEGA


def test_reading_often_what_is_streamed_stays_cheap_in_memory() -> None:
    """A status now and then, and a journal every second, leave no copies behind."""
    live, _ = followed()
    with measured() as held:
        for _ in range(2_000):
            live.delta(message(), "prt_1", "x" * 1_000)
            assert live.one(message()) is not None
    assert held.bytes < 3 * MEGA


def test_many_long_answers_leave_the_newest() -> None:
    """A session of many messages is bounded as a whole; the oldest texts go first."""
    live, _ = followed()
    with measured() as held:
        for number in range(1, 1_001):
            live.message(info(number))
            live.part(part(number=number))
            live.delta(message(number), f"prt_{number}", "x" * 100_000)
    assert held.bytes < MOST_BYTES
    messages = live.transcript().messages
    assert len(messages) == 1_000
    assert messages[-1].text == "x" * 100_000
    assert "[… 100,000 characters left out …]" in messages[0].text
    kept = [one for one in messages if "left out" not in one.text]
    assert kept == list(messages[-len(kept) :])
    assert (SESSION_CHARS - 2 * SLACK_CHARS) // 100_000 < len(kept) <= SESSION_CHARS // 100_000


def test_what_is_stored_is_bounded_as_what_is_streamed() -> None:
    """A message of a hundred megabytes that comes by a merge, as after a restart."""
    live, _ = followed()
    with measured() as held:
        live.merge([StoredMessage(info(), [part("Begin." + "x" * STREAMED + "End.")])])
    assert held.bytes < MOST_BYTES
    (answer,) = live.transcript().messages
    assert answer.text.startswith("Begin.xxx")
    assert answer.text.endswith("xxxEnd.")
    assert "characters left out" in answer.text


def test_many_stored_messages_are_bounded_too() -> None:
    """A merge of a whole history keeps the newest of it."""
    live, _ = followed()
    with measured() as held:
        for number in range(1, 101):
            live.merge([StoredMessage(info(number), [part("x" * MEGA, number=number)])])
    assert held.bytes < MOST_BYTES
    assert live.transcript().messages[-1].text == "x" * MEGA


def test_a_merge_does_not_bring_back_what_was_given_up() -> None:
    """The same text, stored, changes nothing of what was kept of it as it streamed."""
    live, reader = followed()
    stream(reader, "x" * MEGA, 20 * MEGA)
    before = live.transcript()
    for stored in (15 * MEGA, 20 * MEGA):
        live.merge([StoredMessage(info(), [part("x" * stored)])])
        assert live.transcript() == before


def test_another_text_replaces_what_was_streamed() -> None:
    """A stored text that is no beginning of the streamed one is what counts, long or short."""
    live, reader = followed()
    stream(reader, "x" * MEGA, 20 * MEGA)
    live.part(part("Another text."))
    assert live.transcript().messages[0].text == "Another text."
    live.part(part("y" * 20 * MEGA))
    assert live.transcript().messages[0].text.startswith("yyy")
    assert len(live.transcript().messages[0].text) < SESSION_CHARS


def test_what_a_model_thinks_is_not_held() -> None:
    """Nobody is shown it, however much it is."""
    live, reader = followed("reasoning")
    with measured() as held:
        stream(reader, "x" * 10_000, 20 * MEGA)
        live.part(part("x" * MEGA, kind="reasoning"))
    assert held.bytes < MEGA / 10
    assert live.transcript().messages[0].text == ""


def test_what_is_removed_makes_room() -> None:
    """Parts and messages that are gone do not count, else what comes later would be cut."""
    live, _ = followed()
    for number in range(1, 21):
        live.message(info(number))
        live.part(part("x" * MEGA, number=number))
        if number % 2:
            live.remove_part(message(number), f"prt_{number}")
        live.remove_message(message(number))
    live.message(info(100))
    live.part(part("x" * 5 * MEGA, number=100))
    live.message(info(101))
    live.part(part("x" * 2 * MEGA, number=101))
    assert [len(one.text) for one in live.transcript().messages] == [5 * MEGA, 2 * MEGA]


def test_titles_and_errors_are_bounded() -> None:
    """What an agent calls its tools, and what a provider answers, can be long as well."""
    live, _ = followed()

    def add(number: int) -> None:
        error = Error("APIError", ErrorData("e" * MEGA))
        live.message(msgspec.structs.replace(info(number), error=error))
        state = ToolState("completed", title="t" * MEGA)
        live.part(Part("prt_1", "tool", CHILD, message(number), tool="b" * MEGA, state=state))

    with measured() as held:
        for number in range(1, 101):
            add(number)
    assert held.bytes < 3 * MEGA
    newest = live.transcript().messages[-1]
    assert newest.error == "e" * ERROR_CHARS
    assert len(newest.tools[0].title) == len(newest.tools[0].tool) == 1_000


def test_an_ordinary_text_is_never_touched() -> None:
    """A result of five megabytes, the longest that was seen, is whole to the last character."""
    live, reader = followed()
    whole = "".join(f"{number:07}\n" for number in range(5 * MEGA // 8))
    for start in range(0, len(whole), 10_007):
        reader.read("message.part.delta", delta(whole[start : start + 10_007]))
    assert live.transcript().result == whole
    live.part(part(whole))
    assert live.transcript().result == whole


def seconds(work: Callable[[], object]) -> float:
    """Return the shortest of three runs: other processes only ever add to it."""
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return min(times)


def test_a_delta_costs_the_same_however_long_its_text_is() -> None:
    """Appending to what was cut is as cheap as to what is new; ten times covers the noise."""
    fresh, long = LiveText(), LiveText("x" * 30 * MEGA)

    def appending(text: LiveText) -> Callable[[], None]:
        def work() -> None:
            for _ in range(50_000):
                text.append("word ")

        return work

    assert seconds(appending(long)) < 10 * seconds(appending(fresh))


def test_an_endless_frame_is_not_held() -> None:
    """A peer that never ends its line costs no more than the largest frame that is allowed."""
    decoder = FrameDecoder(MEGA)
    chunk = b"x" * 256 * 1024
    with measured() as held:
        for _ in range(STREAMED // len(chunk)):
            list(decoder.feed(chunk))
    assert held.bytes < 2 * MEGA
    assert MAX_FRAME_BYTES <= 64 * 1024 * 1024
