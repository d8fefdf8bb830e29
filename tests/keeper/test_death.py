"""The keeper dies, and another one follows."""

import asyncio
import json
import subprocess
import sys

from codestore.keeper import processes
from codestore.keeper.protocol.messages import Exited, Notify
from tests.keeper.house import IDLE, House, alive, child, event, gone, listed, run, script

WITH_HELPER = """
import signal
helper = os.fork()
if helper: say(f"READY=1\\nSTATUS={helper}")
while True: signal.pause()
"""


async def test_when_the_keeper_is_killed_its_children_die(own_house: House) -> None:
    client = await own_house.connect()
    pids = [await client.spawn(child(f"a{number}")) for number in range(5)]
    pids.append((await listed(client, "control")).pid)
    await own_house.kill()
    for pid in pids:
        await gone(pid)


async def test_the_kernel_sends_the_death_signal_that_was_asked_for(own_house: House) -> None:
    client = await own_house.connect()
    marker = own_house.root / "told"
    code = f"""
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGUSR1}})
say("READY=1")
signal.sigwait({{signal.SIGUSR1}})
open({str(marker)!r}, "w")
"""
    async with client.events() as events:
        pid = await client.spawn(script("x", code, death_signal="SIGUSR1"))
        await event(events, Notify, "x")
    await own_house.kill()
    await gone(pid)
    assert marker.exists()


async def test_the_next_keeper_ends_what_the_kernel_did_not(own_house: House) -> None:
    client = await own_house.connect()
    path = await client.listen("blog")
    async with client.events() as events:
        leader = await client.spawn(script("x", WITH_HELPER))
        helper = int((await event(events, Notify, "x")).status)
    await own_house.kill()
    await gone(leader)
    assert alive(helper)
    client = await own_house.start()
    assert not alive(helper)
    assert (await client.list()).sockets == ()
    assert await client.listen("blog") == path
    await client.spawn(script("x", WITH_HELPER))


async def test_strangers_in_the_journal_are_left_alone(empty_house: House) -> None:
    stranger = subprocess.Popen(IDLE, start_new_session=True)
    try:
        client = await empty_house.start()
        await client.spawn(child("a"))
        await empty_house.kill()
        journal = empty_house.run / "children.json"
        boot, *_ = written = journal.read_text().splitlines(keepends=True)
        # The pid of somebody who started long ago.
        journal.write_text("".join([*written, _line({"pid": stranger.pid, "start": 1})]))
        await empty_house.start()
        assert alive(stranger.pid)

        await empty_house.kill()
        seen = processes.stat(stranger.pid)
        assert seen
        start = seen.start
        session = _line({"pid": stranger.pid, "start": start})
        journal.write_text(_line({"boot": "another"}) + session)
        await empty_house.start()
        assert alive(stranger.pid)

        await empty_house.kill()
        journal.write_text(boot + session + '{"gone": 1')  # the last line was cut short
        await empty_house.start()
        assert not alive(stranger.pid)
    finally:
        stranger.kill()
        stranger.wait()


async def test_a_torn_journal_does_not_stop_the_keeper(empty_house: House) -> None:
    empty_house.run.mkdir()
    boot = _line({"boot": processes.boot_id()})
    for text in ("", "{", "[]\n", '{"boot": 1}', f'{boot}{{"pid": "x"}}\n', f"{boot}[]\n"):
        (empty_house.run / "children.json").write_text(text)
        client = await empty_house.start()
        assert (await listed(client, "control")).running
        await empty_house.kill()


async def test_ended_children_leave_the_journal(own_house: House) -> None:
    client = await own_house.connect()
    journal = own_house.run / "children.json"
    control = (await listed(client, "control")).pid
    pid = await client.spawn(child("a"))
    assert _sessions(journal.read_text()) == {control, pid}
    async with client.events() as events:
        await client.stop("a", 0)
        await event(events, Exited, "a")
    assert _sessions(journal.read_text()) == {control}


async def test_a_second_keeper_is_refused(own_house: House) -> None:
    client = await own_house.connect()
    second = await asyncio.to_thread(subprocess.run, own_house.command(), capture_output=True)
    assert second.returncode == 75
    assert second.stderr.decode() == (
        f"codestore.keeper: another keeper is running in {own_house.run} [in-use]\n"
    )
    assert (await run(client, child("a", "true"))).code == 0


async def test_a_run_folder_too_deep_for_sockets_is_refused(empty_house: House) -> None:
    empty_house.run = empty_house.root / ("d" * 90)
    refused = await asyncio.to_thread(subprocess.run, empty_house.command(), capture_output=True)
    assert refused.returncode == 1
    assert b"a socket's path at most 107: use a shorter run folder" in refused.stderr
    assert not empty_house.run.exists()


async def test_a_control_process_that_cannot_be_started_is_told(empty_house: House) -> None:
    command = empty_house.command("/no/such/control")
    refused = await asyncio.to_thread(subprocess.run, command, capture_output=True)
    assert refused.returncode == 1
    assert b"/no/such/control: No such file or directory [exec]" in refused.stderr
    assert not (empty_house.run / "keeper.sock").exists()


async def test_a_control_process_that_gives_up_ends_everything(empty_house: House) -> None:
    """It says why on the keeper's own output, for whoever started it."""
    code = "from codestore.keeper.saying import say; from pathlib import Path; import sys; "
    code += f"say(Path({str(empty_house.run)!r}), status='cannot start: no disk'); sys.exit(78)"
    ended = await asyncio.create_subprocess_exec(
        *empty_house.command(sys.executable, "-c", code), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(ended.communicate(), 20)
    assert (output.decode(), ended.returncode) == ("codestore: cannot start: no disk\n", 1)


def _line(entry: dict[str, object]) -> str:
    return json.dumps(entry) + "\n"


def _sessions(journal: str) -> set[int]:
    found = set[int]()
    for entry in map(json.loads, journal.splitlines()[1:]):
        found = found - {entry["gone"]} if "gone" in entry else found | {entry["pid"]}
    return found
