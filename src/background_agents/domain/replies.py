"""What somebody's words mean as an answer to what is asked, and which ones a model may say."""

from __future__ import annotations

from collections.abc import Sequence

from background_agents.domain.asking import GRANTS, ONCE, REJECT, Ask, Question, Reply
from background_agents.domain.errors import InvalidRequest, NotAnAnswer


def reply_to(ask: Ask, given: str) -> Reply:
    """Return what ``given`` means as an answer.

    A rejection may give its reason: ``reject: use the staging server``.

    Raises:
        InvalidRequest: it does not answer what was asked.
    """
    text = given.strip()
    if not text:
        raise NotAnAnswer(text, ask)
    word, _, reason = text.partition(":")
    if word.strip().lower() == REJECT and not _is_offered(ask, text):
        return Reply(word=REJECT, reason=reason.strip())
    if ask.questions:
        return Reply(answers=_answers(ask.questions, text))
    if text.lower() not in GRANTS:
        raise NotAnAnswer(text, ask)
    return Reply(word=text.lower())


def model_may(ask: Ask, given: str) -> bool:
    """Return whether a model may give this answer: it never decides for its human."""
    word = given.partition(":")[0].strip().lower()
    return bool(ask.questions) or word == REJECT or (ask.model_grants_once and word == ONCE)


def _answers(questions: Sequence[Question], text: str) -> tuple[str, ...]:
    if len(questions) == 1:
        return (_chosen(questions[0], text),)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) != len(questions):
        raise InvalidRequest(
            f"{len(questions)} questions are asked and the reply has {len(lines)} lines; "
            "reply with one line for each, in their order."
        )
    return tuple(map(_chosen, questions, lines))


def _is_offered(ask: Ask, text: str) -> bool:
    """Return whether the only question suggests this very answer, ``reject`` too."""
    options = ask.questions[0].options if len(ask.questions) == 1 else ()
    return text.lower() in [one.lower() for one in options]


def _chosen(question: Question, text: str) -> str:
    """Return the option that was meant, as it was offered; else the words as they are."""
    return next((one for one in question.options if one.lower() == text.lower()), text)
