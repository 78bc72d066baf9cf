"""What a background agent may ask for while it runs, and the answers that there are.

A permission is granted or refused; a question is answered in words. Nothing here knows who
asks, whom, or how the answer travels.
"""

from __future__ import annotations

import msgspec

from background_agents.domain.text import one_line

ASKED_CHARS = 300
"""What is asked, on one line, in a notice or a status."""

TAKEN_CHARS = 5 * ASKED_CHARS
"""Of what an agent wrote, before it is made fit: it may be megabytes, and is looked at often."""

OPTIONS_SHOWN = 12
"""More are no choice but a list; an answer may name any of them all the same."""

ONCE = "once"
GRANTS = (ONCE, "always")
REJECT = "reject"


class Question(msgspec.Struct, frozen=True):
    """A question, and the answers that it suggests; words of one's own are always allowed."""

    text: str
    options: tuple[str, ...] = ()


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A permission or some questions that a session waits for."""

    id: str
    session: str
    """The session that waits: a delegation's, or one below it."""
    permission: str = ""
    """What is to be permitted (``bash``, ``edit``, ...); empty for questions."""
    patterns: tuple[str, ...] = ()
    """The commands, paths or the like that it is to be permitted for."""
    questions: tuple[Question, ...] = ()
    model_grants_once: bool = False
    """Whether the supervisor's model may grant it, this once; people may in any case."""

    in_chat: bool = True
    """Whether the host itself asks its user for it, in the supervisor's view."""

    @property
    def kind(self) -> str:
        """``permission`` or ``question``."""
        return "question" if self.questions else "permission"

    @property
    def text(self) -> str:
        """What is asked, on one line."""
        if not self.questions:
            patterns = ", ".join(one[:TAKEN_CHARS] for one in self.patterns[:OPTIONS_SHOWN])
            return one_line(f"{self.permission[:TAKEN_CHARS]}: {patterns}", ASKED_CHARS)
        share = max(ASKED_CHARS // len(self.questions), 1)
        shown = (_shown(one, share) for one in self.questions[:ASKED_CHARS])
        return one_line(" / ".join(shown), ASKED_CHARS)


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer: to a permission ``once``, ``always`` or ``reject``; to questions ``answers``."""

    word: str = ""
    """``once``, ``always`` or ``reject``; empty where questions are answered."""
    reason: str = ""
    """Why it is rejected, for the agent to read."""
    answers: tuple[str, ...] = ()
    """One for each question, in their order."""

    @property
    def is_rejection(self) -> bool:
        return self.word == REJECT

    @property
    def text(self) -> str:
        """The answer, on one line."""
        return one_line(self.word or " / ".join(self.answers), ASKED_CHARS)


def _shown(question: Question, limit: int) -> str:
    options = ", ".join(one[:TAKEN_CHARS] for one in question.options[:OPTIONS_SHOWN])
    text = question.text[:TAKEN_CHARS]
    return one_line(f"{text} ({options})" if options else text, limit)
