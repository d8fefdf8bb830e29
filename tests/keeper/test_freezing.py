"""Freezing: only who is idle, and nobody who comes meanwhile is lost."""

import asyncio
import socket
from pathlib import Path

from codestore.keeper import processes
from codestore.keeper.bounds.groups import own_group
from codestore.keeper.protocol.client import KeeperClient
from codestore.keeper.protocol.events import EventStream
from codestore.keeper.protocol.messages import Frozen, Notify, Pending, Woken
from tests.keeper.house import PATIENCE, child, event, listed, script
from tests.keeper.test_sockets import knock
from tests.keeper.visits import ECHO, asleep, echoed


async def echoing(client: KeeperClient, events: EventStream) -> str:
    """Start the child ``echo`` at the socket ``blog``; return the path when it is ready."""
    path = await client.listen("blog")
    await client.spawn(script("echo", ECHO, sockets=(("http", "blog"),)))
    await event(events, Notify, "echo")
    return path


def runs(pid: int) -> bool:
    """Whether a process is neither stopped nor in a frozen control group."""
    seen = processes.stat(pid)
    group = Path(f"/proc/{pid}/cgroup").read_text().rpartition("0::")[2].strip()
    events = (own_group() or Path("/none")) / group.lstrip("/") / "cgroup.events"
    held = events.exists() and "frozen 1" in events.read_text()
    return seen is not None and seen.state != "T" and not held


async def test_who_is_idle_is_frozen_and_thawed_by_a_visitor(sleepers: KeeperClient) -> None:
    async with sleepers.events() as events:
        path = await echoing(sleepers, events)
        assert await echoed(path, b"before") == b"before"
        await asleep(sleepers, "echo", "blog")
        assert await event(events, Frozen, "echo") == Frozen("echo", frozen=True)
        view = await listed(sleepers, "echo")
        assert (view.frozen, view.running, runs(view.pid)) == (True, True, False)
        held = (await sleepers.list()).sockets[0]
        assert (held.watched, held.label) == (True, {"thaws": "echo"})

        assert await echoed(path, b"hello") == b"hello"
        assert await event(events, Frozen, "echo") == Frozen("echo", frozen=False)
        assert await event(events, Pending, "blog") == Pending("blog")
        woken = await event(events, Woken, "blog")
        assert (woken.child, woken.thawed, 0 <= woken.seconds < PATIENCE) == ("echo", True, True)
        view = await listed(sleepers, "echo")
        assert (view.frozen, runs(view.pid)) == (False, True)
        assert (await sleepers.list()).sockets[0].watched is False


async def test_freezing_and_thawing_may_be_repeated(sleepers: KeeperClient) -> None:
    async with sleepers.events() as events:
        path = await echoing(sleepers, events)
        asked = [sleepers.freeze("echo", "blog") for _ in range(3)]
        assert await asyncio.gather(*asked) == [True] * 3
        for _ in range(2):
            await sleepers.thaw("echo")
        assert (await sleepers.list()).sockets[0].watched is False
        assert await echoed(path, b"x") == b"x"
        told = [await event(events, Frozen, "echo") for _ in range(2)]
        assert [each.frozen for each in told] == [True, False]


async def test_who_has_a_connection_is_not_frozen(sleepers: KeeperClient) -> None:
    async with sleepers.events() as events:
        path = await echoing(sleepers, events)
        with knock(path) as visitor:
            assert await sleepers.freeze("echo", "blog") is False
            visitor.sendall(b"x")
            loop = asyncio.get_running_loop()
            assert await asyncio.to_thread(visitor.recv, 1) == b"x"  # accepted, and it runs
            assert await sleepers.freeze("echo", "blog") is False
            visitor.setblocking(False)
            await loop.sock_sendall(visitor, b"y")
            assert await loop.sock_recv(visitor, 1) == b"y"
        assert (await listed(sleepers, "echo")).frozen is False


async def test_a_half_closed_connection_is_one(sleepers: KeeperClient) -> None:
    code = """
import signal
visitor, _ = socket.socket(fileno=3).accept()
visitor.recv(1)
say("STATUS=heard the end")
signal.pause()
"""
    path = await sleepers.listen("blog")
    async with sleepers.events() as events:
        await sleepers.spawn(script("x", code, sockets=(("http", "blog"),)))
        with knock(path) as visitor:
            visitor.shutdown(socket.SHUT_WR)
            await event(events, Notify, "x")
            assert await sleepers.freeze("x", "blog") is False
        assert await sleepers.freeze("x", "blog") is False  # it has not closed its own half


async def test_who_waits_at_a_socket_that_nobody_accepts_from(sleepers: KeeperClient) -> None:
    path = await sleepers.listen("blog")
    await sleepers.spawn(child("deaf"))
    with knock(path):
        assert await sleepers.freeze("deaf", "blog") is False
    assert await sleepers.freeze("deaf", "blog") is False  # it has gone, and waits all the same


async def test_no_request_is_lost_between_falling_asleep_and_waking(
    sleepers: KeeperClient,
) -> None:
    async with sleepers.events() as events:
        path = await echoing(sleepers, events)

    frozen = asyncio.Event()

    async def freezing() -> None:
        while True:
            if await sleepers.freeze("echo", "blog"):
                frozen.set()

    async def visiting(number: int, alone: bool) -> None:
        for turn in range(50):
            if alone and turn % 3 == 0:  # else it comes while it is being looked at
                frozen.clear()
                await frozen.wait()
            text = f"{number} {turn}".encode()
            assert await echoed(path, text) == text
            await asyncio.sleep(0.001 * (turn % 3))  # now and then, nobody is there

    lullaby = asyncio.create_task(freezing())
    async with asyncio.timeout(100):
        for crowd in (1, 1, 6):
            await asyncio.gather(*(visiting(number, crowd == 1) for number in range(crowd)))
    lullaby.cancel()
    await asyncio.wait([lullaby])


async def test_helpers_are_frozen_with_their_leader(sleepers: KeeperClient) -> None:
    code = """
import signal
helper = os.fork()
if helper: say(f"READY=1\\nSTATUS={helper}")
while True: signal.pause()
"""
    await sleepers.listen("blog")
    async with sleepers.events() as events:
        leader = await sleepers.spawn(script("x", code))
        helper = int((await event(events, Notify, "x")).status)
        await asleep(sleepers, "x", "blog")
        assert (runs(leader), runs(helper)) == (False, False)
        await sleepers.thaw("x")
        assert (runs(leader), runs(helper)) == (True, True)


async def test_a_thawed_process_is_told_by_sigcont(sleepers: KeeperClient) -> None:
    code = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCONT})
say("READY=1")
signal.sigwait({signal.SIGCONT})
say("STATUS=awake")
signal.pause()
"""
    await sleepers.listen("blog")
    async with sleepers.events() as events:
        await sleepers.spawn(script("x", code))
        await event(events, Notify, "x")
        await asleep(sleepers, "x", "blog")
        await sleepers.thaw("x")
        assert (await event(events, Notify, "x")).status == "awake"


async def test_who_is_busy_is_not_even_stopped(sleepers: KeeperClient) -> None:
    code = "import signal; signal.signal(signal.SIGCONT, lambda *_: os._exit(1))"
    async with sleepers.events() as events:
        path = await sleepers.listen("blog")
        await sleepers.spawn(script("echo", code + ECHO, sockets=(("http", "blog"),)))
        await event(events, Notify, "echo")
        with knock(path) as visitor:
            visitor.setblocking(False)
            loop = asyncio.get_running_loop()
            for _ in range(20):
                await loop.sock_sendall(visitor, b"x")
                assert await loop.sock_recv(visitor, 1) == b"x"
                assert await sleepers.freeze("echo", "blog") is False
