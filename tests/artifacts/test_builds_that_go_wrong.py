"""A uv that hangs, fails or tells secrets: played by a shell script."""

import asyncio
import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from archives import SERVICE
from building import PROGRAMS, Push

from codestore.artifacts.builder import UvBuilder
from codestore.artifacts.folders import Folders
from codestore.artifacts.uv_command import Uv
from codestore.domain.faults import Fault
from codestore.ports.programs import Program

HANGS = "sleep 60 & echo $$ $! > $PIDS; wait"


def played(root: Path, runtimes: Path, script: str, timeout: float = 60.0) -> UvBuilder:
    (root / "runtimes").parent.mkdir(parents=True, exist_ok=True)
    (root / "runtimes").symlink_to(runtimes)
    uv = root.parent / "uv"
    uv.write_text(f"#!/bin/sh\n{script}\n")
    uv.chmod(0o755)
    environment = {
        "PATH": os.defpath,
        "PIDS": str(root.parent / "pids"),
        "UV_INDEX_MINE_PASSWORD": "hunter2",
    }
    cache = root.parent / "cache"
    played = Uv.installed(environment, cache, PROGRAMS, binary=uv, timeout=timeout)
    return UvBuilder(root, played)


async def pids(root: Path) -> list[int]:
    async with asyncio.timeout(10):
        while True:
            with suppress(FileNotFoundError):
                if found := (root.parent / "pids").read_text().split():
                    return list(map(int, found))
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def all_end(pids: list[int]) -> None:
    """The rest of a killed group ends by itself, a moment after the one that is waited for."""
    async with asyncio.timeout(10):
        while any(map(alive, pids)):
            await asyncio.sleep(0.01)


def nothing_is_left(root: Path) -> bool:
    return not any((root / "environments").iterdir()) and not any((root / "scratch").iterdir())


async def test_cancelling_kills_uv_and_its_children(root: Path, runtimes: Path, push: Push) -> None:
    builder = played(root, runtimes, HANGS)
    task = asyncio.create_task(builder.prepare(await push(builder, SERVICE)))
    running = await pids(root)
    assert all(map(alive, running))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await all_end(running)
    assert nothing_is_left(root)


async def test_cancelled_while_the_program_is_being_started_nothing_is_left_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, create = tmp_path / "pids", asyncio.create_subprocess_exec

    async def late(*words: str, **how: Any) -> asyncio.subprocess.Process:
        process = await create(*words, **how)
        running.set_result(await pids(tmp_path / "data"))  # it runs, and nobody has heard of it
        await asyncio.sleep(0.05)
        return process

    running: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
    monkeypatch.setattr(asyncio, "create_subprocess_exec", late)
    words, environment = ("/bin/sh", "-c", HANGS), {"PATH": os.defpath, "PIDS": str(file)}
    program = Program(words, str(tmp_path), environment, 60)
    task = asyncio.create_task(PROGRAMS.run(program))
    found = await running
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await all_end(found)


async def test_a_build_that_does_not_end(root: Path, runtimes: Path, push: Push) -> None:
    builder = played(root, runtimes, HANGS, timeout=1)
    with pytest.raises(Fault, match=r"did not end within 1 s") as caught:
        await builder.prepare(await push(builder, SERVICE))
    assert caught.value.letter.code == "build_failed"
    await all_end(await pids(root))
    assert nothing_is_left(root)


async def test_a_failure_shows_the_last_lines_and_no_secret(
    root: Path, runtimes: Path, push: Push
) -> None:
    builder = played(
        root,
        runtimes,
        "for n in $(seq 50); do echo line $n >&2; done\n"
        "echo https://me:pass%40word@example.org/simple and hunter2 >&2; exit 2",
    )
    with pytest.raises(Fault) as caught:
        await builder.prepare(await push(builder, SERVICE))
    lines = caught.value.letter.detail.splitlines()
    assert lines[0] == "uv venv failed:"
    assert lines[1:] == [
        *[f"line {n}" for n in range(32, 51)],
        "https://[hidden]@example.org/simple and [hidden]",
    ]
    assert nothing_is_left(root)


async def test_what_waits_goes_on_after_a_failure(root: Path, runtimes: Path, push: Push) -> None:
    builder = played(root, runtimes, "exit 1")
    seal = await push(builder, SERVICE)
    results = await asyncio.gather(
        *(builder.prepare(seal) for _ in range(3)), return_exceptions=True
    )
    assert all(isinstance(result, Fault) for result in results)


async def test_uv_gets_the_environment_it_was_given_and_no_other(
    root: Path, runtimes: Path, push: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOT_FOR_UV", "1")
    builder = played(root, runtimes, "env >&2; exit 1")
    with pytest.raises(Fault) as caught:
        await builder.prepare(await push(builder, SERVICE))
    told = caught.value.letter.detail
    assert "NOT_FOR_UV" not in told
    assert "UV_PYTHON_DOWNLOADS=never" in told


def test_a_start_does_not_wait_for_whoever_writes_still_what_was_half_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A uv whose platform was killed goes on for a moment, and fills a folder that is deleted."""
    (Folders.open(tmp_path).scratch / "half" / "venv").mkdir(parents=True)
    delete = shutil.rmtree

    def filled(path: Path) -> None:
        (path / "late").touch()
        raise OSError(errno.ENOTEMPTY, "Directory not empty", "venv")

    monkeypatch.setattr(shutil, "rmtree", filled)
    assert not any(Folders.open(tmp_path).scratch.iterdir())
    monkeypatch.setattr(shutil, "rmtree", delete)
    assert any(tmp_path.glob("scratch-*"))
    Folders.open(tmp_path)
    assert [path.name for path in tmp_path.glob("scratch*")] == ["scratch"]
