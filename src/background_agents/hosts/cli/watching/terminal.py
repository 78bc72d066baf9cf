"""The terminal, taken for as long as the board is shown and given back in any case.

Raw keys, the alternate screen, pastes that say where they begin and end, and the signals that
concern a full-screen program. Knows nothing of what is drawn.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
from base64 import b64encode
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Self

from rich.console import Console, Group
from rich.control import Control
from rich.live import Live
from rich.text import Text

from background_agents.hosts.cli.watching.pane import Size

_USUAL = Size(80, 24)
"""Of a terminal that does not tell its size."""

_READ_BYTES = 64 * 1024

_PASTES_ON, _PASTES_OFF = "\x1b[?2004h", "\x1b[?2004l"

_ENDING = (signal.SIGTERM, signal.SIGHUP)

_CAUGHT = (*_ENDING, signal.SIGWINCH, signal.SIGCONT, signal.SIGTSTP)

_IFLAG, _LFLAG, _CC = 0, 3, 6
"""Places in what ``termios.tcgetattr`` returns."""


class Ended(Exception):
    """The terminal is gone, or somebody wants this program to end."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.number = number


class Terminal:
    """A full screen with a keyboard; use it as ``with Terminal()``."""

    def __init__(self, *, colourful: bool) -> None:
        self._console = Console(no_color=not colourful, highlight=False, markup=False)
        self._live: Live | None = None
        self._input = sys.stdin.fileno()
        self._cooked = termios.tcgetattr(self._input)
        self._woken, self._waker = os.pipe()
        self._handlers: dict[int, object] = {}
        self._pending: set[int] = set()
        """Signals that have come and were not obeyed yet."""

    @property
    def size(self) -> Size:
        """How large it is now."""
        found = os.get_terminal_size(sys.stdout.fileno())
        # A terminal that does not know it says 0, as some in containers do.
        return Size(found.columns or _USUAL.columns, found.lines or _USUAL.rows)

    def wake(self) -> None:
        """Have ``wait`` return; to be called from any thread."""
        try:
            os.write(self._waker, b"\0")
        except BlockingIOError:
            return  # so many wakes are waiting already

    def __enter__(self) -> Self:
        for end in (self._woken, self._waker):
            os.set_blocking(end, False)
        self._before = signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        for number in _CAUGHT:
            self._handlers[number] = signal.signal(number, self._signalled)
        try:
            self._take()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._give_back()
        signal.set_wakeup_fd(self._before)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def show(self, lines: Sequence[Text]) -> None:
        """Show these lines, from the top on."""
        if self._live is not None:
            self._live.update(Group(*lines), refresh=True)

    def clear(self) -> None:
        """Wipe what others have written; the next ``show`` draws everything."""
        self._console.control(Control.clear())

    def copy(self, text: str) -> None:
        """Have the terminal keep a text for the next paste (OSC 52); no terminal says whether."""
        self._write(f"\x1b]52;c;{b64encode(text.encode()).decode()}\x07")

    def ring(self) -> None:
        """Ring the bell; most terminals show it where nobody looks."""
        self._write("\a")

    def wait(self, limit_s: float | None) -> bytes:
        """Return what was typed; nothing when woken, resized, or after ``limit_s`` seconds.

        Raises:
            Ended: a signal asked for it, or nobody can type any more.
        """
        ready, _, _ = select.select([self._input, self._woken], [], [], limit_s)
        if self._woken in ready:
            os.read(self._woken, _READ_BYTES)
        if ending := self._pending.intersection(_ENDING):
            raise Ended(ending.pop())
        if signal.SIGTSTP in self._pending:
            self.suspend()
        if signal.SIGCONT in self._pending:
            self._pending.discard(signal.SIGCONT)
            self._give_back()
            self._take()
        if self._input not in ready:
            return b""
        try:
            data = os.read(self._input, _READ_BYTES)
        except OSError as error:
            raise Ended(signal.SIGHUP) from error
        if not data:
            raise Ended(signal.SIGHUP)
        return data

    def suspend(self) -> None:
        """Give the terminal back, stop as the shell's Ctrl-Z does, and take it again."""
        self._give_back()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        # The whole job, as the terminal itself would do it.
        os.kill(0, signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._signalled)
        self._pending -= {signal.SIGTSTP, signal.SIGCONT}
        self._take()

    def _take(self) -> None:
        raw = termios.tcgetattr(self._input)
        raw[_IFLAG] &= ~(termios.IXON | termios.ICRNL | termios.INLCR | termios.ISTRIP)
        raw[_LFLAG] &= ~(termios.ICANON | termios.ECHO | termios.ISIG | termios.IEXTEN)
        raw[_CC][termios.VMIN], raw[_CC][termios.VTIME] = 1, 0
        termios.tcsetattr(self._input, termios.TCSADRAIN, raw)
        self._live = Live(
            Text(), console=self._console, screen=True, auto_refresh=False,
            redirect_stdout=False, redirect_stderr=False,
        )  # fmt: skip
        self._live.start()
        self._write(_PASTES_ON)

    def _give_back(self) -> None:
        """Leave everything as it was; what is typed ahead stays for the shell."""
        steps: list[Callable[[], object]] = [
            lambda: self._write(_PASTES_OFF),
            self._live.stop if self._live is not None else lambda: None,
            lambda: termios.tcsetattr(self._input, termios.TCSADRAIN, self._cooked),
        ]
        self._live = None
        for step in steps:
            try:
                step()
            except OSError:
                continue  # the terminal is gone; there is nothing to give back

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        # What is half drawn is finished first: the loop looks at these when it is woken.
        self._pending.add(number)
