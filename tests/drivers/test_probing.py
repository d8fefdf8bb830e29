"""One question to an instance, and what its answer is worth."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from codestore.domain.faults import Fault
from codestore.domain.manifest import Health
from codestore.drivers.process import probing
from codestore.drivers.process.probing import OverloadedError, check, prove

Reply = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def answering(path: Path, reply: bytes | Reply) -> AsyncIterator[str]:
    """Serve one thing at a socket; yields its address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            heard.append(await reader.readuntil(b"\r\n\r\n"))
            if isinstance(reply, bytes):
                writer.write(reply)
                await writer.drain()
            else:
                await reply(reader, writer)
        writer.close()

    heard: list[bytes] = []
    server = await asyncio.start_unix_server(serve, path)
    try:
        yield f"unix:{path}"
    finally:
        server.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


def status(number: int, more: str = "content-length: 2\r\n\r\nok") -> bytes:
    return f"HTTP/1.1 {number} Whatever It Is\r\n{more}".encode()


@pytest.mark.parametrize(
    ("health", "reply", "problem"),
    [
        (Health("/health"), status(200), None),
        (Health("/health"), status(301), None),
        (Health("/health"), status(404), "/health answered 404"),
        (Health("/health"), status(500), "/health answered 500"),
        (Health(), status(404), None),
        (Health(), status(503), "/ answered 503"),
        (Health("/h"), b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + status(200), None),
        (Health("/h"), b"HTTP/1.1 100 Continue\r\n\r\n" + status(500), "/h answered 500"),
        (Health("/h"), b"HTTP/1.0 200 OK\r\n\r\n", None),
        (Health("/h"), b"SSH-2.0-OpenSSH_9.2\r\n", "/h answered, but not in HTTP"),
        (Health("/h"), b"220 ready 200\r\n", "/h answered, but not in HTTP"),
        (Health("/h"), b"\r\n", "/h answered, but not in HTTP"),
        (Health("/h"), b"HTTP/1.1 fine\r\n", "/h answered, but not in HTTP"),
        (Health("/h"), b"x" * 200_000, "/h answered, but not in HTTP"),
        (Health("/h"), b"", "/h hung up without an answer"),
    ],
)
async def test_what_an_answer_is_worth(
    path: Path, health: Health, reply: bytes, problem: str | None
) -> None:
    async with answering(path, reply) as address:
        assert await check(address, health) == problem


async def test_nobody_there(path: Path) -> None:
    assert await check(f"unix:{path}", Health("/h")) == "/h failed (No such file or directory)"
    assert (await check("tcp://127.0.0.1:1", Health()) or "").startswith("/ failed (")


async def test_who_does_not_answer_is_waited_for_in_bounds(path: Path) -> None:
    async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with answering(path, hang) as address:
        problem = None
        while problem is None:
            with suppress(OverloadedError):  # on a busy machine
                problem = await check(address, Health("/health", 0.2))
    assert problem == "/health did not answer within 0.2 s"


async def test_an_answer_counts_although_its_rest_does_not_come(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a stream, or a server that keeps the connection although it was asked to close."""

    async def go_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(status(200, "\r\n"))
        await reader.read()

    monkeypatch.setattr(probing, "_REST", 1.5)
    async with answering(path, go_on) as address:
        assert await check(address, Health("/health", 1.0)) is None


async def test_an_answer_is_heard_to_its_end(path: Path) -> None:
    """Who is cut off may complain in its log, every ten seconds."""
    ended = asyncio.Event()

    async def in_parts(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(status(200, "content-length: 20000\r\n\r\n"))
        for _ in range(10):
            writer.write(b"x" * 2000)
            await writer.drain()
            await asyncio.sleep(0)
        ended.set()

    async with answering(path, in_parts) as address:
        assert await check(address, Health()) is None
        assert ended.is_set()


async def test_that_we_stood_still_is_nobody_elses_fault(path: Path) -> None:
    """A suspended process, a loop that was held up: then the time is over at once."""

    async def late(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0)
        writer.write(status(200))

    async with answering(path, late) as address:
        asking = asyncio.create_task(check(address, Health("/health", 0.2)))
        await asyncio.sleep(0)  # it has begun
        await asyncio.sleep(0)
        time.sleep(1)
        assert await asking is None


async def test_when_we_are_overloaded_silence_says_nothing(path: Path) -> None:
    async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def hold_up() -> None:
        while True:
            time.sleep(0.05)
            await asyncio.sleep(0)

    busy = asyncio.create_task(hold_up())
    async with answering(path, hang) as address:
        with pytest.raises(OverloadedError):
            await check(address, Health("/health", 0.4))
    busy.cancel()
    async with answering(path.with_name("t"), status(500)) as address:  # but an answer does
        assert await check(address, Health("/health")) == "/health answered 500"


@pytest.mark.parametrize(
    ("answers", "told"), [([status(500)], "answered 500"), ([], "did not answer")]
)
async def test_a_try_that_is_cut_short_says_less_than_the_answer_before(
    path: Path, answers: list[bytes], told: str
) -> None:
    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answers:
            writer.write(answers.pop())
        else:
            await reader.read()  # silent until the other side hangs up

    async with answering(path, reply) as address:
        with pytest.raises(Fault) as refused:
            await prove(address, Health("/well", 0.5))
    assert f"GET /well {told} for 0.5 s" in refused.value.letter.detail
    assert answers == []
