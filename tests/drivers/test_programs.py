"""Programs of a build: in a cell of their own, as nobody who has anything, gone when not wanted."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from codestore.drivers.process.places import Host
from codestore.drivers.process.programs import BUILDER, ProcessPrograms
from codestore.keeper.protocol.client import KeeperClient
from codestore.keeper.walls.picking import CELL
from codestore.ports.programs import Program
from tests.keeper.house import PATIENCE, House, alive, gone

SEES = (sys.prefix, sys.base_prefix)
PROBES = """
import json, os, sys
def attempt(what):
    try:
        return str(what())
    except OSError as refused:
        return refused.strerror
secret, shared, own = sys.argv[1:]
print(json.dumps({
    "user": os.getuid(),
    "secret": attempt(lambda: open(secret).read()),
    "shared": attempt(lambda: open(shared).read()),
    "change": attempt(lambda: open(shared, "a").write("x")),
    "own": attempt(lambda: open(own, "w").write("x")),
    "processes": sum(name.isdigit() for name in os.listdir("/proc")) < 5,
    "variables": sorted(set(os.environ) - {"NOTIFY_SOCKET", "LC_CTYPE"}),
}), file=sys.stderr)
sys.exit(3)
"""
HANGS = "import os, time; os.fork(); print(os.getpid(), file=sys.stderr); time.sleep(1000)"


@pytest.fixture
async def programs(house: House) -> AsyncIterator[ProcessPrograms]:
    async with await KeeperClient.connect(house.run / "keeper.sock") as keeper:
        yield ProcessPrograms(keeper, house.run / "keeper.sock", await host(keeper), house.logs)


async def host(keeper: KeeperClient) -> Host:
    return Host(Path("/"), Path("/"), "", (await keeper.list()).walls)


@pytest.fixture
def place(house: House, programs: ProcessPrograms) -> Path:
    """A folder that is the builder's."""
    place = house.root / "place"
    place.mkdir(exist_ok=True)
    if programs.user:
        os.chown(place, *programs.user)
    return place


def script(place: Path, code: str, *arguments: str, timeout: float = PATIENCE) -> Program:
    words = (sys.executable, "-I", "-S", "-c", f"import sys\n{code}", *arguments)
    return Program(words, str(place), {}, timeout, SEES, (str(place),))


async def test_nothing_else_is_there(house: House, programs: ProcessPrograms, place: Path) -> None:
    if (await walls(house)) != CELL:
        pytest.skip("there are no cells here")
    secret, shared = house.root / "secret", house.root / "shared"
    for path in (secret, shared):
        path.write_text("x")
        path.chmod(0o666)
    probe = script(place, PROBES, str(secret), str(shared), str(place / "own"))
    probe = Program(probe.words, probe.folder, {}, 30.0, (*SEES, str(shared)), probe.writes)
    ended = await programs.run(probe)
    assert ended.code == 3, ended.output
    assert json.loads(ended.output) == {
        "user": BUILDER if os.geteuid() == 0 else os.geteuid(),
        "secret": "No such file or directory",
        "shared": "x",
        "change": "Read-only file system",
        "own": "1",
        "processes": True,
        "variables": [],
    }
    await nothing_is_left(house)


async def test_the_last_that_it_said_is_told_without_secrets(
    house: House, programs: ProcessPrograms, place: Path
) -> None:
    code = "import os\nfor n in range(500): print(n, os.environ['TOKEN'], file=sys.stderr)"
    loud = script(place, code)
    environment = {"TOKEN": "hunter2hunter2"}
    loud = Program(loud.words, loud.folder, environment, 30.0, SEES, loud.writes, ("TOKEN",))
    ended = await programs.run(loud)
    assert (ended.code, ended.output.splitlines()[-1]) == (0, "499 [hidden]")
    assert "hunter2" not in ended.output
    await nothing_is_left(house)


async def test_out_of_time_all_of_it_is_killed(
    house: House, programs: ProcessPrograms, place: Path
) -> None:
    with pytest.raises(TimeoutError):
        await programs.run(script(place, HANGS, timeout=1.0))
    await nothing_is_left(house)


async def test_cancelled_all_of_it_is_killed(
    house: House, programs: ProcessPrograms, place: Path
) -> None:
    running = asyncio.create_task(programs.run(script(place, HANGS)))
    said = await said_by(house)
    pids = house.inhabitants()
    assert len(said) == 2
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await nothing_is_left(house)
    assert len(house.inhabitants()) < len(pids)


async def test_cancelled_while_it_is_being_started_nothing_is_left(
    house: House, programs: ProcessPrograms, place: Path
) -> None:
    for steps in range(12):
        running = asyncio.create_task(programs.run(script(place, HANGS)))
        for _ in range(steps):
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await nothing_is_left(house)


async def test_what_an_earlier_process_began_is_ended(
    house: House, programs: ProcessPrograms, place: Path
) -> None:
    running = asyncio.create_task(programs.run(script(place, HANGS)))
    await said_by(house)
    async with await KeeperClient.connect(house.run / "keeper.sock") as keeper:
        later = ProcessPrograms(keeper, house.run / "keeper.sock", await host(keeper), house.logs)
        await later.end_leftovers()
        assert {each.name for each in (await keeper.list()).children} == {"control"}
    assert (await running).code != 0
    await nothing_is_left(house)


async def test_it_dies_with_the_keeper(own_house: House, tmp_path: Path) -> None:
    own_house.root.chmod(0o755)
    async with await KeeperClient.connect(own_house.run / "keeper.sock") as keeper:
        place = own_house.root / "place"
        place.mkdir()
        socket = own_house.run / "keeper.sock"
        programs = ProcessPrograms(keeper, socket, await host(keeper), own_house.logs)
        running = asyncio.create_task(programs.run(script(place, HANGS)))
        await said_by(own_house)
        pids = own_house.inhabitants()
        await own_house.kill()
        with pytest.raises(Exception, match="The host did not answer"):
            await running
        for pid in pids:
            await gone(pid)
        assert not [pid for pid in pids if alive(pid)]


async def walls(house: House) -> str:
    async with await KeeperClient.connect(house.run / "keeper.sock") as keeper:
        return (await keeper.list()).walls


async def said_by(house: House) -> list[str]:
    """Both of those who hang have said who they are."""
    async with asyncio.timeout(PATIENCE):
        while True:
            for log in house.logs.glob("build-*.log"):
                with suppress(FileNotFoundError):
                    if len(lines := log.read_text().splitlines()) == 2:
                        return lines
            await asyncio.sleep(0.01)  # nobody announces a line in a file


async def nothing_is_left(house: House) -> None:
    async with await KeeperClient.connect(house.run / "keeper.sock") as keeper:
        children = (await keeper.list()).children
    assert {each.name for each in children} == {"control"}
    house.expect_only(*(each.pid for each in children))
    assert not list(house.logs.glob("build-*"))
