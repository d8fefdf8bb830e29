"""What a child may use is bounded, from its first instruction on, and who wants more is named.

On this system's own control groups, where there are any to be written to.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from codestore.keeper.bounds.groups import own_group
from codestore.keeper.errors import KeeperError
from codestore.keeper.protocol.client import KeeperClient
from codestore.keeper.protocol.messages import Exited, Notify
from codestore.keeper.spawning.spares import STOCK
from codestore.keeper.spec import ChildSpec
from tests.keeper.house import (
    PATIENCE,
    QUICK_LOOKS,
    UNBOUNDED,
    House,
    alive,
    child,
    event,
    gone,
    listed,
    run,
    script,
)
from tests.keeper.test_forking import server, warmed
from tests.keeper.test_sockets import knock
from tests.keeper.visits import ECHO, asleep, echoed

MIB = 2**20
LIMIT = 48 * MIB
REASON = "out of memory (limit 48 MiB)"
KILLED = f"a process of it was killed: {REASON}"
TAKE = "taken = bytearray(150 * 2**20)\n"
ASIDE = f"""
import subprocess
helper = subprocess.run([sys.executable, "-I", "-S", "-c", {TAKE!r}])
print(helper.returncode, flush=True)
"""
"""A process of it wants more than there is."""
WHERE = 'print(open("/proc/self/cgroup").read().replace("\\n", " "), flush=True)\n'


def bounded(client_limits: tuple[str, ...], *kinds: str) -> None:
    """Skip unless these can be bounded here."""
    missing = set(kinds) - set(client_limits)
    if missing:
        pytest.skip(f"no control group of ours can bound {' and '.join(sorted(missing))} here")


@pytest.fixture
async def quick(empty_house: House) -> AsyncIterator[KeeperClient]:
    """A client of a keeper that can bound memory, and looks often."""
    command = [sys.executable, "-c", QUICK_LOOKS, *empty_house.arguments()]
    client = await empty_house.started(command)
    bounded((await client.list()).limits, "memory", "cpu")
    yield client


def roots(keeper: int) -> list[Path]:
    """The folders that a keeper has in all the hierarchies it may use."""
    found = {own_group(each) for each in (None, "memory", "cpu")} - {None}
    return [place for own in found if own and (place := own / f"codestore-{keeper}").exists()]


def bounds_of(keeper: int) -> set[Path]:
    return {folder for root in roots(keeper) for folder in root.glob("run-*")}


def hungry(name: str = "x", code: str = TAKE, **more: object) -> ChildSpec:
    return script(name, code, memory=LIMIT, log=f"{name}.log", **more)


async def test_who_wants_more_memory_than_there_is_ends_for_that_reason(
    quick: KeeperClient, empty_house: House
) -> None:
    ended = await run(quick, hungry())
    assert (ended.signal, ended.cause) == ("SIGKILL", REASON)
    assert (await listed(quick, "x")).cause == REASON
    log = empty_house.logs / "x.log"
    assert not log.exists() or "killed" not in log.read_text()
    ended = await run(quick, script("y", "taken = bytearray(10 * 2**20)", memory=LIMIT))
    assert (ended.code, ended.cause) == (0, "")


async def test_another_end_is_not_blamed_on_memory(quick: KeeperClient) -> None:
    async with quick.events() as events:
        for name in ("killed", "late"):
            await quick.spawn(child(name, memory=LIMIT, cpu=1.0))
        await quick.signal("killed", "SIGKILL")
        assert (await event(events, Exited, "killed")).cause == ""
        await quick.stop("late", 0)
        assert (await event(events, Exited, "late")).cause == ""


async def test_the_end_of_a_grace_is_not_blamed_on_memory(
    quick: KeeperClient, empty_house: House
) -> None:
    code = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + ASIDE
    async with quick.events() as events:
        await quick.spawn(hungry(code=code + "say('READY=1')\nwhile True: signal.pause()"))
        await event(events, Notify, "x")
        await quick.stop("x", 0)
        ended = await event(events, Exited, "x")
    assert (ended.signal, ended.cause) == ("SIGKILL", "")
    assert ("platform", "F", KILLED) in empty_house.log("x.log")


async def test_a_helper_that_is_killed_is_told_of_while_its_leader_goes_on(
    quick: KeeperClient, empty_house: House
) -> None:
    code = ASIDE + "say('READY=1')\nimport signal\nsignal.pause()"
    async with quick.events() as events:
        await quick.spawn(hungry(code=code))
        await event(events, Notify, "x")
        async with asyncio.timeout(PATIENCE):
            while KILLED not in (empty_house.logs / "x.log").read_text():
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)  # some more looks
        await quick.signal("x", "SIGKILL")
        assert (await event(events, Exited, "x")).cause == ""
    lines = empty_house.log("x.log")
    assert lines.count(("platform", "F", KILLED)) == 1
    assert ("stdout", "F", "-9") in lines


async def test_a_helper_that_is_killed_is_told_of_when_its_leader_ends(
    own_house: House,
) -> None:
    client = await own_house.connect()
    bounded((await client.list()).limits, "memory")
    ended = await run(client, hungry(code=ASIDE + "sys.exit(1)"))
    assert (ended.code, ended.cause) == (1, "")
    assert own_house.log("x.log") == [("stdout", "F", "-9"), ("platform", "F", KILLED)]


async def test_a_leader_that_is_killed_after_its_helper_ends_for_that_reason(
    quick: KeeperClient, empty_house: House
) -> None:
    code = ASIDE + "import time\ntime.sleep(0.5)\n" + TAKE
    ended = await run(quick, hungry(code=code))
    assert ended.cause == REASON


async def test_who_spins_gets_its_share_of_the_processor(quick: KeeperClient) -> None:
    code = """
import time
began = time.monotonic()
while time.monotonic() - began < 2: pass
say(f"STATUS={time.process_time() / (time.monotonic() - began):.3f}")
import signal
signal.pause()
"""
    async with quick.events() as events:
        await quick.spawn(script("x", code, cpu=0.25))
        share = float((await event(events, Notify, "x")).status)
    assert 0.02 < share < 0.4


async def test_it_is_inside_from_the_first_and_so_is_whom_it_starts(
    quick: KeeperClient, empty_house: House
) -> None:
    code = WHERE + f"import subprocess\nsubprocess.run([sys.executable, '-c', {WHERE!r}])"
    await run(quick, script("x", code, memory=LIMIT, cpu=1.0, log="x.log"))
    assert empty_house.keeper
    mine = f"codestore-{empty_house.keeper.pid}/run-"
    lines = [text for _, _, text in empty_house.log("x.log")]
    listing = await quick.list()
    hierarchies = 1 if listing.limiter == "cgroup v2" else len(listing.limits)
    assert [line.count(mine) for line in lines] == [hierarchies] * 2
    await run(quick, script("y", WHERE, log="y.log"))
    assert mine not in empty_house.log("y.log")[0][2]


async def test_whom_a_visitor_wakes_is_inside(quick: KeeperClient, empty_house: House) -> None:
    sockets = (("http", "blog"),)
    for _ in range(2):  # with a spare, and without one
        path = await quick.listen("blog")
        async with quick.events() as events:
            for name in ("a", "b"):
                spec = hungry(name, WHERE + ECHO, sockets=sockets)
                await quick.watch("blog", spec)
                assert await echoed(path, b"x") == b"x"
                assert await quick.stop(name, 0)
                await event(events, Exited, name)
                assert "/run-" in (empty_house.logs / f"{name}.log").read_text()
    async with quick.events() as events:
        await quick.watch("blog", hungry("x", TAKE, sockets=sockets))
        with knock(path):
            assert (await event(events, Exited, "x")).cause == REASON


async def test_whom_a_parent_forks_is_inside_though_that_knows_nothing_of_it(
    quick: KeeperClient, empty_house: House
) -> None:
    async with quick.events() as events:
        await warmed(quick, events, server())
        ended = await run(quick, hungry("x", WHERE + TAKE, parent="warm"))
        assert (ended.cause, (await listed(quick, "x")).forked) == (REASON, True)
        assert "/run-" in empty_house.log("x.log")[0][2]
        for before in ("os._exit(3)", "raise OSError", "os.kill(os.getpid(), 9)"):
            await quick.stop("warm", 0)
            await event(events, Exited, "warm")
            await warmed(quick, events, server(before=before))
            assert (await run(quick, hungry("y", parent="warm"))).cause == REASON


async def test_who_sleeps_and_wakes_is_bounded_as_before(quick: KeeperClient) -> None:
    greedy = ECHO.replace("visitor.sendall(data)", "visitor.sendall(data); bytearray(150 * 2**20)")
    path = await quick.listen("blog")
    async with quick.events() as events:
        await quick.spawn(hungry("x", greedy, sockets=(("http", "blog"),)))
        await event(events, Notify, "x")
        await asleep(quick, "x", "blog")
        assert await echoed(path, b"x") == b"x"
        assert (await event(events, Exited, "x")).cause == REASON


DAEMON = """
import subprocess
print(subprocess.Popen(["sleep", "1000"], start_new_session=True).pid, flush=True)
"""


async def test_no_folder_is_left(empty_house: House) -> None:
    client = await empty_house.start()
    bounded((await client.list()).limits, "memory")
    assert empty_house.keeper
    keeper = empty_house.keeper.pid
    for code in ("pass", "os._exit(1)", TAKE) * 2:
        await run(client, hungry("w", WHERE + code))
        group = empty_house.log("w.log")[-1][2].partition("/run-")[2].split()[0]
        assert not [each for each in bounds_of(keeper) if each.name == f"run-{group}"]
    for _ in range(10):
        with pytest.raises(KeeperError):
            await client.spawn(child("none", "/no/such/program", memory=LIMIT))
    assert len(bounds_of(keeper)) <= (STOCK + 1) * len(roots(keeper))  # the spares', and the next
    await run(client, hungry(code=DAEMON))
    await client.spawn(child("a", memory=LIMIT))
    assert await empty_house.end() == 0
    assert not roots(keeper)


async def test_what_a_killed_keeper_has_left_is_ended_by_the_next(empty_house: House) -> None:
    client = await empty_house.start()
    bounded((await client.list()).limits, "memory")
    assert empty_house.keeper
    keeper = empty_house.keeper.pid
    await run(client, hungry("d", DAEMON))
    daemon = int(empty_house.log("d.log")[0][2])
    await client.spawn(child("a", memory=LIMIT))
    assert bounds_of(keeper) and alive(daemon)
    await empty_house.kill()
    await empty_house.start()  # if no other keeper of this machine has done it before
    assert not roots(keeper)
    await gone(daemon)


async def test_what_is_left_of_a_run_goes_when_it_can(empty_house: House) -> None:
    client = await empty_house.start()
    bounded((await client.list()).limits, "memory")
    assert empty_house.keeper
    await run(client, hungry("d", WHERE + DAEMON))
    where, daemon = (text for _, _, text in empty_house.log("d.log"))
    group = "run-" + where.partition("/run-")[2].split()[0]
    left = {each for each in bounds_of(empty_house.keeper.pid) if each.name == group}
    assert left and alive(int(daemon))
    os.kill(int(daemon), signal.SIGKILL)
    await gone(int(daemon))
    async with asyncio.timeout(PATIENCE):
        while left & bounds_of(empty_house.keeper.pid):
            await run(client, hungry(code="pass"))


async def test_each_run_of_a_child_has_all_its_bounds(quick: KeeperClient) -> None:
    async with quick.events() as events:
        await quick.spawn(hungry(restart=True))
        for _ in range(3):
            assert (await event(events, Exited, "x")).cause == REASON
        await quick.stop("x", 0)


async def test_where_nothing_can_be_bounded_everything_runs(empty_house: House) -> None:
    command = [sys.executable, "-c", UNBOUNDED, *empty_house.arguments()]
    client = await empty_house.started(command)
    listing = await client.list()
    assert (listing.limiter, listing.limits) == ("none", ())
    assert (await run(client, hungry())).code == 0
    assert empty_house.keeper and not bounds_of(empty_house.keeper.pid)


async def test_a_keeper_says_what_it_can_bound(client: KeeperClient) -> None:
    listing = await client.list()
    assert (listing.limiter == "none") is (listing.limits == ())
    assert listing.limiter in ("none", "cgroup v1", "cgroup v2")
    assert set(listing.limits) <= {"memory", "cpu"}


async def test_many_together_weigh_as_much_as_they_would_one_by_one(
    quick: KeeperClient, empty_house: House
) -> None:
    assert empty_house.keeper
    places = [each for each in roots(empty_house.keeper.pid) if (each / "cpu.shares").exists()]
    if not places:
        pytest.skip("control groups of version 2 weigh as whoever started the platform says")
    for number in range(3):
        await quick.spawn(child(f"a{number}", memory=LIMIT, cpu=0.5))
    assert int((places[0] / "cpu.shares").read_text()) >= 3 * 1024
