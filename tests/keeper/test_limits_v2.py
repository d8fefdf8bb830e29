"""Bounds by control groups of version 2: what is written, on a tree of files that look like one.

And who is where, on this system's own tree where it may be written to: groups without a controller
hold processes just as well.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from codestore.keeper.bounds import groups, limits
from codestore.keeper.bounds.limiting import CPU, MEMORY
from codestore.keeper.bounds.limits import V1, V2, GroupBounds, GroupLimiter
from codestore.keeper.protocol.messages import Exited, Notify
from codestore.keeper.rundir import RunDir
from tests.keeper.house import PATIENCE, VIEW, House, event, script
from tests.keeper.test_freezing import runs
from tests.keeper.test_sockets import knock
from tests.keeper.visits import ECHO, asleep, echoed

MIB = 2**20
# They take a controller from the same group above, and give it back.
_ONE_BY_ONE = pytest.mark.xdist_group("controllers")


def files(folder: Path, **contents: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in contents.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def one(folder: Path) -> GroupBounds:
    return GroupBounds(V2, {MEMORY: folder, CPU: folder}, set())


def test_memory_and_processor_are_bounded(tmp_path: Path) -> None:
    names = ("memory.max", "memory.swap.max", "memory.oom.group", "cpu.max")
    folder = files(tmp_path / "run-1", **dict.fromkeys(names, ""))
    bounds = one(folder)
    bounds.limit(512 * MIB, 1.5)
    written = [(folder / name).read_text() for name in names]
    assert written == ["536870912", "0", "1", "150000 100000"]
    assert bounds.folder == folder
    assert bounds.enter == (str(folder / "cgroup.procs"),)
    bounds.limit(None, 0.001)
    assert (folder / "memory.max").read_text() == "536870912"
    assert (folder / "cpu.max").read_text().startswith("1000 100000")  # the kernel's minimum


def test_what_a_kernel_does_not_have_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = files(tmp_path / "run-1", memory__max="")
    one(folder).limit(64 * MIB, None)
    assert (folder / "memory.max").read_text() == "67108864"
    assert [each.name for each in folder.iterdir()] == ["memory.max"]
    assert not caplog.records
    one(folder).limit(None, 1.0)
    assert "a bound is not set" in caplog.text  # this one was to be


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("oom 0\noom_kill 0", "oom 1\noom_kill 1", "out of memory (limit 64 MiB)"),
        ("oom 0\noom_kill 0", "oom 0\noom_kill 1", "out of memory (the host had none left)"),
        ("oom 0\noom_kill 0", "oom 3\noom_kill 0", ""),
        ("oom 0", "oom 0", ""),
        ("", "garbage\noom_kill many", ""),
    ],
)
def test_whom_the_kernel_ends_is_noticed_once(
    tmp_path: Path, before: str, after: str, told: str
) -> None:
    folder = files(tmp_path / "run-1", memory__max="", memory__events=before)
    bounds = one(folder)
    bounds.limit(64 * MIB, None)
    assert bounds.shortage() == ""
    (folder / "memory.events").write_text(f"low 0\nhigh 0\nmax 7\n{after}\noom_group_kill 1\n")
    assert bounds.shortage() == told
    assert bounds.shortage() == ""
    (folder / "memory.events").unlink()
    assert bounds.shortage() == ""


def test_a_run_without_a_bound_of_memory_was_ended_by_the_host(tmp_path: Path) -> None:
    folder = files(tmp_path / "run-1", memory__events="oom 0\noom_kill 1")
    assert one(folder).shortage() == "out of memory (the host had none left)"


async def test_folders_are_made_and_removed(tmp_path: Path) -> None:
    limiter = GroupLimiter(V2, {MEMORY: tmp_path, CPU: tmp_path})
    first, second = limiter.spare(), limiter.spare()
    assert first and second
    assert sorted(each.name for each in tmp_path.iterdir()) == ["run-1", "run-2"]
    (tmp_path / "run-1" / "busy").mkdir()
    first.release()
    second.release()
    second.release()
    assert [each.name for each in tmp_path.iterdir()] == ["run-1"]
    (tmp_path / "run-1" / "busy").rmdir()
    third = limiter.spare()
    assert third
    assert await third.admit(2**30) is False  # it has ended
    third.release()
    assert not list(tmp_path.iterdir())
    limiter.close()
    assert not tmp_path.exists()
    assert limiter.spare() is None


async def test_the_next_runs_folders_are_made_in_advance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REFILL", 0)

    async def there() -> list[str]:
        await asyncio.sleep(0.01)
        return sorted(each.name for each in tmp_path.iterdir())

    limiter = GroupLimiter(V2, {MEMORY: tmp_path, CPU: tmp_path})
    first = limiter.bounds(MIB, 1.0)
    assert first and first.folder == tmp_path / "run-1"
    assert await there() == ["run-1", "run-2"]
    same = limiter.bounds(MIB, 1.0)
    assert same and same.folder == tmp_path / "run-2"
    assert await there() == ["run-1", "run-2", "run-3"]
    other = limiter.bounds(2 * MIB, 1.0)  # what is set there is not for this one
    assert other and other.folder == tmp_path / "run-4"
    assert await there() == ["run-1", "run-2", "run-4", "run-5"]
    again = limiter.bounds(2 * MIB, 1.0)
    assert again and again.folder == tmp_path / "run-5"
    limiter.close()
    assert not tmp_path.exists()


def test_version_1_has_a_folder_for_each(tmp_path: Path) -> None:
    memory, cpu = tmp_path / "memory", tmp_path / "cpu"
    for each in (memory, cpu):
        each.mkdir()
    bounds = GroupLimiter(V1, {MEMORY: memory, CPU: cpu}).spare()
    assert bounds and bounds.folder is None
    assert bounds.enter == (str(memory / "run-1/tasks"), str(cpu / "run-1/tasks"))
    files(memory / "run-1", memory__limit_in_bytes="", memory__memsw__limit_in_bytes="")
    files(cpu / "run-1", cpu__cfs_quota_us="")
    bounds.limit(64 * MIB, 0.5)
    written = {each.name: each.read_text() for each in tmp_path.glob("*/run-1/*")}
    assert written == {
        "memory.limit_in_bytes": "67108864",
        "memory.memsw.limit_in_bytes": "67108864",
        "cpu.cfs_quota_us": "50000",
    }


def test_a_tree_that_offers_nothing_bounds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "own_group", lambda controller=None: None)
    assert limits.pick_limiter(RunDir(tmp_path)).name == "none"
    monkeypatch.setattr(
        groups, "own_group", lambda controller=None: None if controller else tmp_path
    )
    (tmp_path / "cgroup.controllers").write_text("pids hugetlb\n")
    assert limits.pick_limiter(RunDir(tmp_path)).name == "none"
    assert [each.name for each in tmp_path.iterdir()] == ["cgroup.controllers"]


def test_a_tree_that_is_ours_bounds_what_it_offers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        groups, "own_group", lambda controller=None: None if controller else tmp_path
    )
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    limiter = limits.pick_limiter(RunDir(tmp_path))
    root = tmp_path / f"codestore-{os.getpid()}"
    assert (limiter.name, limiter.kinds) == ("cgroup v2", ("memory", "cpu"))
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+memory +cpu"
    assert (root / "cgroup.subtree_control").read_text() == "+memory +cpu"
    (root / "cgroup.subtree_control").unlink()
    limiter.close()
    assert not root.exists()


@pytest.fixture
def tree() -> Iterator[Path]:
    """A group of version 2 for this test, or a reason why there is none."""
    own = groups.own_group()
    place = own / f"test-{os.getpid()}-{time.monotonic_ns()}" if own else None
    try:
        assert place
        place.mkdir()
    except (AssertionError, OSError):
        pytest.skip("no control group of version 2 is ours to make here")
    yield place
    for folder in [*place.glob("*/*/"), *place.glob("*/"), place]:
        folder.rmdir()


STEPS_ASIDE = """
import os, subprocess, sys
from pathlib import Path
from codestore.keeper.bounds import groups
own, controller = Path(sys.argv[1]), sys.argv[2]
(own / "cgroup.procs").write_text("0")
helper = subprocess.Popen(["sleep", "1000"])
root = groups.make_root(own)
try:
    groups.hand_down(own, root, [controller])
except OSError as failure:
    print("refused", failure.errno, [each.name for each in own.glob("*/")] == [root.name])
else:
    print("inside", groups.members(root / "keeper") == {os.getpid(), helper.pid})
    (root / "run-1").mkdir()
    print("handed down", controller in (root / "run-1/cgroup.controllers").read_text())
    (root / "run-1").rmdir()
    groups.take_back(own, root, [controller])
groups.remove(root)
print("back", {os.getpid(), helper.pid} <= groups.members(own))
print("left", [each.name for each in own.glob("*/")])
helper.kill()
helper.wait()
"""


@pytest.fixture
def controller(tree: Path) -> Iterator[str]:
    """A controller that may be handed down from there, whichever."""
    found = (tree / "cgroup.controllers").read_text().split()
    if found:
        yield found[0]
        return
    above = tree.parent
    names = (above / "cgroup.controllers").read_text().split()
    try:
        (above / "cgroup.subtree_control").write_text(f"+{names[0]}")
    except (IndexError, OSError):
        pytest.skip("no controller of version 2 is ours to hand down here")
    yield names[0]
    (above / "cgroup.subtree_control").write_text(f"-{names[0]}")


def stepping(tree: Path, controller: str) -> list[str]:
    command = [sys.executable, "-c", STEPS_ASIDE, str(tree), controller]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=20)
    return done.stdout.splitlines()


@_ONE_BY_ONE
def test_we_step_aside_where_a_group_may_hold_no_process(tree: Path, controller: str) -> None:
    told = stepping(tree, controller)
    assert told == ["inside True", "handed down True", "back True", "left []"]


@_ONE_BY_ONE
def test_where_others_are_too_we_stay_where_we_were(tree: Path, controller: str) -> None:
    with subprocess.Popen(["sleep", "1000"]) as stranger:
        (tree / "cgroup.procs").write_text(str(stranger.pid))
        refused, *rest = stepping(tree, controller)
        stranger.kill()
    assert refused.startswith("refused 16")
    assert rest == ["back True", "left []"]


BY_VERSION_2 = """
import sys
from pathlib import Path
from codestore.keeper import keeper
from codestore.keeper.bounds import groups, limits
def pick(run):
    return limits.GroupLimiter(limits.V2, {"memory": groups.make_root(groups.own_group())})
keeper.pick_limiter = pick
from codestore.keeper.__main__ import main
sys.exit(main())
"""
WHERE = "where = open('/proc/self/cgroup').read().rpartition('0::')[2].strip()\n"


async def test_in_one_tree_the_bounded_sleep_where_they_are(empty_house: House) -> None:
    """With a spare, which was moved before it was needed; and without one."""
    own = groups.own_group()
    if own is None or not os.access(own, os.W_OK):
        pytest.skip("no control groups of version 2 here, or they are not ours")
    command = [sys.executable, "-c", BY_VERSION_2, *empty_house.arguments()]
    client = await empty_house.started(command)
    if (await client.list()).freezer != "cgroup":
        pytest.skip("no control group of version 2 is ours to make here")
    code = WHERE + ECHO.replace('say("READY=1")', 'say("READY=1\\nSTATUS=" + where)')
    path = await client.listen("blog")
    own = groups.own_group()
    assert own and empty_house.keeper
    root = own / f"codestore-{empty_house.keeper.pid}"
    async with asyncio.timeout(PATIENCE):
        while not (moved := {each for each in root.glob("run-*") if groups.members(each)}):
            await asyncio.sleep(0.01)
    spare = min(moved, key=lambda each: int(each.name.removeprefix("run-")))  # the oldest
    for name in ("a", "b", "c", "d"):
        async with client.events() as events:
            spec = script(name, code, sockets=(("http", "blog"),), memory=64 * MIB, view=VIEW)
            await client.watch("blog", spec)
            with knock(path):
                where = (await event(events, Notify, name)).status
            assert where.rpartition("/")[0].endswith(root.name)
            assert where.rpartition("/")[2].startswith("run-")
            assert name != "a" or where.endswith(f"/{spare.name}")
            await asleep(client, name, "blog")
            pid = next(each.pid for each in (await client.list()).children if each.name == name)
            assert not runs(pid)
            assert groups.members(root / where.rpartition("/")[2]) == {pid}
            assert await echoed(path, b"x") == b"x"
            await asleep(client, name, "blog")
            await client.stop(name, 10)
            await event(events, Exited, name)
            assert not (root / where.rpartition("/")[2]).exists()
    assert await empty_house.end() == 0
    assert not root.exists()
