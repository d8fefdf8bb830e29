"""What freezing needs to know from the kernel, and what it leaves there."""

import os
import socket
import threading
from pathlib import Path

import pytest

from codestore.keeper.bounds.cgroups import CgroupGrip
from codestore.keeper.bounds.groups import own_group
from codestore.keeper.protocol.messages import Notify
from codestore.keeper.sockets import looking
from tests.keeper.house import House, child, event, gone, listed, run, script
from tests.keeper.test_sockets import knock
from tests.keeper.visits import ECHO, asleep


def frozen_in(root: Path) -> list[str]:
    """The folders of those that were frozen; those that are bounded may be beside them."""
    return [each.name for each in root.iterdir() if each.is_dir() and each.name.isdigit()]


async def test_no_folder_of_a_control_group_is_left(empty_house: House) -> None:
    client = await empty_house.start()
    if (await client.list()).freezer != "cgroup":
        pytest.skip("control groups are not ours to make here")
    own = own_group()
    assert own and empty_house.keeper
    folder = own / f"codestore-{empty_house.keeper.pid}"
    control = (await listed(client, "control")).pid
    await client.listen("blog")
    async with client.events() as events:
        pid = await client.spawn(script("echo", ECHO, sockets=(("http", "blog"),)))
        await event(events, Notify, "echo")
    assert not frozen_in(folder)
    await asleep(client, "echo", "blog")  # from its first freeze on
    assert (folder / str(pid) / "cgroup.procs").read_text().split() == [str(pid)]
    await run(client, child("a", "true"))
    assert frozen_in(folder) == [str(pid)]
    await empty_house.kill()
    await gone(control)
    await empty_house.start()  # if no other keeper of this machine has done it before
    assert not folder.exists()
    folder = own / f"codestore-{empty_house.keeper.pid}"
    assert await empty_house.end() == 0
    assert not folder.exists()


async def test_memory_is_reclaimed_until_the_thaw(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "memory.reclaim")
    grip = CgroupGrip(2**30, tmp_path, set())
    await grip.prepare()
    grip.settle()
    (reclaiming,) = (each for each in threading.enumerate() if each.name == "reclaim")
    with (tmp_path / "memory.reclaim").open() as asked:
        assert int(asked.read(8)) == 16 * 1024 * 1024
        grip.thaw()
        reclaiming.join(10)
    assert not reclaiming.is_alive()
    assert (tmp_path / "cgroup.freeze").read_text() == "0"


def test_the_kernel_lists_connections_by_path(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        assert not looking.is_visited([path])
        with knock(str(path)) as visitor:
            assert looking.is_visited([path])  # it waits
            accepted, _ = listener.accept()
            with accepted:
                visitor.shutdown(socket.SHUT_WR)
                assert looking.is_visited([path])
                visitor.close()
                assert looking.is_visited([path])
            assert not looking.is_visited([path])


def test_the_kernel_lists_calls_by_port() -> None:
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as listener:
            try:
                listener.bind((host, 0))
            except OSError:  # no IPv6 here
                continue
            listener.listen()
            port = listener.getsockname()[1]
            assert not looking.is_called(port)
            with socket.create_connection((host, port)):
                assert looking.is_called(port)
