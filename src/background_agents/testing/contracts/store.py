"""What every ``DelegationStore`` does."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from msgspec.structs import replace

from background_agents.domain import events as ev
from background_agents.domain.changes import Changes
from background_agents.domain.delegation import Delegation, apply, replay
from background_agents.domain.errors import IdTaken, StaleVersion
from background_agents.domain.notice import Notice, NoticeState
from background_agents.domain.status import Status
from background_agents.ports.storage import Change, DelegationStore, Lease, Line, Piece
from background_agents.testing.contracts.samples import (
    PERMISSION,
    ROOT,
    at,
    completed,
    launched,
    notice,
    registered,
)

OTTER, LYNX, HERON = "brave-amber-otter", "calm-blue-lynx", "quick-green-heron"


def piece(delegation: str, message: str, start: int, text: str) -> Piece:
    """Return text that was streamed."""
    return Piece(delegation=delegation, message=message, start=start, text=text)


def lease(owner: str, renewed_s: float) -> Lease:
    """Return the claim of a process."""
    return Lease(owner=owner, host="9:9", boot="b", renewed_s=renewed_s)


def change(before: Delegation, *events: ev.Event, notices: tuple[Notice, ...] = ()) -> Change:
    """Return the change that ``events`` make of ``before``."""
    after = before
    for event in events:
        after = apply(after, event)
    return Change(after=after, events=events, notices=notices)


async def store_so(store: DelegationStore, *events: ev.Event, name: str = OTTER) -> Delegation:
    """Register a delegation, commit what ``events`` make of it, and return it."""
    step = change(await store.register(registered(name)), *events)
    await store.commit(step)
    return step.after


class DelegationStoreContract(ABC):
    """Subclass, name it ``Test...``, and open the store."""

    pytestmark = pytest.mark.asyncio

    @abstractmethod
    def opened(self, folder: Path) -> AbstractAsyncContextManager[DelegationStore]:
        """Open an empty store that may use ``folder``, and close it on exit."""

    @pytest_asyncio.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[DelegationStore]:
        async with self.opened(tmp_path) as store:
            yield store

    # --- records -----------------------------------------------------------------

    async def test_what_is_streamed_is_kept_until_the_end(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            otter = await store.register(registered(OTTER))
            await store.register(registered(LYNX))
            assert await store.kept(OTTER) == {}
            await store.keep([piece(OTTER, "msg_1", 0, "One "), piece(LYNX, "msg_9", 0, "x")])
            await store.keep([piece(OTTER, "msg_1", 4, "two."), piece(OTTER, "msg_2", 0, "Ü")])
            await store.keep([piece(OTTER, "msg_1", 4, "two. "), piece("gone", "msg_3", 0, "y")])
            assert await store.kept(OTTER) == {"msg_1": "One two. ", "msg_2": "Ü"}
            assert await store.kept("gone") == {}
            stopped = ev.Stopped(at=at(9), summary="", error="stopped")
            await store.commit(change(otter, stopped))
            await store.keep([piece(OTTER, "msg_1", 9, "late")])
            assert await store.kept(OTTER) == {}
            assert await store.kept(LYNX) == {"msg_9": "x"}

    async def test_a_claim_holds_until_it_is_taken_away(self, store: DelegationStore) -> None:
        mine, theirs = lease("1:1", 5.0), lease("2:2", 6.0)
        assert not await store.renew(mine)
        await store.claim(mine)
        await store.claim(theirs)
        assert await store.renew(lease("1:1", 8.25))
        assert sorted(one.owner for one in await store.leases()) == ["1:1", "2:2"]
        assert not await store.revoke(mine)
        assert await store.revoke(lease("1:1", 8.25))
        assert await store.leases() == [theirs]
        assert not await store.renew(lease("1:1", 9.0))
        assert await store.leases() == [theirs]

    async def test_the_newest_are_found_and_the_unread_among_them(
        self, store: DelegationStore
    ) -> None:
        otter = await store_so(store, launched(), completed())
        lynx = await store_so(store, launched(), completed(), ev.Read(at=at(9)), name=LYNX)
        heron = await store.register(registered(HERON))
        assert await store.newest(9) == [heron, lynx, otter]
        assert await store.newest(2, ROOT) == [heron, lynx]
        assert await store.newest(9, ROOT, only_unread=True) == [otter]
        assert await store.newest(9, only_unread=True) == [otter]
        assert await store.newest(2, only_unread=True) == []
        assert await store.newest(9, "ses_other") == []

    async def test_each_event_is_noticed_and_nothing_else(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            seen = [await store.newest_event()]
            otter = await store.register(registered())
            seen.append(await store.newest_event())
            await store.commit(change(otter, launched()))
            seen.append(await store.newest_event())
            assert len(set(seen)) == len(seen)
            await store.claim(lease("1:1", 5.0))
            await store.keep([piece(OTTER, "msg_1", 0, "One ")])
            assert await store.newest_event() == seen[-1]

    async def test_registering_returns_what_is_found_later(self, store: DelegationStore) -> None:
        stored = await store.register(registered())
        assert stored.status is Status.REGISTERED
        assert await store.find(OTTER, ROOT) == stored

    async def test_a_delegation_is_invisible_from_another_root(
        self, store: DelegationStore
    ) -> None:
        await store.register(registered())
        assert await store.find(OTTER, "ses_other") is None
        assert await store.page("ses_other", 10) == ([], 0)

    async def test_the_service_itself_reaches_a_delegation_of_any_root(
        self, store: DelegationStore
    ) -> None:
        stored = await store.register(registered(root="ses_other"))
        assert await store.get(OTTER) == stored
        assert await store.get(LYNX) is None

    async def test_unknown_names_are_simply_not_found(self, store: DelegationStore) -> None:
        assert await store.find(OTTER, ROOT) is None
        assert await store.with_session("ses_child") is None
        assert await store.history(OTTER) == []
        assert await store.due("ses_nobody") == []
        assert await store.remaining("ses_nobody") == 0

    async def test_a_taken_id_is_refused_and_the_first_stays(self, store: DelegationStore) -> None:
        first = await store.register(registered())
        with pytest.raises(IdTaken, match=OTTER):
            await store.register(registered(root="ses_other", prompt="Another."))
        assert await store.find(OTTER, ROOT) == first
        assert await store.history(OTTER) == [registered()]

    async def test_of_many_registrations_at_once_each_stands_for_itself(
        self, store: DelegationStore
    ) -> None:
        names = [OTTER, LYNX, OTTER, HERON]
        outcomes = await asyncio.gather(
            *(store.register(registered(name)) for name in names), return_exceptions=True
        )
        assert [type(one) for one in outcomes] == [Delegation, Delegation, IdTaken, Delegation]
        assert (await store.page(ROOT, 10))[1] == 3

    async def test_a_large_prompt_of_any_script_survives(self, store: DelegationStore) -> None:
        prompt = "Größe 大きさ 🦦 \x00\r\n" * 100_000
        await store.register(registered(prompt=prompt))
        found = await store.find(OTTER, ROOT)
        assert found is not None
        assert found.prompt == prompt

    # --- changes -----------------------------------------------------------------

    async def test_a_change_replaces_the_record_and_extends_the_history(
        self, store: DelegationStore
    ) -> None:
        after = await store_so(store, launched(), completed())
        assert await store.find(OTTER, ROOT) == after
        assert await store.history(OTTER) == [registered(), launched(), completed()]

    async def test_every_kind_of_event_comes_back_as_it_was(self, store: DelegationStore) -> None:
        events: tuple[ev.Event, ...] = (
            ev.Resumed(at=at(0.5), owner="me"),
            launched(),
            ev.Progressed(at=at(2), usage=ev.Usage(1, 2, 3, 4, 5, 0.25, 6)),
            ev.ToolCalled(at=at(3), tool="read", title="README.md"),
            ev.InputRequested(at=at(4), ask=PERMISSION),
            ev.InputAnswered(at=at(5), request="per_1", reply="once", by="supervisor"),
            ev.SteerSent(at=at(6), steer="msg_2", text="Shorter."),
            ev.SteerConfirmed(at=at(7), steer="msg_2"),
            ev.StopRequested(at=at(8), by="user"),
            ev.Stopped(at=at(9), summary="Half.", error="[STOPPED BY SUPERVISOR]"),
            ev.Described(at=at(10), title="Better", summary="Half of it."),
            ev.NoticeQueued(at=at(11), notice="prt_1"),
            ev.NoticeConfirmed(at=at(12), notice="prt_1"),
            ev.Read(at=at(13)),
        )
        after = await store_so(store, *events)
        first, *later = await store.history(OTTER)
        assert tuple(later) == events
        assert isinstance(first, ev.Registered)
        assert replay(first, later) == await store.find(OTTER, ROOT) == after

    async def test_of_two_changes_to_one_version_the_second_is_refused_whole(
        self, store: DelegationStore
    ) -> None:
        before = await store.register(registered())
        won = change(before, launched())
        await store.commit(won)
        lost = change(before, ev.Stopped(at=at(2), summary="", error="x"), notices=(notice("n1"),))
        with pytest.raises(StaleVersion, match=OTTER):
            await store.commit(lost)
        assert await store.find(OTTER, ROOT) == won.after
        assert await store.history(OTTER) == [registered(), launched()]
        assert await store.due() == []

    async def test_of_two_changes_at_once_exactly_one_is_stored(
        self, store: DelegationStore
    ) -> None:
        before = await store.register(registered())
        steps = [change(before, launched(f"ses_{number}")) for number in range(2)]
        outcomes = await asyncio.gather(*map(store.commit, steps), return_exceptions=True)
        assert [type(one) for one in outcomes if one is not None] == [StaleVersion]
        assert len(await store.history(OTTER)) == 2

    async def test_a_change_of_what_was_never_registered_is_refused(
        self, store: DelegationStore
    ) -> None:
        with pytest.raises(StaleVersion):
            await store.commit(change(replay(registered(), ()), launched()))
        assert await store.page(ROOT, 10) == ([], 0)

    # --- looking around ----------------------------------------------------------

    async def test_a_page_is_the_newest_first_and_counts_all(self, store: DelegationStore) -> None:
        for name in (OTTER, LYNX, HERON):
            await store.register(registered(name))
        lines, total = await store.page(ROOT, 2)
        assert ([line.id for line in lines], total) == ([HERON, LYNX], 3)
        assert await store.page(ROOT, 0) == ([], 3)

    async def test_a_line_shows_the_newest_version(self, store: DelegationStore) -> None:
        read = ev.Read(at=at(200))
        made = Changes(2, 7, 1, names=("a", 'b "}'))
        amended = ev.ChangesMade(at=at(150), changes=made)
        await store_so(store, launched(), completed(), amended, read)
        lines, _ = await store.page(ROOT, 1)
        assert lines == [
            Line(
                id=OTTER,
                title="How PKCE works",
                agent="researcher",
                status=Status.COMPLETED,
                summary=completed().summary,
                registered_at=registered().at,
                ended_at=completed().at,
                read_at=read.at,
                changes=made,
            )
        ]

    async def test_a_session_leads_to_the_newest_delegation_in_it(
        self, store: DelegationStore
    ) -> None:
        for name in (OTTER, LYNX):
            await store_so(store, launched(), name=name)
        found = await store.with_session("ses_child")
        assert found is not None
        assert found.id == LYNX

    async def test_all_that_worked_in_a_tree_and_ended_is_found(
        self, store: DelegationStore
    ) -> None:
        """Also where another's prompt has the same words."""
        for name, tree in ((OTTER, OTTER), (HERON, OTTER), (LYNX, "")):
            await store.register(
                replace(registered(name), tree=tree, prompt=f'{{"tree":"{OTTER}"}}')
            )
        assert await store.ended_in(OTTER) == []
        for name in (HERON, OTTER, LYNX):
            one = await store.get(name)
            assert one is not None
            for event in (launched(f"ses_{name}"), completed()):
                one = apply(one, event)
                await store.commit(Change(after=one, events=(event,)))
        assert [one.id for one in await store.ended_in(OTTER)] == [OTTER, HERON]
        assert await store.ended_in(HERON) == []

    async def test_the_unfinished_are_listed_oldest_first(self, store: DelegationStore) -> None:
        await store.register(registered(OTTER))
        await store_so(store, launched(), completed(), name=LYNX)
        await store.register(registered(HERON))
        assert [one.id for one in await store.unfinished()] == [OTTER, HERON]

    async def test_what_was_spent_is_that_of_what_ended_since_or_has_not(
        self, store: DelegationStore
    ) -> None:
        await store_so(store, launched(), completed(), name=LYNX)
        before = await store.register(registered(OTTER))
        usage = ev.Usage(cost_usd=0.5)
        told = (launched(), ev.Progressed(at=at(5), usage=usage))
        await store.commit(change(before, *told))
        ended_at = completed().at
        assert await store.spent(ended_at) == {LYNX: 0.0125, OTTER: 0.5}
        assert await store.spent(ended_at + timedelta(seconds=1)) == {OTTER: 0.5}

    async def test_a_resumed_delegation_has_a_new_owner_and_keeps_it(
        self, store: DelegationStore
    ) -> None:
        before = await store.register(registered(owner="dead"))
        resumed = change(before, ev.Resumed(at=at(1), owner="alive"))
        await store.commit(resumed)
        await store.commit(change(resumed.after, launched()))
        assert [one.owner for one in await store.unfinished()] == ["alive"]

    async def test_remaining_counts_the_active_of_one_supervisor(
        self, store: DelegationStore
    ) -> None:
        await store.register(registered(OTTER))
        await store.register(registered(LYNX, parent="ses_nested"))
        await store_so(store, launched(), completed(), name=HERON)
        assert await store.remaining(ROOT) == 1
        assert await store.remaining("ses_nested") == 1

    # --- the outbox --------------------------------------------------------------

    async def queue(self, store: DelegationStore, *notices: Notice) -> None:
        """Commit ``notices`` with a change."""
        before = await store.register(registered())
        await store.commit(change(before, launched(), completed(), notices=notices))

    async def test_notices_come_with_the_change_and_wait_in_order(
        self, store: DelegationStore
    ) -> None:
        mine, other = notice("prt_2"), notice("prt_1", supervisor="ses_other")
        await self.queue(store, mine, other)
        assert await store.due() == [mine, other]
        assert await store.due(ROOT) == [mine]
        assert await store.due("ses_other") == [other]

    async def test_what_a_notice_is_sent_with_is_kept_for_the_retry(
        self, store: DelegationStore
    ) -> None:
        await self.queue(store, notice("prt_1"), notice("prt_2"))
        assigned = replace(
            notice("prt_1"), state=NoticeState.ASSIGNED, message="msg_9", text="<task…>"
        )
        await store.assign([assigned])
        assert await store.due() == [assigned, notice("prt_2")]

    @pytest.mark.parametrize("state", [NoticeState.CONFIRMED, NoticeState.DROPPED])
    async def test_a_settled_notice_is_due_no_more(
        self, store: DelegationStore, state: NoticeState
    ) -> None:
        await self.queue(store, notice("prt_1"), notice("prt_2"))
        await store.settle([replace(notice("prt_1"), state=state)])
        assert await store.due() == [notice("prt_2")]

    async def test_the_first_assignment_counts_and_the_second_learns_of_it(
        self, store: DelegationStore
    ) -> None:
        await self.queue(store, notice("prt_1"), notice("prt_2"))
        first = await store.assign([replace(notice("prt_1"), message="msg_1", text="one")])
        both = [replace(notice(f"prt_{n}"), message="msg_2", text="two") for n in (1, 2)]
        second = await store.assign(both)
        assert [one.message for one in first] == ["msg_1"]
        assert [(one.id, one.message, one.text) for one in second] == [
            ("prt_1", "msg_1", "one"),
            ("prt_2", "msg_2", "two"),
        ]
        assert second == await store.due()

    async def test_a_late_assignment_does_not_revive_a_settled_notice(
        self, store: DelegationStore
    ) -> None:
        await self.queue(store, notice("prt_1"))
        await store.settle([replace(notice("prt_1"), state=NoticeState.CONFIRMED)])
        await store.assign([replace(notice("prt_1"), message="msg_9", text="again")])
        assert await store.due() == []
