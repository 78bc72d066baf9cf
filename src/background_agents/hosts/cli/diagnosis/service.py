"""Does the service run, and does somebody look after every delegation that has not ended?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from background_agents.adapters.system.processes import is_alive, is_running
from background_agents.client.connection import Connection
from background_agents.client.opencode_program import NAMES
from background_agents.control import places
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import NotServed
from background_agents.domain.text import one_line
from background_agents.hosts.cli.diagnosis.findings import Finding, ok, problem, warning
from background_agents.hosts.cli.diagnosis.scene import Scene, pid_of, quoted
from background_agents.hosts.cli.installing.plugin_conflicts import Kind
from background_agents.service.ownership.leases import LEASE

_SHOWN = 5
"""Of a list; who has more of them needs none of their names."""


def check_service(scene: Scene) -> Iterator[Finding]:
    """Tell whether the service runs, or ever did."""
    if scene.living:
        hosts = ", ".join(sorted({pid_of(one.host) for one in scene.living}))
        yield ok("service.running", f"The service runs, for OpenCode (process {hosts}).")
        return
    if not any(one.kind is Kind.OURS for one in scene.plugins):
        return  # which was said already
    running = _opencode_in(scene.places.project.parent)
    if running:
        yield warning(
            "service.running",
            f"OpenCode runs here (process {', '.join(running)}) without our service: it was "
            "started before the plugin was installed, or has not opened this project yet. Quit it "
            "and start it again.",
            scene.here("opencode"),
        )
    elif scene.managed is not None and scene.managed.is_there:
        yield warning(
            "service.running",
            f"OpenCode 2's managed server runs (process {scene.managed.pid}) without our service "
            "for this project: it has not opened it yet, or did so before the plugin was installed "
            "and needs a restart.",
            f"{quoted(scene.managed_by)} service restart",
        )
    elif last := _last_seen(scene):
        yield ok("service.running", f"OpenCode is closed here; the service ran last on {last}.")
    else:
        yield warning(
            "service.running",
            "The service has never run in this project: OpenCode was not started here since the "
            "plugin was installed.",
            scene.here("opencode"),
        )


def _opencode_in(folder: Path) -> list[str]:
    """Return the processes of OpenCode in a folder or below; none where there is no ``/proc``."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name = (process / "comm").read_text("utf-8", errors="replace").strip().lstrip(".")
            if name in NAMES and (process / "cwd").resolve().is_relative_to(folder.resolve()):
                found.append(process.name)
        except OSError:
            continue  # it has ended, or is somebody else's
    return sorted(found, key=int)


def _last_seen(scene: Scene) -> str | None:
    files = [scene.database, Path(f"{scene.database}-wal")]
    times = [file.stat().st_mtime for file in files if file.exists()]
    return _local_time(datetime.fromtimestamp(max(times), UTC)) if times else None


def _local_time(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d at %H:%M")


def check_elsewhere(scene: Scene) -> Iterator[Finding]:
    """Mention that the home is shared with a container or a machine that works here, too."""
    if scene.elsewhere:
        yield ok(
            "service.elsewhere",
            "Another container or machine that shares this home works on the project "
            f"(claims: {len(scene.elsewhere)}). Act there on what it runs; here it is taken over "
            f"once nothing was heard of it for {LEASE.total_seconds():.0f} seconds.",
        )


def check_frozen(scene: Scene) -> Iterator[Finding]:
    """Name services that live and do nothing."""
    for lease in scene.living:
        owner, host = pid_of(lease.owner), pid_of(lease.host)
        if not is_running(lease.owner):
            why = f"The service (process {owner}) is frozen, and so is what it supervises."
            yield problem("service.frozen", why, f"kill -CONT {owner}")
        elif is_alive(lease.host) and not is_running(lease.host):
            why = f"OpenCode (process {host}) is frozen, as by Ctrl-Z, and its agents with it."
            yield warning("service.frozen", why, f"kill -CONT {host}")


def check_failing(scene: Scene) -> Iterator[Finding]:
    """Name what a service that runs does every so often and cannot do just now."""
    for lease in scene.living:
        if not is_running(lease.owner):
            continue  # which was said already
        try:
            with Connection.of(scene.place.data_root, lease.owner) as client:
                failing = client.about().failing
        except NotServed:
            continue  # it ends just now, or its host is frozen
        for one in failing:
            if one.project == scene.place.project:
                log = scene.place.data_root / "service.log"
                yield problem(
                    "service.failing",
                    f"{one.name[:1].upper()}{one.name[1:]} of the service (process "
                    f"{pid_of(lease.owner)}) has failed since {_local_time(one.since)}, and is "
                    f"tried again all the time: {one_line(one.error, 300)}",
                    f"tail -n 50 {quoted(log)}",
                )


def check_orphans(scene: Scene) -> Iterator[Finding]:
    """Name delegations that have not ended, and whose service has."""
    active = scene.inspection.active
    orphans = [one for one in active if not scene.owns(one.owner)]
    if not orphans:
        if active:
            yield ok("service.orphans", f"Active delegations: {len(active)}, all looked after.")
        return
    said = f"{_names(orphans)} had not ended when the service did, and nobody looks after it now."
    if scene.living:
        why = f"{said} The service that runs takes it over within half a minute."
        yield warning("service.orphans", why, scene.here("background-agents doctor"))
    else:
        why = f"{said} The next OpenCode in this project takes it over."
        yield problem("service.orphans", why, scene.here("background-agents recover"))


def _names(orphans: list[Delegation]) -> str:
    names = [one.id for one in orphans[:_SHOWN]]
    more = len(orphans) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def check_leases(scene: Scene) -> Iterator[Finding]:
    """Mention the claims of services that have ended; they are cleared away at the next start."""
    dead = [one for one in scene.inspection.leases if one not in scene.living + scene.elsewhere]
    if dead:
        pids = ", ".join(pid_of(one.owner) for one in dead[:_SHOWN])
        yield ok(
            "service.leases",
            f"Claims of services that have ended: {len(dead)} (process {pids}). They bind nobody, "
            "and the next start clears them away.",
        )


def check_sockets(scene: Scene) -> Iterator[Finding]:
    """Name sockets whose service has ended."""
    dead = places.leftovers(scene.place.data_root)
    if dead:
        yield warning(
            "service.sockets",
            f"Sockets of services that have ended were left behind: {len(dead)}. They are in "
            "nobody's way, and the next start clears them away.",
            f"rm {shlex.join(map(str, dead))}",
            *map(str, dead[:_SHOWN]),
        )
