"""Tasks: run to their end, with their last words."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from codestore.drivers.process.tasks import TAIL
from codestore.keeper import processes
from codestore.keeper.spec import ChildSpec
from tests.drivers.stage import PATIENCE, Stage, deployment, python, workload
from tests.keeper.house import listed


async def test_a_task_that_succeeds_tells_its_last_lines(stage: Stage) -> None:
    id_ = deployment()
    result = await stage.tasks.run(python(id_, "print('one'); print('two')"), "migrate", 10)
    assert (result.succeeded, result.ending) == (True, "exit code 0")
    assert result.lines == ("one", "two")
    assert [child.name for child in (await stage.client.list()).children] == ["control"]
    assert (await stage.driver.observe(id_)).instances == ()


async def test_a_task_that_fails_tells_why_in_its_last_lines(stage: Stage) -> None:
    id_ = deployment()
    code = "import sys\nfor n in range(99): print(n)\nsys.exit('no such column')"
    result = await stage.tasks.run(python(id_, code), "migrate", 10)
    assert (result.succeeded, result.ending) == (False, "exit code 1")
    assert len(result.lines) == TAIL
    assert "no such column" in result.lines


async def test_a_task_that_takes_too_long_is_ended_with_all_it_started(stage: Stage) -> None:
    id_ = deployment()
    code = (
        "import os, signal, subprocess\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "subprocess.Popen(['sleep', '1000.123']); print('begun', flush=True)\n"
        "os.wait()"
    )
    for seconds in (0.5, 5, 30):  # on a busy machine it may take long until it has begun
        result = await stage.tasks.run(python(id_, code), "migrate", seconds)
        assert not result.succeeded
        assert result.ending == f"it was ended after {seconds:g} s"
        if result.lines:
            break
    async with asyncio.timeout(PATIENCE):
        while any(b"1000.123" in _command(pid) for pid in processes.everyone()):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("command", [("no-such-program",), ("sleep", "1\0")])
async def test_a_task_that_cannot_be_started_has_failed(
    stage: Stage, command: tuple[str, ...]
) -> None:
    id_ = deployment()
    result = await stage.tasks.run(workload(id_, *command), "migrate", 10)
    assert not result.succeeded
    assert result.ending.startswith("it cannot be started: ")
    assert (await stage.tasks.run(python(id_, "print(1)"), "migrate", 10)).succeeded


async def test_a_task_can_be_run_again_and_again(stage: Stage) -> None:
    id_ = deployment()
    for turn in range(12):
        wanted = workload(id_, "true" if turn % 2 else "false")
        assert (await stage.tasks.run(wanted, "migrate", 10)).succeeded is bool(turn % 2)


@pytest.mark.parametrize("code", [0, 3])
async def test_a_task_that_runs_when_the_control_process_ends_is_waited_for_by_the_next(
    stage: Stage, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = deployment()
    fifo = stage.home(id_) / "fifo"
    os.mkfifo(fifo)
    fifo.chmod(0o666)
    wanted = python(id_, f"print('begun')\nopen({str(fifo)!r}).read()\nraise SystemExit({code})")
    try:
        first = asyncio.create_task(stage.tasks.run(wanted, "migrate", 60))
        await stage.said(id_, "begun")
        first.cancel()
        pid = (await listed(stage.client, f"{id_}.migrate")).pid
        async with stage.restarted() as other:
            found, spawn = asyncio.Event(), other.driver.children.spawn

            async def spawned(spec: ChildSpec) -> None:
                await spawn(spec)
                found.set()

            monkeypatch.setattr(other.driver.children, "spawn", spawned)
            again = asyncio.create_task(other.tasks.run(wanted, "migrate", 60))
            await asyncio.wait_for(found.wait(), PATIENCE)
            assert (await listed(stage.client, f"{id_}.migrate")).pid == pid
            fifo.write_text("go")
            result = await again
        assert (result.succeeded, result.ending) == (code == 0, f"exit code {code}")
        assert result.lines == ("begun",)
    finally:
        fifo.unlink(missing_ok=True)


async def test_a_task_that_ended_when_nobody_looked_is_run_once_more(stage: Stage) -> None:
    id_ = deployment()
    first = asyncio.create_task(stage.tasks.run(python(id_, "print('first')"), "migrate", 60))
    await stage.said(id_, "first")
    first.cancel()
    await asyncio.wait([first])
    async with stage.restarted() as other:
        result = await other.tasks.run(python(id_, "print('second')"), "migrate", 60)
    assert result.succeeded
    assert result.lines == ("first", "second")


async def test_a_task_sees_its_own_environment_and_nothing_of_the_hosts(stage: Stage) -> None:
    id_ = deployment()
    wanted = workload(
        id_, sys.executable, "-c", "import os; print(*sorted(os.environ))", environment={"KEY": "1"}
    )
    result = await stage.tasks.run(wanted, "migrate", 10)
    ours = "HOME KEY LANG NOTIFY_SOCKET PATH PYTHONDONTWRITEBYTECODE PYTHONUNBUFFERED TMPDIR"
    assert result.lines == (f"CODESTORE_DRAIN {ours}",)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has just gone
        return b""
