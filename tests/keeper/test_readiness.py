"""sd_notify: who is ready, and who may say so."""

import socket
import stat
import threading
import time
from pathlib import Path

from codestore.keeper.news import BURST, WINDOW
from codestore.keeper.protocol.client import KeeperClient
from codestore.keeper.protocol.messages import Exited, Notify
from codestore.keeper.rundir import RunDir
from codestore.keeper.saying import say
from tests.keeper.house import House, event, listed, run, script
from tests.support.datagrams import crowded

WAIT = "\nimport signal\nwhile True: signal.pause()"


async def test_a_child_tells_that_it_is_ready(client: KeeperClient) -> None:
    async with client.events() as events:
        await client.spawn(script("x", "say('STATUS=warming up'); say('READY=1')" + WAIT))
        assert await event(events, Notify, "x") == Notify("x", ready=False, status="warming up")
        assert await event(events, Notify, "x") == Notify("x", ready=True, status="warming up")
    view = await listed(client, "x")
    assert (view.ready, view.status) == (True, "warming up")


async def test_many_things_in_one_message(client: KeeperClient) -> None:
    code = "say('READY=1\\nSTATUS=a=b ☃\\nMAINPID=1\\nnonsense\\n')"
    async with client.events() as events:
        await client.spawn(script("x", code + WAIT))
        assert await event(events, Notify, "x") == Notify("x", ready=True, status="a=b ☃")


async def test_a_process_of_its_session_may_speak_for_it(client: KeeperClient) -> None:
    code = "if not os.fork() and not os.fork(): say('READY=1')" + WAIT
    async with client.events() as events:
        await client.spawn(script("x", code))
        assert (await event(events, Notify, "x")).ready


async def test_so_may_a_descendant_in_a_session_of_its_own(own_house: House) -> None:
    client = await own_house.connect()
    code = "if not os.fork(): os.setsid(); say('READY=1')" + WAIT
    async with client.events() as events:
        await client.spawn(script("x", code))
        assert (await event(events, Notify, "x")).ready


async def test_only_news_are_told(client: KeeperClient) -> None:
    code = "for text in ('READY=1', 'READY=1', 'X=1', 'STATUS=', 'STATUS=end'): say(text)"
    async with client.events() as events:
        await client.spawn(script("x", code + WAIT))
        assert await event(events, Notify, "x") == Notify("x", ready=True, status="")
        assert await event(events, Notify, "x") == Notify("x", ready=True, status="end")


async def test_a_flood_is_told_in_few_words(house: House, client: KeeperClient) -> None:
    code = "for n in range(3000): say(f'STATUS={n}')\nsay('READY=1')"
    began = time.monotonic()
    async with client.events() as events:
        await client.spawn(script("x", code))
        told: list[Notify] = []
        async for each in events:
            if isinstance(each, Notify):
                told.append(each)
            if isinstance(each, Exited):
                break
    assert told[-1] == Notify("x", ready=True, status="2999")
    windows = (time.monotonic() - began) / WINDOW + 1
    assert len(told) < min(3000, BURST * windows + 2)


async def test_strangers_are_ignored(house: House, client: KeeperClient) -> None:
    path = house.run / "n" / "notify.sock"
    async with client.events() as events:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
            for text in (b"READY=1", b"\xff\xfe", b"", b"STATUS=" + b"x" * 100_000):
                stranger.sendto(text, str(path))
        await client.spawn(script("x", "say('READY=1')" + WAIT))
        assert (await event(events, Notify, "x")).name == "x"


async def test_who_has_ended_is_not_ready(client: KeeperClient) -> None:
    await run(client, script("x", "say('READY=1\\nSTATUS=bye')"))
    view = await listed(client, "x")
    assert (view.ready, view.status) == (False, "bye")


async def test_a_new_run_is_not_ready_yet(client: KeeperClient) -> None:
    async with client.events() as events:
        await client.spawn(script("x", "say('READY=1')" + WAIT, restart=True))
        for _ in range(2):
            assert (await event(events, Notify, "x")).ready  # news again, so it was not ready
            await client.signal("x", "SIGKILL")
            await event(events, Exited, "x")


async def test_the_socket_is_closed_to_others_unless_they_are_served(house: House) -> None:
    socket_mode = stat.S_IMODE((house.run / "n" / "notify.sock").stat().st_mode)
    folder_mode = stat.S_IMODE(house.run.stat().st_mode)
    root = house.run.stat().st_uid == 0
    assert (socket_mode, folder_mode) == ((0o666, 0o711) if root else (0o600, 0o700))


def test_what_control_says_when_there_is_no_room_arrives_when_there_is(tmp_path: Path) -> None:
    place = RunDir(tmp_path).notify
    place.parent.mkdir()
    with crowded(place) as (heard, others):
        saying = threading.Thread(target=lambda: say(tmp_path, status="ready", ready=True))
        saying.start()
        saying.join(0.2)  # it waits; who does not has lost what it had to say by then
        said = [heard.recv(100) for _ in range(others + 1)]
        saying.join()
    assert said[-1] == b"STATUS=ready\nREADY=1"
