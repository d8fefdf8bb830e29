"""Running a program of the platform's own to its end, as a child of ours, with nothing around it.

Bounded in time and output, and gone when nobody waits any more.
"""

import asyncio
import os
import signal
from asyncio.subprocess import Process
from contextlib import suppress

from codestore.ports.programs import Ended, Program

_TAIL = 16 * 1024  # bytes of output kept


class PlainPrograms:
    """The door ``Programs`` without walls."""

    @property
    def user(self) -> tuple[int, int] | None:
        """Who we are."""
        return None

    async def run(self, program: Program) -> Ended:
        """Run and wait. Raises ``TimeoutError``."""
        process = await _start(program)
        assert process.stderr is not None
        try:
            async with asyncio.timeout(program.timeout):
                output = await _tail(process.stderr)
                code = await process.wait()
        finally:
            await _kill(process)
        return Ended(code, output.decode("utf-8", "replace"))


async def _start(program: Program) -> Process:
    """Start it. Whoever is cancelled meanwhile leaves nothing: it may run already, with children.

    Cancelled by itself, asyncio would kill the program alone.
    """
    starting = asyncio.create_task(
        asyncio.create_subprocess_exec(
            *program.words,
            cwd=program.folder,
            env=program.environment,
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
