"""What every ``SupervisorChannel`` does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from background_agents.domain.errors import MessagesUndone, SupervisorGone
from background_agents.ports import runtime as port
from background_agents.ports.supervisor import OutgoingMessage
from background_agents.testing.contracts.stage import (
    AGENT,
    MODEL,
    OTHER_AGENT,
    OTHER_MODEL,
    Heard,
    Stage,
    StoredMessage,
    listening,
    mint,
)
from background_agents.testing.scripts import script

NOTICE = "<task-notification>\n<task-id>brave-amber-otter</task-id>\n</task-notification>"


class SupervisorChannelContract:
    """Subclass, name it ``Test...``, and give a fixture ``stage``.

    All tests run on one event loop per module, so that stages may share what is slow.
    """

    pytestmark = pytest.mark.asyncio(loop_scope="module")

    # --- steps -------------------------------------------------------------------

    @asynccontextmanager
    async def supervisor(
        self, stage: Stage, *, agent: str = AGENT, model: str = MODEL
    ) -> AsyncIterator[tuple[str, Heard]]:
        """Listen, and give a session in which a user has said something and was answered."""
        session = await stage.new_session()
        said = script({"say": "Hello."}, on_notice=[{"say": "Noticed."}])
        with listening(stage.runtime) as heard:
            await stage.user_says(session, said, agent=agent, model=model)
            await heard.answered(session)
            yield session, heard

    async def delivered(self, stage: Stage, session: str, *texts: str) -> OutgoingMessage:
        """Deliver a message, with a notice unless other texts are given, and return it."""
        message = outgoing(session, *(texts or (NOTICE,)))
        await stage.channel.deliver(message)
        return message

    async def stored(self, stage: Stage, message: OutgoingMessage) -> list[StoredMessage]:
        """Return the stored messages with the id of ``message``."""
        found = await stage.stored(message.session)
        return [one for one in found if one.id == message.message]

    async def answers(self, stage: Stage, message: OutgoingMessage) -> int:
        """Count the answers that the message has got."""
        found = await stage.stored(message.session)
        return sum(one.answers == message.message for one in found)

    async def abort(self, stage: Stage, heard: Heard, session: str, *, early: bool) -> None:
        """Let the user begin something endless, and abort it, maybe before it says a word."""
        await stage.runtime.transcript(session, refresh=True)  # followed from here on
        spoken = len(heard.of(session, port.TextStreamed))
        endless = script({"say": "and ", "repeat": 10_000, "every_ms": 5})
        await stage.user_says(session, endless, agent=AGENT, model=MODEL)
        await heard.until(lambda: heard.works(session))
        if not early:
            await heard.until(lambda: len(heard.of(session, port.TextStreamed)) > spoken + 5)
        await stage.runtime.abort(session)
        await heard.aborted(session)
        stage.runtime.release(session)

    # --- deliveries --------------------------------------------------------------

    async def test_a_delivered_message_is_in_the_transcript(self, stage: Stage) -> None:
        async with self.supervisor(stage) as (session, _):
            message = await self.delivered(stage, session, NOTICE, NOTICE.replace("otter", "lynx"))
            (stored,) = await self.stored(stage, message)
        texts = "\n\n".join(text for _, text in message.parts)
        assert "\n\n".join(part.text for part in stored.parts) == texts

    async def test_its_parts_are_hidden_from_the_human(self, stage: Stage) -> None:
        async with self.supervisor(stage) as (session, _):
            message = await self.delivered(stage, session)
            (stored,) = await self.stored(stage, message)
        assert all(part.hidden for part in stored.parts)

    async def test_the_same_ids_again_leave_one_copy_and_one_answer(self, stage: Stage) -> None:
        async with self.supervisor(stage) as (session, heard):
            message = await self.delivered(stage, session)
            await heard.until(lambda: heard.has_answer_to(message.message, finished=True))
            await stage.channel.deliver(message)
            later = await self.delivered(stage, session, NOTICE.replace("otter", "lynx"))
            await heard.until(lambda: heard.has_answer_to(later.message, finished=True))
        (stored,) = await self.stored(stage, message)
        assert len(stored.parts) == 1
        assert await self.answers(stage, message) == 1

    async def test_an_idle_supervisor_wakes(self, stage: Stage) -> None:
        async with self.supervisor(stage) as (session, heard):
            message = await self.delivered(stage, session)
            await heard.until(lambda: heard.has_answer_to(message.message, finished=True))
        assert (await stage.runtime.transcript(session, refresh=True)).result == "Noticed."
        stage.runtime.release(session)

    async def test_a_supervisor_whose_turn_has_just_failed_wakes(self, stage: Stage) -> None:
        async with self.supervisor(stage) as (session, heard):
            await stage.user_says(session, script({"fail": 400}), agent=AGENT, model=MODEL)
            await heard.first(session, port.RunFailed)
            message = await self.delivered(stage, session)
            await heard.until(lambda: heard.has_answer_to(message.message))

    async def test_a_session_that_no_model_has_spoken_in_is_reached_and_not_woken(
        self, stage: Stage
    ) -> None:
        session = await stage.new_session()
        messages = [outgoing(session, NOTICE), outgoing(session, NOTICE)]
        for message in messages:
            await stage.channel.deliver(message)
            assert len(await self.stored(stage, message)) == 1
            assert not (await stage.runtime.state(session)).busy
        with listening(stage.runtime) as heard:
            # Once its user has spoken there is a turn to be woken.
            said = script({"say": "Hello."}, on_notice=[{"say": "Noticed."}])
            await stage.user_says(session, said, agent=AGENT, model=MODEL)
            await heard.answered(session)
            later = await self.delivered(stage, session)
            await heard.until(lambda: heard.has_answer_to(later.message, finished=True))
        assert [await self.answers(stage, one) for one in messages] == [0, 0]

    async def test_a_message_that_wakes_nobody_is_read_with_the_next_turn(
        self, stage: Stage
    ) -> None:
        async with self.supervisor(stage) as (session, heard):
            quiet = msgspec.structs.replace(outgoing(session, NOTICE), wakes=False)
            await stage.channel.deliver(quiet)
            assert len(await self.stored(stage, quiet)) == 1
            assert not (await stage.runtime.state(session)).busy
            loud = await self.delivered(stage, session)
            await heard.until(lambda: heard.has_answer_to(loud.message, finished=True))
            assert await self.answers(stage, quiet) == 0

    async def test_the_agent_and_model_stay_what_the_user_had_chosen(self, stage: Stage) -> None:
        async with self.supervisor(stage, agent=OTHER_AGENT, model=OTHER_MODEL) as (session, _):
            message = await self.delivered(stage, session)
            (stored,) = await self.stored(stage, message)
        assert (stored.agent, stored.model) == (OTHER_AGENT, OTHER_MODEL)

    # --- a user who stops, or leaves ---------------------------------------------

    @pytest.mark.parametrize("early", [True, False])
    async def test_a_supervisor_that_was_stopped_does_not_wake_until_its_user_speaks(
        self, stage: Stage, early: bool
    ) -> None:
        async with self.supervisor(stage) as (session, heard):
            await self.abort(stage, heard, session, early=early)
            first, second = outgoing(session, NOTICE), outgoing(session, NOTICE)
            for message in (first, second):
                await stage.channel.deliver(message)
                assert len(await self.stored(stage, message)) == 1
                assert not (await stage.runtime.state(session)).busy
            said = script({"say": "Back again."}, on_notice=[{"say": "Noticed."}])
            spoken = await stage.user_says(session, said, agent=AGENT, model=MODEL)
            await heard.until(lambda: heard.has_answer_to(spoken, finished=True))
            assert await self.answers(stage, first) == await self.answers(stage, second) == 0
            third = await self.delivered(stage, session)
            await heard.until(lambda: heard.has_answer_to(third.message, finished=True))

    async def undone(self, stage: Stage, heard: Heard, session: str) -> list[str]:
        """Let a session's user undo all; return the messages that it had until then."""
        before = [one.id for one in await stage.stored(session)]
        await stage.user_undoes(session, before[0])
        await heard.first(session, port.UndoChanged)
        return before

    async def test_undone_messages_are_made_final_by_no_delivery(self, stage: Stage) -> None:
        async with self.supervisor(stage) as (session, heard):
            before = await self.undone(stage, heard, session)
            message = outgoing(session, NOTICE)
            with pytest.raises(MessagesUndone, match=session):
                await stage.channel.make_sure_nothing_is_undone(session)
            with pytest.raises(MessagesUndone, match=session):
                await stage.channel.deliver(message)
            await stage.user_redoes(session)
            await heard.until(lambda: not heard.of(session, port.UndoChanged)[-1].undone)
            assert [one.id for one in await stage.stored(session)] == before
            await stage.channel.deliver(message)
            await heard.until(lambda: heard.has_answer_to(message.message, finished=True))

    async def test_a_user_who_goes_on_ends_what_was_undone(self, stage: Stage) -> None:
        async with self.supervisor(stage) as (session, heard):
            before = await self.undone(stage, heard, session)
            said = script({"say": "Anew."}, on_notice=[{"say": "Noticed."}])
            spoken = await stage.user_says(session, said, agent=OTHER_AGENT, model=OTHER_MODEL)
            await heard.until(lambda: heard.has_answer_to(spoken, finished=True))
            message = await self.delivered(stage, session)
            (stored,) = await self.stored(stage, message)
        assert (stored.agent, stored.model) == (OTHER_AGENT, OTHER_MODEL)
        assert not {one.id for one in await stage.stored(session)} & set(before)

    async def test_what_was_undone_and_redone_unheard_is_asked_for(self, stage: Stage) -> None:
        async with self.supervisor(stage) as (session, heard):
            (first, *_) = await stage.stored(session)
            async with stage.broken():
                await stage.user_undoes(session, first.id)
            await heard.until(lambda: len(heard.of("", port.StreamRestored)) == 1)
            with pytest.raises(MessagesUndone):
                await stage.channel.make_sure_nothing_is_undone(session)
            async with stage.broken():
                await stage.user_redoes(session)
            await heard.until(lambda: len(heard.of("", port.StreamRestored)) == 2)
            await stage.channel.make_sure_nothing_is_undone(session)

    async def test_a_supervisor_that_is_gone_is_said_to_be(self, stage: Stage) -> None:
        async with self.supervisor(stage) as (session, _):
            await stage.delete_session(session)
        with pytest.raises(SupervisorGone, match=session):
            await stage.channel.deliver(outgoing(session, NOTICE))

    async def test_a_toast_without_a_screen_does_no_harm(self, stage: Stage) -> None:
        await stage.channel.toast("Delegation completed", "brave-amber-otter", "success")


def outgoing(session: str, *texts: str) -> OutgoingMessage:
    """Return a message with a part for each text."""
    parts = tuple((mint("prt"), text) for text in texts)
    return OutgoingMessage(session=session, message=mint("msg"), parts=parts)
