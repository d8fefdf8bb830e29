"""A connection starts the child that it is for; nobody else is needed."""

import asyncio
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from codestore.keeper import processes
from codestore.keeper.errors import KeeperError
from codestore.keeper.protocol.client import KeeperClient
from codestore.keeper.protocol.messages import Exited, Notify, Pending, Started, Woken
from codestore.keeper.spawning.spares import KEPT, STOCK
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


async def stock_of(keeper: int, client: KeeperClient) -> set[int]:
    """Wait for the spares, which are made some time after the last one was used.

    In a cell each is the second process, after the anchor; who makes the cell stays outside.
    """
    listing = await client.list()
    known = {each.pid for each in listing.children}
    inside = depth(keeper) + (listing.walls == "cell")
    async with asyncio.timeout(PATIENCE):
        while True:
            found = {pid for pid in processes.children_of(keeper) if pid not in known}
            found = {pid for pid in found if b"keeper" in told_of(pid, "cmdline")}
            if len(found) == STOCK and all(depth(each) == inside for each in found):
                return found
            await asyncio.sleep(0.02)  # nobody is told when there is a spare


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


@pytest.fixture
async def keeper(own_house: House) -> int:
    assert own_house.keeper is not None
    return own_house.keeper.pid


async def woken(client: KeeperClient, name: str = "woken") -> int:
    """Have a visitor start an echo with a view; return its process."""
    path = await client.listen("blog")
    async with client.events() as events:
        await client.watch("blog", script(name, ECHO, sockets=BLOG, view=VIEW))
        assert await echoed(path, b"hello") == b"hello"
        started = await event(events, Started, name)
        await client.stop(name, 0)
        await event(events, Exited, name)
    return started.pid


async def test_a_visitor_gets_a_process_that_was_forked_before(
    own_house: House, keeper: int
) -> None:
    client = await own_house.connect()
    path = await client.listen("blog")
    stock = await stock_of(keeper, client)
    async with client.events() as events:
        await client.watch("blog", script("x", ECHO, sockets=BLOG, view=VIEW))
        assert await echoed(path, b"hello") == b"hello"
        started = await event(events, Started, "x")
    assert started.pid in stock
    assert processes.session_of(started.pid) == started.pid
    again = await stock_of(keeper, client)
    assert len(stock & again) == STOCK - 1
    await own_house.kill()
    for each in again:
        await gone(each)


@pytest.mark.parametrize("dead", [1, STOCK])
async def test_spares_that_have_died_are_passed_over(
    own_house: House, keeper: int, dead: int
) -> None:
    client = await own_house.connect()
    stock = await stock_of(keeper, client)
    killed = sorted(stock)[:dead]
    for each in killed:
        os.kill(each, signal.SIGKILL)
        await gone(each)
    assert (await woken(client) in stock - set(killed)) is (dead < STOCK)
    assert not await stock_of(keeper, client) & set(killed)


async def test_a_start_takes_a_spare_but_leaves_the_last_to_a_wake(
    own_house: House, keeper: int
) -> None:
    client = await celled(own_house)
    stock = await stock_of(keeper, client)
    # All at once: a while after the first, others are made.
    starts = (client.spawn(child(f"c{number}", view=VIEW)) for number in range(STOCK))
    plain = await asyncio.gather(*starts)
    assert sum(pid in stock for pid in plain) == STOCK - KEPT
    assert await woken(client) in stock - set(plain)
    assert not await stock_of(keeper, client) & stock


async def test_who_is_in_no_hurry_or_in_another_network_takes_no_spare(
    own_house: House, keeper: int
) -> None:
    client = await celled(own_house)
    stock = await stock_of(keeper, client)
    for spec in (
        child("bare"),
        child("build", view=replace(VIEW, hosts_network=True)),
        child("parent", view=VIEW, forks=True),
    ):
        assert await client.spawn(spec) not in stock
    assert await stock_of(keeper, client) == stock


async def test_a_spare_that_has_lost_its_network_is_passed_over(
    own_house: House, keeper: int
) -> None:
    client = await celled(own_house)
    if (await client.list()).exposed:
        pytest.skip("a cell has no network of its own here")
    stock = await stock_of(keeper, client)
    for each in processes.children_of(keeper):
        if b"pasta" in told_of(each, "cmdline"):
            os.kill(each, signal.SIGKILL)
            await gone(each)
    assert await woken(client) not in stock
    assert not await stock_of(keeper, client) & stock


async def celled(house: House) -> KeeperClient:
    """Connect to a keeper that can build cells."""
    client = await house.connect()
    if (await client.list()).walls != "cell":
        pytest.skip("there are no cells here")
    return client
