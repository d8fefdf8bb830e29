"""How frozen children end, and who wins when several want something of one."""

import pytest

from codestore.keeper.errors import KeeperError
from codestore.keeper.protocol import codec
from codestore.keeper.protocol.client import KeeperClient
from codestore.keeper.protocol.messages import (
    Close,
    Exited,
    Freeze,
    Notify,
    Request,
    Stop,
    Thaw,
    Unwatch,
    Watch,
)
from tests.keeper.house import House, child, event, gone, listed, script
from tests.keeper.test_freezing import echoing, runs
from tests.keeper.visits import ECHO, asleep, echoed


async def test_a_frozen_child_may_end_well(sleepers: KeeperClient) -> None:
    code = """
import signal
signal.signal(signal.SIGTERM, lambda *_: os._exit(5))
say("READY=1")
while True: signal.pause()
"""
    await sleepers.listen("blog")
    async with sleepers.events() as events:
        await sleepers.spawn(script("x", code))
        await event(events, Notify, "x")
        with pytest.raises(KeeperError) as refused:
            await sleepers.stop("x", frozen=True)
        assert refused.value.code == "awake"
        await asleep(sleepers, "x", "blog")
        assert await sleepers.stop("x", 10, frozen=True) is True
        assert (await event(events, Exited, "x")).code == 5
    assert (await sleepers.list()).sockets[0].watched is False
    with pytest.raises(KeeperError) as refused:
        await sleepers.freeze("x", "blog")
    assert refused.value.code == "not-running"
    await sleepers.thaw("x")


async def test_a_frozen_child_may_be_killed(sleepers: KeeperClient) -> None:
    await sleepers.listen("blog")
    async with sleepers.events() as events:
        await sleepers.spawn(child("a"))
        await asleep(sleepers, "a", "blog")
        await sleepers.signal("a", "SIGKILL")
        assert (await event(events, Exited, "a")).signal == "SIGKILL"
    assert (await listed(sleepers, "a")).frozen is False
    assert (await sleepers.list()).sockets[0].watched is False


async def together(house: House, *requests: Request) -> None:
    """Make requests that the keeper begins in one turn; wait for their answers."""
    async with house.raw() as (reader, writer):
        writer.write(b"".join(codec.encode_request(7, each) for each in requests))
        for _ in requests:
            await reader.readline()


async def test_stopping_and_thawing_win_over_freezing(
    sleepers: KeeperClient, empty_house: House
) -> None:
    await sleepers.listen("blog")
    async with sleepers.events() as events:
        pid = await sleepers.spawn(child("a"))
        for _ in range(20):
            await together(empty_house, Freeze("a", "blog"), Freeze("a", "blog"), Thaw("a"))
            assert runs(pid)
        await together(empty_house, Freeze("a", "blog"), Stop("a", 60))
        assert (await event(events, Exited, "a")).signal == "SIGTERM"
    assert (await sleepers.list()).sockets[0].watched is False


async def test_no_watch_set_meanwhile_keeps_it_from_waking(
    sleepers: KeeperClient, empty_house: House
) -> None:
    freeze = Freeze("echo", "blog")
    async with sleepers.events() as events:
        path = await echoing(sleepers, events)
        for meanwhile in (Watch("blog"), Unwatch("blog")):
            await together(empty_house, freeze, meanwhile)
            assert await echoed(path, b"x") == b"x"
        await together(empty_house, freeze, freeze, Close("blog"))
        await sleepers.thaw("echo")
        await sleepers.listen("blog")
        await together(empty_house, freeze, freeze, Stop("echo", 60))
        assert (await event(events, Exited, "echo")).signal == "SIGTERM"


async def test_who_is_to_stop_does_not_fall_asleep(sleepers: KeeperClient) -> None:
    code = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {15}); say('READY=1')"
    await sleepers.listen("blog")
    async with sleepers.events() as events:
        await sleepers.spawn(script("x", code + "\nsignal.pause()"))
        await event(events, Notify, "x")
        await sleepers.stop("x", 60)
        assert await sleepers.freeze("x", "blog") is False
        await sleepers.signal("x", "SIGKILL")
        await event(events, Exited, "x")


async def test_two_may_sleep_at_one_socket(sleepers: KeeperClient) -> None:
    path = await sleepers.listen("blog")
    async with sleepers.events() as events:
        for name in ("one", "two"):
            await sleepers.spawn(script(name, ECHO, sockets=(("http", "blog"),)))
            await event(events, Notify, name)
        await asleep(sleepers, "one", "blog")
        await asleep(sleepers, "two", "blog")
        assert (await sleepers.list()).sockets[0].label == {"thaws": "one two"}
        await sleepers.signal("two", "SIGKILL")
        await event(events, Exited, "two")
        assert await echoed(path, b"x") == b"x"


async def test_when_the_keeper_is_killed_the_frozen_die_too(
    sleepers: KeeperClient, empty_house: House
) -> None:
    await sleepers.listen("blog")
    pids = [await sleepers.spawn(child(f"a{number}")) for number in range(3)]
    for number in range(3):
        await asleep(sleepers, f"a{number}", "blog")
    await empty_house.kill()
    for pid in pids:
        await gone(pid)
    client = await empty_house.start()
    assert [each.name for each in (await client.list()).children] == ["control"]


async def test_shutdown_ends_the_frozen_well(sleepers: KeeperClient, empty_house: House) -> None:
    await sleepers.listen("blog")
    await sleepers.spawn(child("a"))
    await asleep(sleepers, "a", "blog")
    async with sleepers.events() as events:
        await sleepers.shutdown(10)
        assert (await event(events, Exited, "a")).signal == "SIGTERM"
    assert await empty_house.over() == 0


@pytest.mark.parametrize("verb", ["freeze", "thaw"])
async def test_nobody_cannot_be_frozen(client: KeeperClient, verb: str) -> None:
    with pytest.raises(KeeperError) as refused:
        await (client.freeze("nobody", "blog") if verb == "freeze" else client.thaw("nobody"))
    assert refused.value.code == "not-found"
    await client.spawn(child("a"))
    with pytest.raises(KeeperError, match="no socket 'blog'"):
        await client.freeze("a", "blog")
