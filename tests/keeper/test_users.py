"""Other users: children of a keeper that is root, and a keeper that is not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from codestore import keeper
from codestore.keeper.errors import KeeperError
from codestore.keeper.protocol.client import KeeperClient
from codestore.keeper.protocol.messages import Notify
from tests.keeper.house import House, alive, child, event, gone, run, script
from tests.keeper.visits import asleep

NOBODY = 65534
SERVES = """
socket.socket(fileno=3).getsockname()
groups = os.getresuid(), os.getresgid(), os.getgroups()
say(f"READY=1\\nSTATUS={groups}")
import signal
signal.pause()
"""
PYTHON = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
OLD = subprocess.run([PYTHON, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]).returncode
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@as_root
async def test_a_child_runs_as_another_user(client: KeeperClient) -> None:
    await client.listen("blog")
    spec = script(
        "x", SERVES, PYTHON, user=(NOBODY, NOBODY), sockets=(("http", "blog"),), log="x.log"
    )
    async with client.events() as events:
        await client.spawn(spec)
        ids = (NOBODY,) * 3
        assert (await event(events, Notify, "x")) == Notify("x", True, str((ids, ids, [])))


@as_root
async def test_another_user_dies_with_the_keeper_too(own_house: House) -> None:
    client = await own_house.connect()
    pid = await client.spawn(child("x", user=(NOBODY, NOBODY)))
    await own_house.kill()
    await gone(pid)


@as_root
async def test_another_user_sees_no_socket_by_its_path(house: House, client: KeeperClient) -> None:
    path = await client.listen("blog")
    paths = (path, str(house.run / "keeper.sock"))
    code = f"for path in {paths}: print(os.access(path, os.F_OK), os.access(path, os.W_OK))"
    await run(client, script("x", code, PYTHON, user=(NOBODY, NOBODY), log="x.log"))
    assert [text for _, _, text in house.log("x.log")] == ["False False", "True False"]


@as_root
async def test_a_user_who_could_never_tell_that_it_is_ready_is_refused(own_house: House) -> None:
    client = await own_house.connect()
    own_house.root.chmod(0o700)
    with pytest.raises(KeeperError) as refused:
        await client.spawn(child("x", user=(NOBODY, NOBODY)))
    assert refused.value.code == "exec"
    assert refused.value.message == (
        f"reaching {own_house.run}/n/notify.sock as user {NOBODY} (is a folder above closed?): "
        "Permission denied"
    )


@as_root
async def test_a_folder_of_somebody_else_is_refused(empty_house: House) -> None:
    empty_house.run.mkdir()
    os.chown(empty_house.run, NOBODY, NOBODY)
    refused = subprocess.run(empty_house.command(), capture_output=True)
    assert (refused.returncode, b"belongs to another user" in refused.stderr) == (1, True)


@as_root
@pytest.mark.skipif(bool(OLD), reason=f"{PYTHON} is too old")
async def test_an_ordinary_user_keeps_too(empty_house: House) -> None:
    # A copy: the interpreter and the sources of the tests may be out of nobody's reach.
    sources = Path(keeper.__file__).parent
    shutil.copytree(sources, empty_house.root / "codestore" / "keeper")
    os.chown(empty_house.root, NOBODY, NOBODY)
    command = [PYTHON, "-m", "codestore.keeper", *empty_house.arguments()]
    client = await empty_house.started(command, user=NOBODY, group=NOBODY, extra_groups=[])
    assert empty_house.run.stat().st_mode & 0o777 == 0o700
    await client.listen("blog")
    assert (await client.list()).freezer == "signal"
    async with client.events() as events:
        pid = await client.spawn(script("x", SERVES, PYTHON, sockets=(("http", "blog"),)))
        assert (await event(events, Notify, "x")).ready
        await asleep(client, "x", "blog")
        await client.thaw("x")
    with pytest.raises(KeeperError, match=r"becoming user 0, group 0: Operation not permitted"):
        await client.spawn(child("y", user=(0, 0)))
    await client.shutdown(1)
    await gone(pid)
    assert not alive(pid)
