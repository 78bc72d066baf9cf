"""Every way in which a run ends, and what is kept of it."""

from __future__ import annotations

import pytest
from world import QUIET, World

from background_agents.domain.errors import RuntimeUnreachable
from background_agents.domain.status import Status
from background_agents.ports.runtime import Idle, RunFailed, SessionOrder
from lab.harness.service import Service

HANG: dict[str, object] = {"hang": True}


async def test_a_completed_run_is_kept_stored_and_told_in_that_order(
    world: World, service: Service
) -> None:
    delegation = await world.delegate(service, {"say": "# Found\n\nIt is PKCE."})
    await world.notified()
    order = [what for what, _ in world.journal.entries if not what.startswith("try")]
    assert order[:6] == ["register", "commit", "artifact", "end", "deliver", "confirmed"]
    ended = world.now(delegation)
    assert (ended.status, ended.summary) == (Status.COMPLETED, "It is PKCE.")
    assert (await world.artifact(delegation)).endswith("# Found\n\nIt is PKCE.")


async def test_its_result_is_its_last_words_after_all_its_steps(
    world: World, service: Service
) -> None:
    look: dict[str, object] = {"say": "Looking.", "call": "bash", "args": {}}
    delegation = await world.delegate(service, look, look, {"say": "Here it is."})
    ended = await world.ended(delegation)
    assert (await world.artifact(delegation)).endswith("\n\nHere it is.")
    assert ended.usage.tool_calls == 2


async def test_a_result_of_nothing_is_said_to_be_nothing(world: World, service: Service) -> None:
    delegation = await world.delegate(service, {"say": " "})
    assert (await world.ended(delegation)).status is Status.COMPLETED
    await world.artifact(delegation)


async def test_an_idle_before_the_run_began_ends_nothing(world: World, service: Service) -> None:
    delegation = await world.delegate(service, HANG)
    await world.until(lambda: world.now(delegation).session is not None)
    world.runtime.emit(Idle(world.now(delegation).session or ""))
    child = await world.working(delegation)
    assert not world.now(delegation).is_terminal
    child.write("All the same.")
    child.finish()
    assert (await world.ended(delegation)).status is Status.COMPLETED


# --- time ------------------------------------------------------------------------


async def test_when_the_window_is_over_what_was_written_is_kept(
    world: World, service: Service
) -> None:
    delegation = await world.delegate(service, HANG, minutes=0.5)
    child = await world.working(delegation)
    child.write("Half of ")
    child.write("it.")
    world.advance(seconds=29)
    await world.settle()
    assert not world.now(delegation).is_terminal
    world.advance(seconds=1)
    ended = await world.ended(delegation)
    assert (ended.status, ended.error) == (Status.TIMED_OUT, "Not finished within 30s.")
    artifact = await world.artifact(delegation)
    assert "\n[TIMEOUT REACHED] Not finished within 30s.\n\nHalf of it." in artifact
    assert not child.busy


async def test_what_finished_as_its_time_ran_out_is_completed(
    world: World, service: Service
) -> None:
    delegation = await world.delegate(service, HANG, minutes=0.5)
    child = await world.working(delegation)
    child.write("Just in time.")
    world.advance(seconds=30)
    child.finish()
    ended = await world.ended(delegation)
    assert (ended.status, ended.error) == (Status.COMPLETED, None)
    assert (await world.artifact(delegation)).endswith("\n\nJust in time.")


async def test_a_fault_of_ours_ends_as_failed_and_is_told(
    world: World, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_order: SessionOrder) -> str:
        raise KeyError("a fault")

    monkeypatch.setattr(world.runtime, "open_session", broken)
    delegation = await world.delegate(service, {"say": "Never."})
    ended = await world.ended(delegation)
    assert (ended.status, ended.error) == (Status.FAILED, "Internal error: KeyError.")
    assert len(await world.notified()) == 1


async def test_a_window_of_zero_never_ends(world: World, service: Service) -> None:
    delegation = await world.delegate(service, HANG, minutes=0)
    child = await world.working(delegation)
    world.advance(days=365)
    child.write("After a year.")
    child.finish()
    assert (await world.ended(delegation)).status is Status.COMPLETED


async def test_a_run_that_cannot_be_quietened_is_taken_as_it_is(
    world: World, service: Service
) -> None:
    delegation = await world.delegate(service, HANG, minutes=1)
    child = await world.working(delegation)
    child.write("So far.")
    world.runtime.failure = RuntimeUnreachable("OpenCode does not answer.")
    world.advance(minutes=1)
    for _ in range(2):
        await world.settle()  # the abort is tried, and its time begins
        world.clock.advance(QUIET)
    assert (await world.ended(delegation)).status is Status.TIMED_OUT
    assert "So far." in await world.artifact(delegation)


async def test_a_finish_just_before_the_deadline_counts(world: World, service: Service) -> None:
    delegation = await world.delegate(service, HANG, minutes=1)
    child = await world.working(delegation)
    child.write("In time.")
    child.finish()
    await world.heard.idle(child.name)
    world.advance(minutes=1)
    assert (await world.ended(delegation)).status is Status.COMPLETED


# --- errors ----------------------------------------------------------------------


async def test_a_refusing_provider_fails_the_run_with_its_words(
    world: World, service: Service
) -> None:
    refused: dict[str, object] = {"fail": 400, "message": "No such option."}
    delegation = await world.delegate(service, refused)
    ended = await world.ended(delegation)
    assert (ended.status, ended.error) == (Status.FAILED, "No such option.")
    assert "[FAILED] No such option." in await world.artifact(delegation)


async def test_what_was_written_before_an_error_is_kept(world: World, service: Service) -> None:
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    child.write("Until here.")
    child.fail("The provider went away.")
    assert (await world.ended(delegation)).status is Status.FAILED
    assert "Until here." in await world.artifact(delegation)


async def test_a_model_that_does_not_exist_fails_the_run(world: World, service: Service) -> None:
    delegation = await world.delegate(service, HANG, model="scripted/none")
    ended = await world.ended(delegation)
    assert (ended.status, ended.error) == (Status.FAILED, "Model not found: scripted/none.")


async def test_an_agent_that_vanished_fails_the_run_which_never_began(
    world: World, service: Service
) -> None:
    await world.runtime.agents()
    world.runtime.offered[:] = [one for one in world.runtime.offered if one.name != "plan"]
    delegation = await world.delegate(service, HANG, agent="plan")
    ended = await world.ended(delegation)
    assert (ended.status, ended.error) == (Status.FAILED, 'Agent not found: "plan".')


async def test_an_error_after_an_abort_ends_the_run_although_no_idle_follows(
    world: World, service: Service
) -> None:
    """Of what comes after an abort nothing is waited for any more, and nothing else would come."""
    delegation = await world.delegate(service, HANG, minutes=0)
    child = await world.working(delegation)
    child.cut_off()
    world.runtime.emit(RunFailed(child.name, "Aborted", aborted=True))
    world.runtime.emit(Idle(child.name))
    await world.settle()
    assert not world.now(delegation).is_terminal
    world.runtime.emit(RunFailed(child.name, "Lost.", aborted=False))
    await world.settle()
    ended = world.now(delegation)
    assert (ended.status, ended.error) == (Status.FAILED, "Lost.")


async def test_refusals_for_now_do_not_end_the_run(world: World, service: Service) -> None:
    slow: dict[str, object] = {"fail": 429, "message": "Slow down.", "times": 3}
    delegation = await world.delegate(service, slow, {"say": "At last."})
    assert (await world.ended(delegation)).status is Status.COMPLETED


async def test_a_runtime_that_goes_away_before_the_launch_fails_it(
    world: World, service: Service
) -> None:
    delegation = await world.delegate(service, HANG)
    world.runtime.failure = RuntimeUnreachable("OpenCode does not answer.")
    ended = await world.ended(delegation)
    assert (ended.status, ended.error) == (Status.FAILED, "OpenCode does not answer.")


# --- from outside ----------------------------------------------------------------


async def test_a_child_that_is_deleted_is_stopped_with_what_it_wrote(
    world: World, service: Service
) -> None:
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    child.write("Kept all the same.")
    world.runtime.delete_session(child.name)
    ended = await world.ended(delegation)
    assert (ended.status, ended.error) == (Status.STOPPED, "Its session was deleted.")
    assert "[STOPPED] Its session was deleted.\n\nKept all the same." in await world.artifact(
        delegation
    )


async def test_a_child_that_its_user_aborts_is_stopped_with_what_it_wrote(
    world: World, service: Service
) -> None:
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    child.write("Up to ESC.")
    child.abort()
    ended = await world.ended(delegation)
    assert (ended.status, ended.error) == (Status.STOPPED, "It was aborted from outside.")
    assert "Up to ESC." in await world.artifact(delegation)


async def test_an_aborted_supervisor_leaves_its_delegations_alone(
    world: World, service: Service
) -> None:
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    world.runtime.user_says(world.supervisor, '<script>[{"hang": true}]</script>')
    await world.heard.until(lambda: world.heard.works(world.supervisor))
    world.runtime.sessions[world.supervisor].abort()
    child.write("Went on.")
    child.finish()
    assert (await world.ended(delegation)).status is Status.COMPLETED
    await world.notified()
    assert not world.runtime.sessions[world.supervisor].busy


async def test_a_deleted_supervisor_takes_its_delegations_with_it(
    world: World, service: Service
) -> None:
    running = await world.delegate(service, HANG)
    child = await world.working(running)
    child.write("So far.")
    other = world.runtime.add_session()
    spared = await world.delegate(service, HANG, supervisor=other)
    await world.working(spared)
    world.runtime.delete_session(world.supervisor)
    assert (await world.ended(running)).status is Status.STOPPED
    await world.until(lambda: world.journal.of("dropped") == [running.id])
    assert "So far." in await world.artifact(running)
    assert not world.now(spared).is_terminal
    assert await world.store.due() == []


async def test_one_that_waits_for_a_slot_ends_with_its_supervisor_too(world: World) -> None:
    service = await world.service(max_concurrent=1)
    other = world.runtime.add_session()
    await world.working(await world.delegate(service, HANG, supervisor=other))
    waiting = await world.delegate(service, HANG)
    world.runtime.delete_session(world.supervisor)
    ended = await world.ended(waiting)
    assert (ended.status, ended.session) == (Status.STOPPED, None)


async def test_late_events_move_nothing(world: World, service: Service) -> None:
    delegation = await world.delegate(service, {"say": "Done."})
    ended = await world.ended(delegation)
    await world.notified()
    child = world.runtime.sessions[ended.session or ""]
    child.abort()
    world.runtime.delete_session(child.name)
    world.advance(days=1)
    await world.settle()
    assert world.now(delegation).status is Status.COMPLETED
    assert world.journal.of("end") == [delegation.id]
    assert len(world.channel.delivered(world.supervisor)) == 1
