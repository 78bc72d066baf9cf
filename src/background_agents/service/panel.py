"""What the panel in a host's own screen is shown of a session or a project, while it looks.

It is looked after something was recorded, at most once a second, and every few seconds for what
only moves along and for what other processes have stored. Nothing is looked at for nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import DelegationError, StoreUnavailable
from background_agents.domain.text import one_line
from background_agents.ports.processes import Fate
from background_agents.service.sessions import Sessions
from background_agents.views import panel as view
from background_agents.views.json import ActiveSheet, active_sheet, sheet
from background_agents.views.panel_actions import ENTRIES, Entry, entry

if TYPE_CHECKING:
    from background_agents.service.project import Project

STATES, REST = timedelta(seconds=1), timedelta(seconds=3)
"""How soon a state is shown that has changed, and what only moves along: for either a host draws
its whole screen anew, in 30 to 40 ms. The second is also how soon other processes are noticed."""

UNREAD = 200
"""Among so many of a session's newest the unread ones are looked for."""

RECENT = timedelta(days=1)
"""Of a whole project only what has ended so lately is shown as unread: of conversations that are
over much is never read."""


class Panels:
    """The screens of one project, and what they are shown."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self.watching: list[Panel] = []
        """Those that look just now, the one that has done so the longest first."""

    def open(self, directory: str, session: str, before: Panel | None = None) -> Panel:
        """Return a screen's look at a session, or with none at the project; see ``Panel``.

        Raises:
            NotServed: the directory is not open here.
        """
        return Panel(self._project, directory, session, before)

    async def entries(self, directory: str, session: str) -> list[Entry]:
        """Return what is active, and the newest, a session's first. Raises ``NotServed``."""
        project = self._project
        store = project.context.store
        runs = project.runs.all()
        root = await root_of(project.workspace(directory).sessions, session)
        stored = [*await store.newest(ENTRIES), *await store.unfinished()]
        if root:
            stored += await store.newest(ENTRIES, root)
        known = {one.id: one for one in stored} | {run.delegation.id: run.timed() for run in runs}
        mine = [one for one in known.values() if root in ("", one.root_session)]
        others = [one for one in known.values() if root not in ("", one.root_session)]
        groups = [(one, bool(root)) for one in view.in_order(mine)]
        groups += [(one, False) for one in view.in_order(others)]
        now = project.context.clock.now()
        return [
            entry(await row(project, one), now, is_sessions=is_sessions)
            for one, is_sessions in groups[:ENTRIES]
        ]


class Panel:
    """One screen's look at a session's delegations, or at the project's where it names none.

    ``before`` is the look of the same screen that this one takes the place of: what has happened
    since then is told.
    """

    def __init__(
        self, project: Project, directory: str, session: str, before: Panel | None = None
    ) -> None:
        self._project = project
        self._context = project.context
        self._sessions = project.workspace(directory).sessions
        self._session = session
        self._since: datetime = before.looked_at if before else self._context.clock.now()
        self._told: set[str] = before._told if before else set()
        """Keys of news."""
        self.looked_at: datetime = self._since
        self.root = ""
        """The conversation whose delegations are shown; empty for all."""
        self._mark: object = None
        self._stored: list[Delegation] = []
        """What is stored as active, and what is unread."""
        self._active: set[str] = set()
        """What was active at the last look."""

    async def watch(self, width: int, most: int, show: Callable[[view.Shown], None]) -> None:
        """Hand to ``show`` what is shown, at once and as it changes, until this is cancelled."""
        clock, bell = self._context.clock, self._project.bell
        last: tuple[view.Shown | None, object] = (None, None)
        due_s = clock.monotonic_s()
        self._project.panels.watching.append(self)
        try:
            while True:
                ring = bell.next()
                shown, states = await self._look(width, most)
                is_due = clock.monotonic_s() >= due_s and shown != last[0]
                if is_due or shown.news or states != last[1]:
                    show(shown)
                    last, due_s = (shown, states), clock.monotonic_s() + REST.total_seconds()
                await clock.sleep(STATES)
                timer = clock.call_later(REST - STATES, bell.ring)
                try:
                    await ring.wait()
                finally:
                    timer.cancel()
        finally:
            self._project.panels.watching.remove(self)

    async def _look(self, width: int, most: int) -> tuple[view.Shown, object]:
        """Return what is shown now, and the part of it that is shown as soon as it changes."""
        runs = self._project.runs.all()  # before the store, so that what ends meanwhile is in one
        try:
            await self._look_into_store()
            known = {one.id: one for one in self._stored}
            known |= {run.delegation.id: run.timed() for run in runs}
            now = self._context.clock.now()
            found = view.in_order(one for one in known.values() if self._is_due(one, now))
            rows = [await row(self._project, one) for one in found[:most]]
            news = await self._news(known)  # at the end: what it returns counts as told
        except DelegationError as error:
            note = one_line(str(error))
            return view.Shown(session=self._session, note=note), note
        self.looked_at = now
        states = [(one.id, one.status, len(one.requests)) for one in found]
        return view.shown(self._session, found, rows, now, width, news), states

    def _is_due(self, one: Delegation, now: datetime) -> bool:
        if not self._shows(one) or not one.is_unread:
            return self._shows(one) and not one.is_terminal
        return bool(self._session) or now - (one.ended_at or now) <= RECENT

    async def _look_into_store(self) -> None:
        """Learn what is stored, if any process has stored something since the last time."""
        self.root = await root_of(self._sessions, self._session)
        store = self._context.store
        mark = (await store.newest_event(), self.root)
        if mark != self._mark:
            unread = await store.newest(UNREAD, self.root or None, only_unread=True)
            self._stored = [*unread, *await store.unfinished()]
            self._mark = mark

    async def _news(self, known: Mapping[str, Delegation]) -> list[view.News]:
        """Return what was not told yet: what is asked, and ends, by nothing but their records."""
        gone = [await self._context.store.get(name) for name in self._active - known.keys()]
        news: list[view.News] = []
        for one in (*known.values(), *filter(None, gone)):
            for at, item in view.news(one):
                is_new = at >= self._since or one.id in self._active
                if is_new and item.key not in self._told and self._tells(one):
                    news.append(item)
                self._told.add(item.key)
        self._active = {name for name, one in known.items() if not one.is_terminal}
        return news

    def _shows(self, one: Delegation) -> bool:
        return self.root in ("", one.root_session)

    def _tells(self, one: Delegation) -> bool:
        """Return whether this screen tells of a delegation, its own or one that no other does."""
        panels = self._project.panels.watching
        is_ours = one.owner == self._project.lease.owner
        nobodys = is_ours and panels[0] is self and not any(other._shows(one) for other in panels)
        return self._shows(one) or nobodys


async def row(project: Project, one: Delegation) -> view.Row:
    """Return a delegation with what is known of it now."""
    context = project.context
    if one.id in project.runs:
        live = await project.runs.of(one).look()
        return view.Row(live.delegation, active_sheet(live))
    stored = ActiveSheet(delegation=sheet(one, context.clock.now()), live=None)
    is_gone = not one.is_terminal and context.processes.fate_of(one.owner) is Fate.ENDED
    return view.Row(one, stored, is_gone)


async def root_of(sessions: Sessions, session: str) -> str:
    """Return the conversation that a session belongs to; itself where nobody can tell."""
    try:
        return (await sessions.standing(session)).root if session else ""
    except StoreUnavailable:
        raise
    except DelegationError:
        return session
