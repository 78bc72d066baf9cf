"""The page about notices: examples, made by the functions that make the real ones."""

from __future__ import annotations

from collections.abc import Sequence

from background_agents.domain.asking import Ask
from background_agents.domain.delegation import Delegation
from background_agents.domain.notice import NoticeKind
from background_agents.views import notices
from lab.reference import markdown as md
from lab.reference import sample


def page() -> str:
    """Return the page."""
    ended, request, message = NoticeKind.ENDED, NoticeKind.REQUEST, NoticeKind.MESSAGE
    blocked = "The staging key has expired; I go on with the mock."
    return md.page(
        "Notices",
        _HEAD,
        "## When a delegation ends",
        "Others of this supervisor are still active:",
        _example(sample.completed(), ended, remaining=1),
        "It did not complete, and nothing is active any more:",
        _example(sample.failed(), ended, remaining=0),
        "## When it waits for an answer",
        "A permission, of the background agent or of a session below it:",
        _example(sample.running(), request, ask=sample.permission()),
        "A question:",
        _example(sample.running(), request, ask=sample.question()),
        "## When it has something to say",
        _example(sample.running(), message, words=[blocked]),
        "It has said more than its supervisor is told at once, and this is the rest:",
        _example(sample.running(), message, words=[blocked, "A new key is there; I use it."]),
        "## Elements",
        md.table(["element", "stands for"], _ELEMENTS),
        _RULES,
    )


def _example(
    one: Delegation,
    kind: NoticeKind,
    *,
    ask: Ask | None = None,
    words: Sequence[str] = (),
    remaining: int = 0,
) -> str:
    notice = notices.new(one, kind, "prt_1", sample.NOW, ask=ask, words=words)
    title, text, variant = notices.toast([notice])
    toast = f"Toast ({variant}): *{title}*, {text}"
    return "\n\n".join([md.code(notices.text(notice, remaining), "xml"), toast])


_HEAD = """\
What a supervisor's model is told without asking. A notice is a message in its session that the
chat does not show; the human gets a toast beside it. The examples on this page are made by the
functions that make the real ones.
"""

_ELEMENTS = [
    ("`task-id`", "the delegation's id"),
    ("`status`", "`completed`, `failed`, `stopped`, `timed_out` or `interrupted`"),
    ("`agent`", "who asks"),
    ("`title`, `summary`", "made at once from prompt and result; a `small_model` may better them"),
    ("`error`", "why it did not complete, in one line, in the provider's words where it has any"),
    ("`permission`, `question`, `message`", "what is asked, or said, on one line"),
    ("`messages`", "several that were said, a numbered line for each, oldest first"),
    ("`elapsed`", "how long it has run"),
    ("`resumed`", "how often it was cut off and told to go on; left out if never"),
    ("`remaining`", "how many delegations of this supervisor are still active"),
    ("`all-complete`", "`true` with the last one; left out otherwise"),
    ("`retrieval`, `answer`, `reply`", "the call that comes next, or who is to be asked"),
]

_RULES = """\
## What holds for all of them

- A notice wakes an idle supervisor once. Several that are due together are one message, and so are
  those of all that one act stops (`stop --all`).
- What you do at a terminal wakes nobody: the model reads of a delegation that you have stopped
  there, or have gone on with there (`delegate --continue`), at its next turn. In a message with
  others they wake as the others do.
- What background agents say by themselves has a budget, since each message buys a turn: three of
  a delegation are told at once in any five minutes. What it says beyond that is kept and told as
  one when that time is over, or with its end. 20,000 characters are kept; more is refused.
- A supervisor at work sees it at its next step. One that the user has stopped with ESC gets it
  with its next turn.
- While its user has undone messages there (`/undo`), nothing is sent, for OpenCode would delete
  these at the next message. It comes when they are back (`/redo`), or with what the user says next;
  the toast comes at once.
- A fork of the conversation is not told of what was delegated before it; it may list and read it.
- Its agent, model and variant stay what the user has chosen.
- What an agent wrote is escaped, one line and bounded: no output can open or close a tag.
- It arrives exactly once in the transcript, through crashes and retries;
  [Reliability](../reliability.md) says how that is tested.
"""
