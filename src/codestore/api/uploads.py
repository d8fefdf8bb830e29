"""Receiving an archive: to a file, bounded, and gone when the request is over."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import Request

from codestore.domain.faults import Fault, FaultKind, Letter

MAX_UPLOAD = 101 * 1024 * 1024  # bytes on the wire: 100 MiB that do not compress, and headers
MAX_IGNORED = 1024 * 1024 * 1024  # bytes read and dropped, so that the refusal can be heard
IDLE = 60.0  # seconds without a byte


@asynccontextmanager
async def received(request: Request, folder: str) -> AsyncIterator[Path]:
    """Write the request's body to a file below ``folder`` for as long as the block lasts.

    Raises a TOO_LARGE fault past the limit, an INVALID one when the sender stalls.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix="upload-") as place:
        target = Path(place, "archive")
        await _receive(request, target)
        yield target


async def _receive(request: Request, target: Path) -> None:
    size = 0
    stream = request.stream()
    with target.open("wb") as file:
        while True:
            try:
                chunk = await asyncio.wait_for(anext(stream, None), IDLE)
            except TimeoutError as error:
                raise _stalled() from error
            if chunk is None:
                break
            size += len(chunk)
            if size <= MAX_UPLOAD:
                await asyncio.to_thread(file.write, chunk)
            elif size > MAX_IGNORED:
                break
    if size > MAX_UPLOAD:
        raise _too_large()


def _too_large() -> Fault:
    return Fault(
        Letter(
            FaultKind.TOO_LARGE,
            "archive_too_large",
            "Too much to push",
            f"The archive is larger than {MAX_UPLOAD // 2**20} MiB.",
            "Leave out what the service does not need with .codestoreignore.",
        )
    )


def _stalled() -> Fault:
    return Fault(
        Letter(
            FaultKind.INVALID,
            "upload_stalled",
            "The upload stalled",
            f"No byte arrived for {IDLE:g} s.",
            "Push again.",
        )
    )
