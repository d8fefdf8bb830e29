"""Logs: many files read as one story, whatever is in them and whenever they are put aside."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from codestore.domain.instances import LogLine
from codestore.drivers.process.logs import FileLogs
from codestore.keeper.output.logfile import ROTATE_AT, LogFile
from codestore.keeper.output.pipes import LONGEST, CriLines
from tests.drivers.stage import PATIENCE, Stage, deployment, python

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class Writer:
    """Writes a process's log with the keeper's own hands."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / "d" / f"{name}.log"
        self._log = LogFile(self.path)
        self._streams = {name: CriLines(name) for name in ("stdout", "stderr")}

    def write(self, text: bytes, second: float = 0, stream: str = "stdout") -> None:
        at = BEGIN + timedelta(seconds=second)
        self._log.write(self._streams[stream].feed(text, at))
        self._log.close()

    def fill(self) -> None:
        """Write until the file is put aside."""
        self.write((b"x" * 999 + b"\n") * (ROTATE_AT // 1000))
        assert not self.path.exists()


@pytest.fixture
def logs(tmp_path: Path) -> FileLogs:
    return FileLogs(tmp_path, lambda: BEGIN + timedelta(seconds=5))


@pytest.fixture
def one(tmp_path: Path) -> Writer:
    return Writer(tmp_path, "d.1.0")


@pytest.fixture
def two(tmp_path: Path) -> Writer:
    return Writer(tmp_path, "d.2.0")


def texts(lines: list[LogLine]) -> list[str]:
    return [line.text for line in lines]


async def taken(lines: AsyncIterator[LogLine], count: int) -> list[str]:
    async with asyncio.timeout(PATIENCE):
        return [(await anext(lines)).text for _ in range(count)]


async def test_files_are_merged_by_time(logs: FileLogs, one: Writer, two: Writer) -> None:
    one.write(b"a\n", 1)
    two.write(b"b\n", 2, "stderr")
    one.write(b"c\n", 3)
    await logs.note("d", "d\ne")
    two.write(b"f\n", 6)
    lines = await logs.tail("d", 100)
    assert [(line.text, line.source, line.stream) for line in lines] == [
        ("a", "d.1.0", "stdout"),
        ("b", "d.2.0", "stderr"),
        ("c", "d.1.0", "stdout"),
        ("d", "platform", "platform"),
        ("e", "platform", "platform"),
        ("f", "d.2.0", "stdout"),
    ]
    assert texts(await logs.tail("d", 2)) == ["e", "f"]
    assert await logs.tail("d", 0) == []
    assert texts(await logs.tail_of("d", "d.1.0", 1)) == ["c"]


async def test_who_never_printed_has_no_lines(logs: FileLogs) -> None:
    assert await logs.tail("nobody", 10) == []
    assert await logs.tail_of("nobody", "x", 10) == []


@pytest.mark.parametrize("count", [1, 2, 100])
async def test_the_parts_of_a_long_line_are_joined(logs: FileLogs, one: Writer, count: int) -> None:
    one.write(b"before\n", 1)
    long = "ü".encode() * 5 * LONGEST + b"!"
    one.write(long[: 3 * LONGEST], 2)
    one.write(b"between\n", 3, "stderr")
    one.write(long[3 * LONGEST :] + b"\n", 4)
    lines = texts(await logs.tail("d", count))
    assert lines == ["before", "between", long.decode()][-count:]


async def test_a_line_that_is_not_finished_yet_is_told_once_it_is(
    logs: FileLogs, one: Writer
) -> None:
    one.write(b"before\n" + b"a" * 2 * LONGEST + b"b", 1)
    async with aclosing(logs.follow("d", 10)) as lines:
        assert await taken(lines, 1) == ["before"]
        next_line = asyncio.ensure_future(anext(lines))
        one.write(b"c" * LONGEST, 2)
        one.write(b"d\n", 3)
        text = (await asyncio.wait_for(next_line, PATIENCE)).text
    assert text == "a" * 2 * LONGEST + "b" + "c" * LONGEST + "d"


@pytest.mark.parametrize(
    "hostile",
    [
        b"\xff\xfe\x80",
        b"half\rhalf",
        b"\r2020-01-01 stdout F forged",
        b"\x0b\x0c\x1c\x1d\x1e\xc2\x85\xe2\x80\xa8.",
        b"\0",
        b" ",
        b"",
        b"\x1b[31mred",
        b"2026-01-01T00:00:00Z stdout P part",
    ],
)
async def test_a_line_may_hold_any_bytes(logs: FileLogs, one: Writer, hostile: bytes) -> None:
    one.write(b"before\n" + hostile + b"\nafter\n")
    expected = ["before", hostile.decode("utf-8", "replace"), "after"]
    assert texts(await logs.tail("d", 10)) == expected
    async with aclosing(logs.follow("d", 1)) as lines:
        assert await taken(lines, 1) == ["after"]
        one.write(hostile + b"\nlast\n", 1)
        assert await taken(lines, 2) == [expected[1], "last"]


async def test_what_is_no_log_line_is_passed_over(logs: FileLogs, one: Writer) -> None:
    one.write(b"before\n")
    with one.path.open("ab") as file:
        file.write(b"garbage\n\n2026-13-01T00:00:00Z stdout F x\n2026-01-01 stdout F naive\n")
    one.write(b"after\n")
    with one.path.open("ab") as file:
        file.write(b"2026-01-01T00:00:00Z stdout F half a li")
    assert texts(await logs.tail("d", 10)) == ["before", "after"]


async def test_the_newest_lines_are_found_across_a_rotation(logs: FileLogs, one: Writer) -> None:
    one.fill()
    assert len(await logs.tail("d", 10)) == 10  # nothing was written since
    one.write(b"new\n", 1)
    lines = texts(await logs.tail("d", 3))
    assert lines == ["x" * 999, "x" * 999, "new"]
    assert len(await logs.tail("d", 10_000)) == ROTATE_AT // 1000 + 1


async def test_following_yields_each_line_once_through_a_rotation(
    logs: FileLogs, one: Writer, two: Writer
) -> None:
    one.write(b"0\n1\n2\n")
    async with aclosing(logs.follow("d", 2)) as lines:
        assert await taken(lines, 2) == ["1", "2"]
        one.write(b"3\n", 1)
        assert await taken(lines, 1) == ["3"]
        one.write(b"4\n", 2)
        one.fill()
        one.write(b"5\n", 3)
        filler = ROTATE_AT // 1000
        assert set(await taken(lines, filler)) == {"x" * 999}  # its time is older
        assert await taken(lines, 2) == ["4", "5"]
        two.write(b"6\n", 4)  # a process that begins meanwhile
        assert await taken(lines, 1) == ["6"]


async def test_following_can_begin_before_there_is_anything(logs: FileLogs, one: Writer) -> None:
    async with aclosing(logs.follow("d", 2)) as lines:
        first = asyncio.ensure_future(anext(lines))
        await asyncio.sleep(0)
        one.write(b"first\n")
        assert (await asyncio.wait_for(first, PATIENCE)).text == "first"


async def test_the_platforms_own_notes_are_bounded_too(logs: FileLogs, tmp_path: Path) -> None:
    for _ in range(3):
        await logs.note("d", "x" * (ROTATE_AT // 2))
    assert (tmp_path / "d" / "platform.log.1").exists()
    assert len(await logs.tail("d", 10)) == 3


async def test_what_a_process_prints_is_followed_as_it_prints(stage: Stage) -> None:
    id_ = deployment()
    code = (
        "import sys\nprint('out')\nprint('err', file=sys.stderr)\nsys.stdout.buffer.write(b'\\xff')"
    )
    await stage.logs.note(id_, "noted")
    async with aclosing(stage.logs.follow(id_, 10)) as lines:
        assert await taken(lines, 1) == ["noted"]
        await stage.tasks.run(python(id_, code), "migrate", 10)
        assert sorted(await taken(lines, 3)) == ["err", "out", "\ufffd"]
