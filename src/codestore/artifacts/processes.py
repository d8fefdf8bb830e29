"""Running a program to its end: bounded in time and output, and gone when nobody waits any more."""

import asyncio
import os
import signal
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TAIL = 16 * 1024  # bytes of output kept


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended, and the last of what it wrote to its standard error."""

    code: int
    output: str


async def run(
    words: Sequence[str], *, cwd: Path, environment: Mapping[str, str], timeout: float
) -> Ended:
    """Run a program with exactly this environment; at most ``timeout`` seconds.

    Raises ``TimeoutError``. Then, and when cancelled, the program and its children are killed.
    """
    process = await _start(words, cwd, environment)
    assert process.stderr is not None
    try:
        async with asyncio.timeout(timeout):
            output = await _tail(process.stderr)
            code = await process.wait()
    finally:
        await _kill(process)
    return Ended(code, output.decode("utf-8", "replace"))


async def _start(words: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> Process:
    """Start it. Whoever is cancelled meanwhile leaves nothing: it may run already, with children.

    Cancelled by itself, asyncio would kill the program alone.
    """
    starting = asyncio.create_task(
        asyncio.create_subprocess_exec(
            *words,
            cwd=cwd,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            umask=0o022,  # what is installed is read by instances, which run as other users
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await _kill(await starting)
        raise


async def _kill(process: Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _tail(stream: asyncio.StreamReader) -> bytes:
    kept = b""
    while piece := await stream.read(_TAIL):
        kept = (kept + piece)[-_TAIL:]
    return kept
