"""A connection starts the child that it is for; nobody else is needed."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from codestore.keeper import processes
from codestore.keeper.client import KeeperClient
from codestore.keeper.errors import KeeperError
from codestore.keeper.protocol import Exited, Notify, Pending, Started, Woken
from tests.keeper.house import PATIENCE, VIEW, House, child, event, gone, listed, script
from tests.keeper.test_sockets import knock
from tests.keeper.visits import ECHO, asleep, echoed

TELLS = 'say("STATUS=" + os.environ.get("WOKEN_AT", "never"))\n'
BLOG = (("http", "blog"),)


async def test_a_visitor_starts_a_child(client: KeeperClient) -> None:
    path = await client.listen("blog")
    await client.watch("blog", script("echo", TELLS + ECHO, sockets=BLOG), {"standby": "d1"})
    assert [each.name for each in (await client.list()).children] == ["control"]
    async with client.events() as events:
        before = time.time()
        assert await echoed(path, b"hello") == b"hello"
        answered = time.time()
        assert await event(events, Pending, "blog") == Pending("blog")
        started = await event(events, Started, "echo")
        assert started.child.pid == started.pid == (await listed(client, "echo")).pid
        assert before <= float((await event(events, Notify, "echo")).status) <= answered
        woken = await event(events, Woken, "blog")
        assert (woken.child, woken.thawed) == ("echo", False)
        assert 0 < woken.seconds <= time.time() - before
        assert await echoed(path, b"again") == b"again"
    assert (await client.list()).sockets[0].watched is False


async def test_only_the_first_run_was_woken(client: KeeperClient) -> None:
    path = await client.listen("blog")
    await client.watch("blog", script("x", TELLS, sockets=BLOG, restart=True))
    async with client.events() as events:
        with knock(path):
            assert (await event(events, Notify, "x")).status != "never"
            assert (await event(events, Notify, "x")).status == "never"


async def test_who_cannot_be_started_is_told_and_nothing_falls(client: KeeperClient) -> None:
    path = await client.listen("blog")
    async with client.events() as events:
        for spec in (child("x", "/no/such/program", label={"k": "v"}),):
            await client.watch("blog", spec)
            with knock(path):
                ended = await event(events, Exited, "x")
            assert ended == Exited("x", 0, 127, None, {"k": "v"}, will_restart=False)
        # What waits there still (its visitors have gone) starts the next one.
        await client.watch("blog", script("echo", ECHO, sockets=BLOG))
        assert await echoed(path, b"x") == b"x"


async def test_one_who_runs_already_is_thawed(client: KeeperClient) -> None:
    path = await client.listen("blog")
    spec = script("echo", ECHO, sockets=BLOG)
    async with client.events() as events:
        await client.spawn(spec)
        await event(events, Notify, "echo")
        await asleep(client, "echo", "blog")
        await client.watch("blog", spec)  # instead of the watch that thaws
        assert await echoed(path, b"x") == b"x"
        assert (await event(events, Woken, "blog")).thawed is True


async def test_many_wake_at_once(client: KeeperClient) -> None:
    names = [f"s{number}" for number in range(20)]
    paths = await asyncio.gather(*map(client.listen, names))
    for name in names:
        await client.watch(name, script(name, ECHO, sockets=(("http", name),)))
    texts = [name.encode() for name in names]
    assert await asyncio.gather(*map(echoed, paths, texts)) == texts


async def test_an_end_without_an_answer_is_no_wake(client: KeeperClient) -> None:
    path = await client.listen("blog")
    await client.watch("blog", child("x", "true", sockets=BLOG))
    async with client.events() as events:
        with knock(path):
            await event(events, Exited, "x")
            await client.watch("blog", script("echo", ECHO, sockets=BLOG))
            woken = await event(events, Woken, "blog")
    assert woken.child == "echo"


async def test_shutdown_with_watches_starts_nobody(own_house: House) -> None:
    client = await own_house.connect()
    path = await client.listen("blog")
    await client.watch("blog", child("x"))
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); say('READY=1')"
    async with client.events() as events:
        await client.spawn(script("slow", code + "\nwhile True: signal.pause()"))
        await event(events, Notify, "slow")
        await client.shutdown(60)  # so long as "slow" is there, so is the keeper
        with knock(path):
            assert (await event(events, Exited, "x")).code == 127
        await client.signal("slow", "SIGKILL")
    assert await own_house.over() == 0


async def test_an_unknown_socket_cannot_be_watched_for_a_child(client: KeeperClient) -> None:
    with pytest.raises(KeeperError, match="no socket 'nobody'"):
        await client.watch("nobody", child("x"))


async def spare_of(keeper: int, client: KeeperClient) -> int:
    """Wait for the spare, which is made some time after the last one was used.

    In a cell it is the second process, after the anchor; who makes the cell stays outside.
    """
    listing = await client.list()
    known = {each.pid for each in listing.children}
    outer, cells = depth(keeper), listing.walls == "cell"
    async with asyncio.timeout(PATIENCE):
        while True:
            found = [pid for pid in processes.children_of(keeper) if pid not in known]
            found = [pid for pid in found if b"keeper" in told_of(pid, "cmdline")]
            if len(found) == 1 and depth(found[0]) == outer + cells:
                return found[0]
            await asyncio.sleep(0.02)


def told_of(pid: int, file: str) -> bytes:
    """Return what the kernel tells of a process; nothing of one that is gone."""
    try:
        return Path(f"/proc/{pid}/{file}").read_bytes()
    except OSError:  # it has helped to make a cell
        return b""


def depth(pid: int) -> int:
    """Return in how many namespaces of processes it has a number."""
    numbers = told_of(pid, "status").partition(b"NSpid:")[2].partition(b"\n")[0]
    return len(numbers.split())


async def test_a_visitor_gets_the_process_that_was_forked_before(own_house: House) -> None:
    client = await own_house.connect()
    keeper = own_house.keeper
    assert keeper is not None
    path = await client.listen("blog")
    for turn in range(3):
        spare = await spare_of(keeper.pid, client)
        if turn == 1:
            os.kill(spare, signal.SIGKILL)  # then it goes without
            await gone(spare)
        async with client.events() as events:
            spec = script("x", ECHO, sockets=(("http", "blog"),), view=VIEW)
            await client.watch("blog", spec)
            assert await echoed(path, b"hello") == b"hello"
            started = await event(events, Started, "x")
            assert (started.pid == spare) is (turn != 1)
            assert processes.session_of(started.pid) == started.pid
            await client.stop("x", 0)
            await event(events, Exited, "x")
    spare = await spare_of(keeper.pid, client)
    await own_house.kill()
    await gone(spare)
