"""What a deployment writes is bounded: who takes more is ended, told why, and waits for room."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from codestore.domain.environments import MEBIBYTE, Resources
from codestore.domain.faults import Fault, FaultKind
from codestore.domain.instances import InstanceState, Workload
from codestore.drivers.process import disk, usage
from codestore.drivers.process.naming import parent_name, parent_of
from codestore.drivers.process.places import temporary_folder
from codestore.drivers.process.usage import measure
from codestore.keeper.walls.picking import CELL
from tests.drivers.stage import Stage, caller, deployment, opened, workload
from tests.keeper.house import House

LIMIT = 8 * MEBIBYTE
FULL = "disk limit: its files take"
WRITES = """
import os, sys, time
def fill(file, size):
    for _ in range(size):
        file.write(b"x" * 2**20)
    file.flush()
home, tmp = os.environ["HOME"], os.environ["TMPDIR"]
open(f"{home}/count", "ab").write(b"x")
"""
STAYS = "\nprint('done', flush=True)\ntime.sleep(1000)\n"
IN_SMALL_FILES = f"for n in range(8):\n    fill(open(f'{{PLACE}}/{{n}}', 'wb'), 2)\n{STAYS}"
PLACES = {"home": "{home}", "tmp": "{tmp}"}
DELETED = f"""
held = [open(f"{{home}}/{{n}}", "wb") for n in range(8)]
for file in held:
    os.unlink(file.name)
    fill(file, 2)
{STAYS}"""
BY_ANOTHER = f"""
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        held = [open(f"{{home}}/{{n}}", "wb") for n in range(8)]
        for file in held:
            os.unlink(file.name)
            fill(file, 2)
        time.sleep(1000)
    os._exit(0)
{STAYS}"""
DEEP = f"""
os.chdir(home)
for n in range(40):
    os.mkdir("d" * 200)
    os.chdir("d" * 200)
fill(open("x", "wb"), 1)
{STAYS}"""


@pytest.fixture(autouse=True)
async def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "PULSE", 0.02)
    monkeypatch.setattr(disk, "EVERY", 0.05)
    monkeypatch.setattr(disk, "_SLACK", 2 * MEBIBYTE)


@pytest.fixture
async def stage(house: House, quick: None) -> AsyncIterator[Stage]:
    async with opened(house) as found:
        yield found


def writer(id_: str, code: str) -> Workload:
    wanted = workload(
        id_,
        sys.executable,
        "-I",
        "-S",
        "-u",
        "-c",
        WRITES + code,
        resources=Resources(disk=LIMIT),
    )
    return replace(wanted, preload=False)


async def ended(stage: Stage, wanted: Workload) -> str:
    await stage.driver.start(wanted, 0)
    view = await stage.reach(wanted.deployment, InstanceState.ENDED)
    return str(view.instances[0].ending)


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
async def test_who_writes_too_much_is_ended_and_told_why(stage: Stage, place: str) -> None:
    code = IN_SMALL_FILES.replace("{PLACE}", place)
    wanted = writer(deployment(), code)
    assert (await ended(stage, wanted)).startswith(FULL)
    assert "may take 8 MiB" in await ended(stage, wanted)
    lines = await stage.logs.tail(wanted.deployment, 100)
    assert [line.stream for line in lines if line.text.startswith(FULL)] == ["platform"]
    async with stage.restarted() as other:
        view = await other.driver.observe(wanted.deployment)
        assert str(view.instances[0].ending).startswith(FULL)


async def test_what_was_deleted_and_is_open_counts(stage: Stage) -> None:
    assert (await ended(stage, writer(deployment(), DELETED))).startswith(FULL)


async def test_what_a_process_holds_that_hides_in_its_cell_counts(stage: Stage) -> None:
    if stage.host.walls != CELL:
        pytest.skip("there are no cells here")
    assert (await ended(stage, writer(deployment(), BY_ANOTHER))).startswith(FULL)


async def test_one_that_was_forked_is_ended_with_its_parent(stage: Stage) -> None:
    wanted = workload(id_ := deployment(), resources=Resources(disk=LIMIT))
    name = (await stage.serving(wanted)).instances[0].name
    await stage.asleep(id_, name)
    await stage.driver.standby.stop_frozen(wanted, name)
    children = stage.driver.children
    async with asyncio.timeout(20):
        while not children.preloads():
            await asyncio.sleep(0.02)  # what makes the next start quick comes when it can
    (parent,) = children.preloads()
    await children.until(parent.name, lambda held: bool(held and held.ready), 20)
    await stage.driver.standby.arm(wanted, 100)
    address = (await stage.driver.observe(id_)).endpoints[0].address
    async with caller(address) as web:
        await web.get("/")
        await stage.until(id_, lambda view: bool(view.instances))  # news may come after a wake
        with suppress(httpx.HTTPError):
            await web.get("/fill")
    view = await stage.reach(id_, InstanceState.ENDED)
    assert str(view.instances[0].ending).startswith(FULL)
    await children.until(parent.name, lambda held: bool(held and held.ending), 20)
    assert not await stage.driver.standby.parents.provide(wanted)


async def test_what_cannot_be_looked_at_is_not_taken_for_nothing(stage: Stage) -> None:
    told = await ended(stage, writer(deployment(), DEEP))
    assert told.startswith("disk limit: its folders are too deep to be looked at")


async def test_no_file_becomes_larger_than_the_limit(stage: Stage) -> None:
    code = """
try:
    file = open(f"{home}/big", "wb")
    file.seek(9 * 2**20)
    file.write(b"x")
    file.flush()
except OSError as refused:
    print(refused.strerror)
time.sleep(1000)
"""
    wanted = writer(deployment(), code)
    await stage.driver.start(wanted, 0)
    await stage.said(wanted.deployment, "File too large")
    (instance,) = (await stage.driver.observe(wanted.deployment)).instances
    assert instance.ending is None


async def test_who_stays_below_is_left_alone(stage: Stage) -> None:
    code = f"fill(open(f'{{home}}/1', 'wb'), 4)\nos.link(f'{{home}}/1', f'{{home}}/2')\n{STAYS}"
    wanted = writer(deployment(), code)
    await stage.driver.start(wanted, 0)
    await stage.said(wanted.deployment, "done")
    looks = [0]
    look = stage.driver.disk._look_at

    async def counted(*given: object) -> None:
        await look(*given)  # type: ignore[arg-type]
        looks[0] += 1

    stage.driver.disk._look_at = counted  # type: ignore[method-assign]
    async with asyncio.timeout(20):
        while looks[0] < 3:
            await asyncio.sleep(0.02)  # nobody hears that all is well
    (instance,) = (await stage.driver.observe(wanted.deployment)).instances
    assert instance.ending is None


async def test_it_is_not_started_before_there_is_room(stage: Stage) -> None:
    wanted = writer(deployment(), IN_SMALL_FILES.replace("{PLACE}", "{home}"))
    await ended(stage, wanted)
    await stage.driver.stop(wanted.deployment, f"{wanted.deployment}.1.0")
    home = stage.home(wanted.deployment)
    began = (home / "count").stat().st_size
    assert (await ended(stage, wanted)).startswith(FULL)
    await stage.driver.stop(wanted.deployment, f"{wanted.deployment}.1.0")
    assert not (await stage.driver.observe(wanted.deployment)).instances
    with pytest.raises(Fault, match="may take 8 MiB") as caught:
        await stage.driver.standby.arm(wanted, 10)
    assert (caught.value.letter.kind, caught.value.letter.code) == (FaultKind.FAILED, "disk_limit")
    assert (home / "count").stat().st_size == began
    for file in home.iterdir():
        file.unlink()
    quiet = writer(wanted.deployment, STAYS)
    await stage.driver.start(quiet, 0)
    await stage.said(wanted.deployment, "done")


async def test_what_is_temporary_makes_room_by_itself(stage: Stage) -> None:
    wanted = writer(deployment(), IN_SMALL_FILES.replace("{PLACE}", "{tmp}"))
    await ended(stage, wanted)
    await stage.driver.stop(wanted.deployment, f"{wanted.deployment}.1.0")
    await stage.driver.start(writer(wanted.deployment, STAYS), 0)
    assert not any(temporary_folder(stage.host, wanted.deployment).iterdir())


async def test_a_migration_that_writes_too_much_is_ended(stage: Stage) -> None:
    code = IN_SMALL_FILES.replace("{PLACE}", "{home}").replace("range(8)", "range(80)")
    result = await stage.tasks.run(writer(deployment(), code), "migrate", 60)
    assert not result.succeeded and result.ending.startswith(FULL)


async def test_a_migration_may_make_room(stage: Stage) -> None:
    wanted = writer(deployment(), IN_SMALL_FILES.replace("{PLACE}", "{home}"))
    await ended(stage, wanted)
    await stage.driver.stop(wanted.deployment, f"{wanted.deployment}.1.0")
    cleans = """
time.sleep(0.5)
for name in os.listdir(home):
    os.unlink(f"{home}/{name}")
"""
    result = await stage.tasks.run(writer(wanted.deployment, cleans), "migrate", 60)
    assert result.succeeded, result
    await stage.driver.start(writer(wanted.deployment, STAYS), 0)
    await stage.said(wanted.deployment, "done")


@pytest.mark.parametrize("lost", [(disk.LOSS + 1, 0), (0, disk.LOSS_OF_FILES + 1)])
async def test_a_disk_that_loses_much_has_all_looked_at_at_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, lost: tuple[int, int]
) -> None:
    monkeypatch.setattr(disk, "EVERY", 1000.0)
    wanted = writer(deployment(), STAYS)
    free = [(100 * 2**30, 10**6)]
    monkeypatch.setattr(disk, "_free", lambda place: free[0])
    looked = asyncio.Event()
    look = stage.driver.disk._look_at

    async def told(*given: object) -> None:
        await look(*given)  # type: ignore[arg-type]
        looked.set()

    stage.driver.disk._look_at = told  # type: ignore[method-assign]
    await stage.driver.start(wanted, 0)
    async with asyncio.timeout(20):
        await looked.wait()  # whoever has just begun is looked at
        looked.clear()
        free[0] = free[0][0] - lost[0], free[0][1] - lost[1]
        await looked.wait()


def test_files_are_counted_as_they_are_stored(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(b"x" * MEBIBYTE)
    os.link(tmp_path / "a" / "b" / "file", tmp_path / "a" / "again")
    (tmp_path / "out").symlink_to("/")
    with (tmp_path / "holes").open("wb") as file:
        file.truncate(1 << 40)
    found = measure([tmp_path], 1 << 50)
    assert MEBIBYTE <= found.size < 1.2 * MEBIBYTE and found.files == 6
    assert found.excess(1 << 50) == "" and "1 MiB" in found.excess(1000)
    assert measure([tmp_path / "nowhere"], 1).excess(1) == ""


def test_too_many_files_are_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        (tmp_path / str(number)).touch()
    monkeypatch.setattr(usage, "MOST_FILES", 19)
    assert measure([tmp_path], 1 << 50).excess(1 << 50) == "it has more than 19 files"


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed for root")
def test_a_closed_folder_is_a_reason_in_itself(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    assert "cannot be looked at" in measure([tmp_path], 1 << 50).excess(1 << 50)
    (tmp_path / "closed").chmod(0o700)


def test_a_parent_is_its_deployments() -> None:
    assert parent_of(parent_name("dep-1", "x.y")) == "dep-1"
