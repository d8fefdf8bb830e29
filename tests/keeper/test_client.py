"""The client: waiting, giving up, losing the keeper."""

import asyncio
import contextlib
import signal

import pytest

from codestore.keeper.errors import KeeperError
from codestore.keeper.protocol import codec
from codestore.keeper.protocol.client import KeeperClient
from codestore.keeper.protocol.messages import Started
from tests.keeper.house import House, child, listed


async def test_a_keeper_that_does_not_answer_is_given_up(own_house: House) -> None:
    assert own_house.keeper
    hasty = await own_house.connect(patience=0.5)
    own_house.keeper.send_signal(signal.SIGSTOP)
    for attempt in (hasty.list(), anext(hasty.events())):
        with pytest.raises(KeeperError) as late:
            await attempt
        assert (late.value.code, late.value.message) == ("timeout", "no answer within 0.5 s")
    own_house.keeper.send_signal(signal.SIGCONT)
    patient = await own_house.connect()
    await patient.listen("blog")
    # The late answer to the first question is not taken for the answer to the next one.
    listing = None
    while listing is None:
        with contextlib.suppress(KeeperError):  # half a second may be too short again
            listing = await hasty.list()
    assert [each.name for each in listing.sockets] == ["blog"]


async def test_nobody_there(empty_house: House) -> None:
    with pytest.raises(KeeperError) as refused:
        await empty_house.connect()
    assert refused.value.code == "disconnected"
    assert refused.value.message == (
        f"no keeper at {empty_house.run}/keeper.sock: No such file or directory"
    )


async def test_a_keeper_that_dies_is_noticed_by_everybody(own_house: House) -> None:
    assert own_house.keeper
    client = await own_house.connect()
    async with client.events() as events:
        own_house.keeper.send_signal(signal.SIGSTOP)
        asking = asyncio.create_task(client.list())
        listening = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        await own_house.kill()
        for waiting in (asking, listening, asyncio.ensure_future(client.list())):
            with pytest.raises(KeeperError) as lost:
                await waiting
            assert lost.value.code == "disconnected"


async def test_after_closing_nothing_can_be_asked(client: KeeperClient) -> None:
    await client.close()
    await client.close()
    with pytest.raises(KeeperError, match="the client was closed"):
        await client.list()


async def test_closing_answers_who_still_waits(own_house: House) -> None:
    assert own_house.keeper
    async with await own_house.connect() as client:
        own_house.keeper.send_signal(signal.SIGSTOP)
        asking = asyncio.create_task(client.list())
        await asyncio.sleep(0)
    with pytest.raises(KeeperError, match="the client was closed"):
        await asking


async def test_what_is_too_long_is_not_sent(client: KeeperClient) -> None:
    with pytest.raises(KeeperError) as refused:
        await client.spawn(child("a", env={"X": "x" * codec.MAX_LINE}))
    assert refused.value.code == "too-long"
    assert (await client.list()).children


async def test_an_event_stream_needs_no_block(client: KeeperClient) -> None:
    events = client.events()
    await events.__aenter__()
    pid = await client.spawn(child("a"))
    async for event in events:
        assert event == Started("a", pid, await listed(client, "a"))
        break
    await events.close()
    await events.close()


async def test_the_answers_of_many_askers_do_not_mix(client: KeeperClient) -> None:
    names = [f"s{number}" for number in range(300)]
    paths = await asyncio.gather(*map(client.listen, names))
    assert [path.rsplit("/", 1)[1] for path in paths] == names
