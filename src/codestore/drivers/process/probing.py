"""Asking an instance itself, over its own socket or port: one HTTP request, one answer.

By hand, because of an answer only the first line matters, and all that serve are asked for ever:
that costs a tenth of what a client library takes.
"""

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from codestore.domain.faults import failed
from codestore.domain.manifest import Health

BETWEEN = 0.05  # seconds between two tries
ONE_TRY = 5.0  # seconds for one answer
UNIX, TCP = "unix:", "tcp://"
LOOKS = 20  # in which the time for an answer is counted
LAG = 0.1  # share of that time by which all looks together may be late
LITTLE = 0.25  # seconds by which they may be in any case
_REST = 0.25  # seconds in which the rest of an answer is heard
_MOST = 64 * 1024  # bytes of it, and of its first line
_INTERIM = range(100, 200)  # statuses after which the answer proper follows


class OverloadedError(Exception):
    """We were too busy ourselves to tell whether anybody answered in time."""


async def prove(address: str, health: Health) -> None:
    """Ask until the answer is good, for at most ``health.timeout`` seconds.

    Raises a FAILED fault that says what the last answer was.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + health.timeout
    problem: str | None = "did not answer"
    while True:
        patience = min(ONE_TRY, max(0.1, until - loop.time()))
        async with _Connection(address) as asked:
            try:
                async with asyncio.timeout(patience):
                    problem = await asked.problem(health)
            except TimeoutError:
                if patience == ONE_TRY:  # one that was cut short says less than the one before
                    problem = "did not answer"
        if problem is None:
            return
        if loop.time() + BETWEEN >= until:
            break
        await asyncio.sleep(BETWEEN)
    raise failed(
        "unhealthy",
        "The health check failed",
        f"GET {health.path or '/'} {problem} for {health.timeout:g} s.",
        "Mend it and push again, or name another path: health: {path: /health}.",
    )


async def check(address: str, health: Health) -> str | None:
    """Ask once; return what is wrong, in words, or ``None``.

    Raises ``OverloadedError`` when no answer has come and that may be our own fault.
    """
    seconds = min(ONE_TRY, health.timeout)
    async with _Connection(address) as asked:
        try:
            problem = await _within(seconds, asked, health)
        except TimeoutError:
            problem = f"did not answer within {seconds:g} s"
    return problem and f"{health.path or '/'} {problem}"


async def _within(seconds: float, asked: "_Connection", health: Health) -> str | None:
    """Return what is wrong with the answer. Raises ``TimeoutError``, ``OverloadedError``.

    The time is counted in small steps, each ended by our own loop: however long it stood still,
    that was one step. An answer that has come meanwhile is heard in the next; and when none has,
    it is not certain that there would have been none.
    """
    loop = asyncio.get_running_loop()
    answer = asyncio.create_task(asked.problem(health))
    began = loop.time()
    try:
        for _ in range(LOOKS):
            await asyncio.wait([answer], timeout=seconds / LOOKS)
            if answer.done():
                return await answer
    finally:
        answer.cancel()
        await asyncio.wait([answer])
    if loop.time() - began > seconds + max(seconds * LAG, LITTLE):
        raise OverloadedError
    raise TimeoutError


class _Connection:
    """A connection to an instance, for one question."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._answered = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        try:
            if self._answered and self._reader:
                await _hear_out(self._reader)
        finally:
            if self._writer:
                self._writer.close()

    async def problem(self, health: Health) -> str | None:
        """Return what is wrong with the answer; ``None`` when nothing is."""
        try:
            status = await self._status(health.path or "/")
        except OSError as error:
            return f"failed ({error.strerror or type(error).__name__})"
        except ValueError:
            return "answered, but not in HTTP"
        if status is None:
            return "hung up without an answer"
        worst = 399 if health.path else 499
        return None if status <= worst else f"answered {status}"

    async def _status(self, path: str) -> int | None:
        """Return the status of the answer; ``None`` when the other side hung up without one."""
        reader, writer, host = await self._open()
        writer.write(
            f"GET {path} HTTP/1.1\r\nhost: {host}\r\naccept: */*\r\n"
            "user-agent: codestore-probe\r\nconnection: close\r\n\r\n".encode()
        )
        while line := await reader.readline():
            protocol, status = line.split(maxsplit=2)[:2]
            if not protocol.startswith(b"HTTP/"):
                raise ValueError(line)
            if int(status) not in _INTERIM:
                self._answered = True
                return int(status)
            while (await reader.readline()).strip():
                pass
        return None

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, str]:
        """Connect; return the two ends and what the host is called there."""
        if self._address.startswith(UNIX):
            name = "instance"
            path = self._address.removeprefix(UNIX)
            pair = await asyncio.open_unix_connection(path, limit=_MOST)
        else:
            name = self._address.removeprefix(TCP)
            host, _, port = name.rpartition(":")
            pair = await asyncio.open_connection(host, int(port), limit=_MOST)
        self._reader, self._writer = pair
        return *pair, name


async def _hear_out(reader: asyncio.StreamReader) -> None:
    """Read on to the end, within bounds: some complain in their logs about who does not."""
    left = _MOST
    with contextlib.suppress(OSError):  # TimeoutError is one too
        async with asyncio.timeout(_REST):
            while left > 0 and (heard := await reader.read(left)):
                left -= len(heard)
