"""Frames on a byte stream: one JSON text per line. Sans-I/O: bytes in, frames out."""

from __future__ import annotations

from collections.abc import Iterator

MAX_FRAME_BYTES = 64 * 1024 * 1024
"""Far above any answer of a runtime seen so far (5 MB); bounds what a peer can make us hold."""


class FrameTooLarge(Exception):
    """A frame went over the limit; it was skipped, and the stream can go on."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"a frame of more than {limit} bytes was skipped")


class FrameDecoder:
    """Cuts a byte stream into frames.

    An oversized frame is dropped up to its end, in constant memory, and reported once.
    """

    def __init__(self, limit: int = MAX_FRAME_BYTES) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._searched = 0
        self._skipping = False

    def feed(self, data: bytes) -> Iterator[bytes | FrameTooLarge]:
        """Take ``data`` and yield each frame that it completes, without its newline."""
        self._buffer += data
        while (end := self._buffer.find(b"\n", self._searched)) >= 0:
            frame = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._searched = 0
            if self._skipping:
                self._skipping = False
            elif len(frame) > self._limit:
                yield FrameTooLarge(self._limit)
            elif frame.strip():
                yield frame
        self._searched = len(self._buffer)
        if len(self._buffer) > self._limit or self._skipping:
            if not self._skipping:
                yield FrameTooLarge(self._limit)
            self._skipping = True
            self._buffer.clear()
            self._searched = 0


def frame(payload: bytes) -> bytes:
    """Return ``payload`` as a frame. It must not hold a newline; compact JSON never does."""
    return payload + b"\n"
