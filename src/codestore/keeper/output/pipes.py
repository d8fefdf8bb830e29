"""What a child writes: from its two pipes to CRI log lines, never blocking, nothing lost.

A line is ``<RFC 3339 time, UTC, microseconds>Z <stdout|stderr> <F|P> <text>``: F ends a line of
the child, P is a piece of one longer than 16 KiB. What the keeper has to say about it goes between
them as ``platform``. Secrets are masked before a line is cut. Lines read at once bear one time and
are written in one call, so a chatty child costs the keeper little.
"""

import asyncio
import contextlib
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from codestore.keeper.output.logfile import LogFile
from codestore.keeper.output.masking import Mask

LONGEST: Final = 16 * 1024
"""The longest text on one log line, in bytes."""
_CHUNK: Final = 64 * 1024
_PIPE_ROUNDS: Final = 16  # 1 MiB, the most a pipe can hold by default


class CriLines:
    """Cuts a stream of bytes into CRI lines. Keeps an unfinished line until the rest comes."""

    __slots__ = ("_mask", "_rest", "_stream")

    def __init__(self, stream: str, mask: Mask | None = None) -> None:
        self._stream = stream.encode()
        self._mask = mask
        self._rest = b""

    def feed(self, data: bytes, now: datetime) -> bytes:
        """Return the log lines that ``data`` completes."""
        head = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ ").encode() + self._stream
        full, part = head + b" F ", head + b" P "
        said = self._rest + data
        # Most of what is written holds no secret: that is seen at once, not line by line.
        mask = self._mask if self._mask is not None and self._mask.finds(said) else None
        *lines, rest = said.split(b"\n")
        written: list[bytes] = []
        for line in lines:
            *pieces, last = _cut(mask.hide(line) if mask else line)
            written += [part + piece for piece in pieces]
            written.append(full + last)
        pieces, self._rest = self._begun(rest)
        written += [part + piece for piece in pieces]
        return b"\n".join([*written, b""])

    def _begun(self, rest: bytes) -> tuple[list[bytes], bytes]:
        """Return the pieces of an unfinished line that can be written, and what is kept of it."""
        if self._mask is None:
            *pieces, rest = _cut(rest)
            return pieces, rest
        if len(rest) <= LONGEST + self._mask.longest:
            return [], rest
        told = self._mask.begun(rest)
        return _cut(self._mask.hide(rest[:told])), rest[told:]

    def finish(self, now: datetime) -> bytes:
        """Return the line that was left unfinished. Nothing can follow, so it is whole: F."""
        return self.feed(b"\n", now) if self._rest else b""


class Output:
    """Reads the output of one run of a child into its log.

    ``pipes`` are the reading ends of its stdout and stderr, owned from here on; none when the
    output is discarded.
    """

    __slots__ = ("_ended", "_log", "_loop", "_open")

    def __init__(self, pipes: Sequence[int], log: LogFile | None, mask: Mask | None = None) -> None:
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._open = {
            pipe: CriLines(name, mask)
            for pipe, name in zip(pipes, ("stdout", "stderr"), strict=False)
        }
        self._ended = asyncio.Event()
        for pipe in pipes:
            os.set_blocking(pipe, False)
            self._loop.add_reader(pipe, self._read, pipe)
        if not pipes:
            self._ended.set()

    def say(self, text: str) -> None:
        """Write a line of the platform's own."""
        self._write(CriLines("platform").feed(f"{text}\n".encode(), datetime.now(UTC)))

    def close(self, words: str = "") -> None:
        """Close the log, with last words of the platform's own."""
        if words:
            self.say(words)
        if self._log:
            self._log.close()

    async def drain(self, patience: float) -> None:
        """Read to the end, and close the pipes.

        A daemon may hold the pipes open for ever: after ``patience`` seconds, what is in them is
        still read, and no more.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._ended.wait()
        for pipe in tuple(self._open):
            for _ in range(_PIPE_ROUNDS):
                if not self._read(pipe):
                    break
            if pipe in self._open:
                self._end(pipe)

    def _read(self, pipe: int) -> bool:
        """Take one chunk; tell whether there may be another."""
        try:
            data = os.read(pipe, _CHUNK)
        except BlockingIOError:
            return False
        if data:
            self._write(self._open[pipe].feed(data, datetime.now(UTC)))
        else:
            self._end(pipe)
        return bool(data)

    def _end(self, pipe: int) -> None:
        self._loop.remove_reader(pipe)
        os.close(pipe)
        self._write(self._open.pop(pipe).finish(datetime.now(UTC)))
        if not self._open:
            self._ended.set()

    def _write(self, batch: bytes) -> None:
        if batch and self._log:
            self._log.write(batch)


def _cut(line: bytes) -> list[bytes]:
    """Cut a line into pieces; the last one is never empty unless the line is."""
    return [line[at : at + LONGEST] for at in range(0, len(line), LONGEST)] or [b""]
