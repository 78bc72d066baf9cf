"""Where control sockets are: private whatever the umask, found, cleared, and never another's."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sockets import Office, run
from world import World

from background_agents.adapters.system.processes import process_name
from background_agents.client.connection import Connection, all_of
from background_agents.control import places
from background_agents.domain.errors import NotServed

DEAD = "1-1.sock"
"""Process 1 lives, and began at another moment."""


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_folder_and_socket_are_private_under_any_umask(world: World, tmp_path: Path) -> None:
    with umask(0):
        async with Office.open(world, tmp_path) as office:
            assert stat.S_ISSOCK(office.path.stat().st_mode)
            assert (mode(office.path.parent), mode(office.path)) == (0o700, 0o600)
            assert (await office.call(Connection.about)).pid == 1


async def test_it_goes_with_its_service(world: World, tmp_path: Path) -> None:
    async with Office.open(world, tmp_path) as office:
        assert places.living(tmp_path) == [office.path]
    assert not office.path.exists()
    with pytest.raises(NotServed):
        Connection.at(office.path)


async def test_leftovers_are_cleared_and_the_living_stay(world: World, tmp_path: Path) -> None:
    """A sleeping process has a socket too, and a file that is no socket is nobody's."""
    folder = places.folder(tmp_path)
    folder.mkdir(mode=0o700)
    sleeper = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "input()"), stdin=asyncio.subprocess.PIPE
    )
    try:
        alive = places.path_of(tmp_path, process_name(sleeper.pid))
        for path in (alive, folder / DEAD):
            with socket.socket(socket.AF_UNIX) as one:
                one.bind(str(path))
        (folder / "notes.txt").touch()
        async with Office.open(world, tmp_path) as office:
            assert set(folder.iterdir()) == {alive, office.path, folder / "notes.txt"}
            # Nobody answers at the sleeper's, which hides no other.
            found = list(all_of(tmp_path))
            assert len(found) == 1
            found[0].close()
    finally:
        await sleeper.communicate(b"\n")


async def test_a_socket_that_vanishes_meanwhile_is_no_error(tmp_path: Path) -> None:
    folder = places.folder(tmp_path)
    folder.mkdir()
    (folder / f"{process_name().replace(':', '-')}.sock").symlink_to(tmp_path / "gone")
    assert places.living(tmp_path) == []
    assert list(all_of(tmp_path)) == []


def test_without_a_folder_there_is_none(tmp_path: Path) -> None:
    assert places.living(tmp_path / "nowhere") == places.leftovers(tmp_path / "nowhere") == []


@pytest.mark.skipif(sys.platform != "linux", reason="there a socket's path is bounded for good")
async def test_a_data_folder_with_a_very_long_path(world: World, tmp_path: Path) -> None:
    """A socket's address holds 108 bytes; folders may be deeper."""
    deep = tmp_path.joinpath(*["a-folder-with-a-long-name-äöü"] * 5)
    deep.mkdir(parents=True)
    async with Office.open(world, deep) as office:
        assert len(os.fsencode(office.path)) > 108
        assert (await office.call(Connection.about)).pid == 1
        found = list(all_of(deep))
        assert len(found) == 1
        found[0].close()
    assert not office.path.exists()


async def test_a_place_where_none_can_be_made_leaves_the_service_alone(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What a model asks for must not depend on what people may want."""
    (tmp_path / places.FOLDER).write_text("in the way")
    async with Office.open(world, tmp_path):
        delegation = await world.delegate((await world.service()), {"say": "Done."})
        await world.ended(delegation)
    assert "no control socket at" in caplog.text


STRANGER = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
with socket.socket(socket.AF_UNIX) as one:
    one.settimeout(10)
    one.connect(sys.argv[1])
    try:
        one.sendall(b'{"jsonrpc":"2.0","id":1,"method":"about","params":{}}\\n')
        print(len(one.recv(1000)))
    except ConnectionError:
        print(0)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else to try it")
async def test_another_user_is_turned_away(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Even where rights would let them in, as on a system that ignores those of sockets."""
    root = Path(tempfile.mkdtemp())
    try:
        async with Office.open(world, root) as office:
            for folder in (root, office.path.parent):
                folder.chmod(0o755)
            office.path.chmod(0o666)
            stranger = await run(sys.executable, "-I", "-c", STRANGER, str(office.path))
            assert stranger == "0\n"
            assert "another user's process was turned away" in caplog.text
            assert (await office.call(Connection.about)).pid == 1
    finally:
        shutil.rmtree(root)
