"""How children end: stop and its grace, restarts, the shutdown of all."""

import asyncio
import time
from itertools import pairwise

import pytest

from codestore.keeper.backoff import FIRST, LONGEST, SETTLED, Backoff
from codestore.keeper.errors import KeeperError
from codestore.keeper.protocol.client import KeeperClient
from codestore.keeper.protocol.messages import Exited, Notify, Started
from tests.keeper.house import (
    PATIENCE,
    House,
    alive,
    child,
    event,
    frozen,
    gone,
    listed,
    script,
)

DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
WITH_HELPER = """
helper = os.fork()
if helper: say(f"READY=1\\nSTATUS={helper}")
while True: signal.pause()
"""


async def test_a_stopped_child_may_end_well(client: KeeperClient) -> None:
    async with client.events() as events:
        await client.spawn(child("a", restart=True, stop_signal="SIGINT"))
        assert await client.stop("a") is True
        ended = await event(events, Exited, "a")
    assert (ended.signal, ended.will_restart) == ("SIGINT", False)
    assert await client.stop("a") is False


async def test_only_the_leader_is_asked_but_nobody_stays(client: KeeperClient) -> None:
    code = """
import signal
helper = os.fork()
if not helper: signal.pause()
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
say(f"READY=1\\nSTATUS={helper}")
signal.sigwait({signal.SIGTERM})
say(f"STATUS={os.waitpid(-1, os.WNOHANG)}")
"""
    async with client.events() as events:
        await client.spawn(script("x", code))
        helper = int((await event(events, Notify, "x")).status)
        await client.stop("x")
        asked = await event(events, Notify, "x")
        assert asked.status == "(0, 0)"  # the helper had not ended when the leader was asked
        assert (await event(events, Exited, "x")).code == 0
    await gone(helper)


async def test_after_the_grace_the_whole_session_is_killed(client: KeeperClient) -> None:
    async with client.events() as events:
        await client.spawn(script("x", DEAF + WITH_HELPER))
        helper = int((await event(events, Notify, "x")).status)
        began = time.monotonic()
        await client.stop("x", grace=0.2)
        assert (await event(events, Exited, "x")).signal == "SIGKILL"
        assert 0.2 <= time.monotonic() - began < PATIENCE
    await gone(helper)


async def test_a_helper_in_a_group_of_its_own_is_killed_too(client: KeeperClient) -> None:
    code = "import signal; helper = os.fork(); helper or os.setpgid(0, 0)\n"
    say = "if not helper: say(f'READY=1\\nSTATUS={os.getpid()}')\nwhile True: signal.pause()"
    async with client.events() as events:
        await client.spawn(script("x", code + say))
        helper = int((await event(events, Notify, "x")).status)
        await client.stop("x", grace=0)
        await event(events, Exited, "x")
    await gone(helper)


async def test_who_outlives_its_leader_is_killed(client: KeeperClient) -> None:
    code = "import signal\nhelper = os.fork()\nif helper: say(f'READY=1\\nSTATUS={helper}')"
    async with client.events() as events:
        await client.spawn(script("x", code + "\nelse: signal.pause()"))
        helper = int((await event(events, Notify, "x")).status)
        assert (await event(events, Exited, "x")).code == 0
    await gone(helper)


async def test_stopping_again_may_bring_the_end_forward(client: KeeperClient) -> None:
    async with client.events() as events:
        await client.spawn(script("x", DEAF + WITH_HELPER))
        await event(events, Notify, "x")
        await client.stop("x", grace=60)
        await client.stop("x", grace=0)
        assert (await event(events, Exited, "x")).signal == "SIGKILL"


async def test_a_frozen_child_is_killed_after_its_grace(client: KeeperClient) -> None:
    async with client.events() as events:
        pid = await client.spawn(child("a"))
        await client.signal("a", "SIGSTOP")
        await frozen(pid)
        await client.stop("a", grace=0.1)
        assert (await event(events, Exited, "a")).signal == "SIGKILL"


@pytest.mark.parametrize("verb", ["stop", "signal"])
async def test_nobody_cannot_be_stopped(client: KeeperClient, verb: str) -> None:
    with pytest.raises(KeeperError) as refused:
        await (client.stop("nobody") if verb == "stop" else client.signal("nobody", "SIGTERM"))
    assert refused.value.code == "not-found"


async def test_a_child_is_started_again_with_growing_waits(client: KeeperClient) -> None:
    async with client.events() as events:
        await client.spawn(child("a", "sh", "-c", "exit 7", restart=True))
        ends, starts = [], []
        for _ in range(4):
            starts.append((await event(events, Started, "a")).child.started_at)
            ends.append(await event(events, Exited, "a"))
        assert await client.stop("a") is False
    # By the keeper's own clock: what it tells may reach us late. A life is short beside a wait.
    waits = [later - start for start, later in pairwise(starts)]
    shortest = [0.8 * FIRST * 2**number for number in range(3)]
    assert all(wait >= least for wait, least in zip(waits, shortest, strict=True))
    assert all((end.code, end.will_restart) == (7, True) for end in ends)
    view = await listed(client, "a")
    assert (view.restarts, view.running, view.will_restart) == (3, False, False)


def test_waits_double_to_the_longest_and_start_over_after_a_good_life() -> None:
    backoff = Backoff()
    for expected in (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, LONGEST, LONGEST):
        assert 0.8 * expected <= backoff.after(lived=0) <= expected
    assert backoff.after(lived=SETTLED) <= FIRST
    assert backoff.after(lived=0) <= 2 * FIRST
    assert backoff.after(lived=0) > 2 * FIRST
    assert backoff.after(lived=0, orderly=True) <= FIRST


async def test_a_child_at_rest_can_be_replaced(client: KeeperClient) -> None:
    async with client.events() as events:
        await client.spawn(child("a", "false", restart=True))
        await event(events, Exited, "a")
        pid = await client.spawn(child("a"))
        view = await listed(client, "a")
        assert (view.pid, view.running, view.restarts) == (pid, True, 0)


async def test_what_cannot_start_again_is_tried_again(house: House, client: KeeperClient) -> None:
    program = house.root / "program"
    program.symlink_to("/bin/false")
    async with client.events() as events:
        await client.spawn(child("a", str(program), restart=True))
        program.unlink()
        await event(events, Exited, "a")
        async with asyncio.timeout(PATIENCE):
            while (await listed(client, "a")).code != 127:
                await asyncio.sleep(0.01)
        program.symlink_to("/bin/sleep")
        await event(events, Started, "a")


async def test_control_comes_back_and_nobody_notices(own_house: House) -> None:
    client = await own_house.connect()
    await client.listen("blog")
    service = await client.spawn(child("service"))
    first = await listed(client, "control")
    async with client.events() as events:
        await client.signal("control", "SIGKILL")
        assert (await event(events, Exited, "control")).will_restart
        again = await event(events, Started, "control")
    assert again.pid != first.pid
    assert (await listed(client, "service")).pid == service
    assert [each.name for each in (await client.list()).sockets] == ["blog"]


async def test_shutdown_goes_by_order_and_leaves_nothing(own_house: House) -> None:
    client = await own_house.connect()
    path = await client.listen("blog")
    slow = "trap 'sleep 0.1; exit 0' TERM; while :; do sleep 0.01; done"
    for name, order in (("postgres", 3), ("envoy", 2), ("service", 0)):
        await client.spawn(child(name, "sh", "-c", slow, order=order, restart=True))
    async with client.events() as events:
        await client.shutdown(5)
        with pytest.raises(KeeperError) as refused:
            await client.spawn(child("late"))
        assert refused.value.code == "closing"
        ended = []
        with pytest.raises(KeeperError, match="closed the connection"):
            async for each in events:
                assert isinstance(each, Exited)
                ended.append(each.name)
    assert ended == ["control", "service", "envoy", "postgres"]
    assert await own_house.over() == 0
    left = sorted(str(each.relative_to(own_house.run)) for each in own_house.run.rglob("*"))
    assert left == ["cell", "keeper.lock", "n", "s"], path


async def test_shutdown_does_not_wait_for_the_deaf(own_house: House) -> None:
    client = await own_house.connect()
    async with client.events() as events:
        pid = await client.spawn(script("x", DEAF + WITH_HELPER))
        await event(events, Notify, "x")
    await client.shutdown(grace=0.1)
    assert await own_house.over() == 0
    assert not alive(pid)


async def test_shutdown_ends_daemons_that_left_their_session(own_house: House) -> None:
    client = await own_house.connect()
    code = """
told, tell = os.pipe()
if os.fork():
    say("READY=1\\nSTATUS=" + os.read(told, 20).decode())
    os.read(told, 1)
os.setsid()
if os.fork(): os._exit(0)
os.write(tell, str(os.getpid()).encode())
os.execvp("sleep", ["sleep", "1000"])
"""
    async with client.events() as events:
        await client.spawn(script("x", code))
        daemon = int((await event(events, Notify, "x")).status)
    assert alive(daemon)
    await client.shutdown(1)
    assert await own_house.over() == 0
    assert not alive(daemon)


async def test_sigterm_to_the_keeper_is_a_shutdown(own_house: House) -> None:
    client = await own_house.connect()
    pid = await client.spawn(child("a"))
    assert await own_house.end() == 0
    assert not alive(pid)


async def test_a_signal_that_ends_it_may_say_why(house: House, client: KeeperClient) -> None:
    async with client.events() as events:
        await client.spawn(child("x", log="x.log"))
        await client.signal("x", "SIGKILL", cause="it wrote too much")
        ended = await event(events, Exited, "x")
    assert (ended.signal, ended.cause) == ("SIGKILL", "it wrote too much")
    assert (await listed(client, "x")).cause == "it wrote too much"
    assert house.log("x.log") == [("platform", "F", "it wrote too much")]


async def test_files_of_a_child_are_bounded(house: House, client: KeeperClient) -> None:
    code = f"""
file = open("{house.root}/file", "wb", buffering=0)
print(file.write(bytes(3000)), flush=True)
try:
    file.write(b"x")
except OSError as refused:
    print(refused.strerror)
"""
    async with client.events() as events:
        await client.spawn(script("x", code, log="x.log", file_size=3000))
        await event(events, Exited, "x")
    assert [text for _, _, text in house.log("x.log")] == ["3000", "File too large"]
    (house.root / "file").unlink()
