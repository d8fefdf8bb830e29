"""What must not happen between frozen, stopping and stopped; who is greeted; what is left."""

import asyncio
import socket as sockets

import pytest

from codestore.keeper.bounds.groups import own_group
from codestore.keeper.protocol.client import KeeperClient
from codestore.keeper.protocol.messages import Exited, Started, Woken
from tests.keeper.house import PATIENCE, event, listed, script
from tests.keeper.test_forwarding import forwarding, ready
from tests.keeper.test_sockets import knock
from tests.keeper.visits import ECHO, NOW, PORT_ECHO, asleep, echoed

GREETING = "woken in {ms}\n"
SLOW_TO_LEAVE = (
    "import signal, time; signal.signal(signal.SIGTERM, lambda *_: "
    "(listener.close(), say('STATUS=leaving'), time.sleep(60)))\n"
    + PORT_ECHO
    + "listener = listen(); echo(listener)"
)
FIVE = 5


async def test_nobody_is_forwarded_to_a_port_that_is_being_closed(client: KeeperClient) -> None:
    """Who comes while a frozen child is ending waits for the next one."""
    path = await forwarding(client, SLOW_TO_LEAVE)
    await asleep(client, "echo", "blog")
    async with client.events() as events:
        await client.stop("echo", 0.5, frozen=True)
        assert (await listed(client, "echo")).stopping
        visit = asyncio.create_task(echoed(path, b"hello"))
        await event(events, Exited, "echo")
        assert not visit.done()
        await client.watch("blog", script("echo", NOW, port=True))
        assert await visit == b"hello"


async def test_only_who_woke_it_is_greeted(client: KeeperClient) -> None:
    path = await client.listen("blog")
    spec = script("echo", NOW, port=True, greeting=GREETING)
    await client.watch("blog", spec)
    async with client.events() as events:
        first, greeting, rest = (await echoed(path, b"one\ntwo\n")).split(b"\n", 2)
        woken = await event(events, Woken, "blog")
    assert (first, rest) == (b"one", b"two\n")
    assert greeting.startswith(b"woken in ")
    assert abs(float(greeting.split()[-1]) - woken.seconds * 1000) < FIVE
    assert await echoed(path, b"one\ntwo\n") == b"one\ntwo\n"
    await asleep(client, "echo", "blog")
    assert b"woken in" in await echoed(path, b"one\n")


async def test_who_was_refused_has_woken_nobody(client: KeeperClient) -> None:
    path = await client.listen("blog")
    silent = script("echo", "import time; time.sleep(60)", sockets=(("http", "blog"),))
    await client.watch("blog", silent)
    async with client.events() as events:
        with knock(path):
            await event(events, Started, "echo")
            assert await client.refuse("blog", "no") == 1
        await client.stop("echo", 0)
        async for seen in events:
            assert not isinstance(seen, Woken)
            if isinstance(seen, Exited):
                break


async def test_a_frozen_child_has_a_shorter_queue(sleepers: KeeperClient) -> None:
    path = await sleepers.listen("blog", 100)
    async with sleepers.events() as events:
        await sleepers.spawn(script("echo", ECHO, sockets=(("http", "blog"),)))
        await ready(events, "echo")
        async with asyncio.timeout(PATIENCE):
            while not await sleepers.freeze("echo", "blog", queue=3):
                await asyncio.sleep(0.005)
        await sleepers.unwatch("blog")  # nobody is thawed: all have to wait
        waiting = [knock(path) for _ in range(4)]
        more = sockets.socket(sockets.AF_UNIX)
        more.setblocking(False)
        with pytest.raises(BlockingIOError):
            more.connect(path)
        await sleepers.thaw("echo")
        more.connect(path)
        for each in (*waiting, more):
            each.close()


async def test_no_folder_is_left_by_a_child_whose_helpers_end_later(
    sleepers: KeeperClient,
) -> None:
    own = own_group()
    if (await sleepers.list()).freezer != "cgroup" or own is None:
        pytest.skip("control groups cannot be used here")
    helper = "import subprocess, time; subprocess.Popen(['sleep', '60']); say('READY=1')\n"
    helper += "time.sleep(60)"
    pids = []
    for turn in range(3):
        async with sleepers.events() as events:
            await sleepers.listen("blog")
            spec = script(f"leader{turn}", helper, sockets=(("http", "blog"),))
            pids.append(pid := await sleepers.spawn(spec))
            await ready(events, f"leader{turn}")
            await asleep(sleepers, f"leader{turn}", "blog")
            assert list(own.glob(f"codestore-*/{pid}"))
            await sleepers.thaw(f"leader{turn}")
            await sleepers.stop(f"leader{turn}", 0)
            await event(events, Exited, f"leader{turn}")
    leaders = [str(pid) for pid in pids]
    async with asyncio.timeout(PATIENCE):  # those that were in use then go with the next one
        while any(folder.name in leaders for folder in own.glob("codestore-*/*")):
            async with sleepers.events() as events:
                await sleepers.spawn(script("next", "pass"))
                await event(events, Exited, "next")
