"""What people ask of a list: words, and facts that a delegation must have.

``oauth "token refresh" @researcher model:acme state:failed id:brave`` is a query. Words must all
be there, as beginnings of words; a phrase in quotes as it stands. Facts of one kind are
alternatives, facts of different kinds must all hold. What begins like a fact and is none
(``TypeError: x``, ``http://...``) is a word. Knows nothing of how anything is searched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from background_agents.domain.errors import InvalidRequest, quote
from background_agents.domain.status import ACTIVE, TERMINAL, Status

MOST_WORDS = 50
"""More are not typed but pasted, and each is looked up by itself."""

GROUPS = {"active": ACTIVE, "ended": TERMINAL}
"""States that stand for several."""

UNREAD = "unread"
"""Also said of a state: it has ended, and the supervisor has not read it."""

STATES = (*Status, *GROUPS, UNREAD)
"""All that may stand after ``state:``, in the order of a life."""

SORTS = ("age", "id", "state", "agent", "title", "model", "elapsed", "tokens", "cost")
"""What a list can be sorted by; age is since the end, or else since the delegation."""

_TOKEN = re.compile(
    r"""(?P<key>(?:id|model|state|agent|label):|@)?+  # what begins like a fact is one, or a mistake
        (?:"(?P<quoted>[^"]*)(?:"|$)|(?P<bare>\S*))""",
    re.VERBOSE,
)

_NO_TEXT = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
"""What neither stands in a text that was stored nor can be handed to a database."""


class Sort(msgspec.Struct, frozen=True):
    """In which order: the least of ``key`` first, or the greatest; of equals the newest."""

    key: str
    descends: bool = False


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for; an empty one asks for everything."""

    words: tuple[str, ...] = ()
    """Each begins a word of title, summary, prompt or result."""
    phrases: tuple[str, ...] = ()
    """Each stands there, word for word."""
    ids: tuple[str, ...] = ()
    """What an id may begin with."""
    agents: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    """What may be part of ``provider/model-id``."""
    labels: tuple[str, ...] = ()
    """What people call them, of which each has one."""
    states: frozenset[Status] = frozenset()
    or_unread: bool = False
    """Beside ``states``, those that have ended unread."""
    only_unread: bool = False
    """Of all these, only those that have ended unread."""
    since: datetime | None = None
    """When it must have been delegated, at the earliest."""
    sort: Sort | None = None
    """None: the newest first."""

    @property
    def is_full_text(self) -> bool:
        """Whether texts must be searched, and not facts alone."""
        return bool(self.words or self.phrases)


def parse(
    texts: Iterable[str] = (),
    *,
    states: Iterable[str] = (),
    agents: Iterable[str] = (),
    labels: Iterable[str] = (),
    only_unread: bool = False,
    since: datetime | None = None,
    sort: str = "",
) -> Query:
    """Return what ``texts`` ask for, together with what options say.

    Raises:
        InvalidRequest: there is no such state or order, a fact lacks its value, or a word has
            no letter or digit that could be searched for.
    """
    text = " ".join(_NO_TEXT.sub(" ", text) for text in texts)
    found: dict[str, list[str]] = {
        key: [] for key in ("", '"', "id", "@", "model", "state", "label")
    }
    for token in _TOKEN.finditer(text):
        _take(token, found)
    _check_words([*found[""], *found['"']], text)
    wanted = [*found["state"], *states]
    return Query(
        words=tuple(filter(_is_searchable, found[""])),
        phrases=tuple(filter(_is_searchable, found['"'])),
        ids=tuple(found["id"]),
        agents=(*found["@"], *agents),
        models=tuple(found["model"]),
        labels=(*found["label"], *labels),
        states=frozenset().union(*map(_states, wanted)),
        or_unread=UNREAD in wanted,
        only_unread=only_unread,
        since=since,
        sort=_sort(sort) if sort else None,
    )


def _take(token: re.Match[str], found: dict[str, list[str]]) -> None:
    key = (token["key"] or "").rstrip(":").replace("agent", "@")
    is_phrase = token["quoted"] is not None
    value = token["quoted"].strip() if is_phrase else token["bare"]
    if key and not value:
        raise InvalidRequest(f"{quote(token[0])} lacks its value; write it right behind.")
    if token[0]:
        found[key or ('"' if is_phrase else "")].append(value)


def _check_words(terms: Sequence[str], text: str) -> None:
    if len(terms) > MOST_WORDS:
        raise InvalidRequest(
            f"The query has {len(terms):,} words, and {MOST_WORDS} is the most; leave some out."
        )
    # A dash among words is passed over.
    if terms and not any(map(_is_searchable, terms)):
        raise InvalidRequest(
            f"{quote(text)} cannot be searched for; a word needs a letter or a digit."
        )


def _is_searchable(term: str) -> bool:
    return any(map(str.isalnum, term))


def _sort(given: str) -> Sort:
    key, comma, way = given.partition(",")
    if key not in SORTS or (comma and way not in ("asc", "desc")):
        raise InvalidRequest(
            f"A list cannot be sorted by {quote(given)}; choose one of: {', '.join(SORTS)}; "
            '",desc" behind it turns it round.'
        )
    return Sort(key, descends=way == "desc")


def _states(name: str) -> frozenset[Status]:
    if name == UNREAD:
        return frozenset()
    if name in GROUPS:
        return GROUPS[name]
    try:
        return frozenset({Status(name)})
    except ValueError:
        raise InvalidRequest(
            f"There is no state {quote(name)}; choose one of: {', '.join(STATES)}."
        ) from None
