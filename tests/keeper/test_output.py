"""Logs: what children write ends up in files, all of it, as CRI lines."""

import stat
import time
from datetime import UTC, datetime
from pathlib import Path

from codestore.keeper.output.logfile import KEEP, ROTATE_AT, LogFile
from codestore.keeper.output.pipes import LONGEST, CriLines
from codestore.keeper.protocol.client import KeeperClient
from codestore.keeper.protocol.messages import Exited
from tests.keeper.house import PATIENCE, House, child, event, run, script

NOW = datetime(2026, 5, 4, 3, 2, 1, 7, tzinfo=UTC)
STAMP = b"2026-05-04T03:02:01.000007Z stdout "


def test_lines_bear_time_stream_and_tag() -> None:
    lines = CriLines("stdout")
    assert lines.feed(b"one\n\ntwo\nthr", NOW) == (
        STAMP + b"F one\n" + STAMP + b"F \n" + STAMP + b"F two\n"
    )
    assert lines.feed(b"ee", NOW) == b""
    assert lines.feed(b"\n", NOW) == STAMP + b"F three\n"
    assert lines.finish(NOW) == b""


def test_what_is_left_at_the_end_is_a_line() -> None:
    lines = CriLines("stdout")
    assert lines.feed(b"last", NOW) == b""
    assert lines.finish(NOW) == STAMP + b"F last\n"
    assert lines.finish(NOW) == b""


def test_a_long_line_is_cut_into_partial_ones() -> None:
    lines = CriLines("stdout")
    piece = b"x" * LONGEST
    assert lines.feed(piece, NOW) == b""  # it may yet end here
    assert lines.feed(b"y", NOW) == STAMP + b"P " + piece + b"\n"
    assert lines.feed(b"\n", NOW) == STAMP + b"F y\n"
    assert lines.feed(piece + b"\n", NOW) == STAMP + b"F " + piece + b"\n"
    assert lines.feed(piece * 2 + b"z\n", NOW) == (
        2 * (STAMP + b"P " + piece + b"\n") + STAMP + b"F z\n"
    )


async def test_both_streams_are_logged(house: House, client: KeeperClient) -> None:
    await run(client, child("a", "sh", "-c", "echo out; echo err >&2", log="a.log"))
    assert sorted(house.log("a.log")) == [("stderr", "F", "err"), ("stdout", "F", "out")]
    assert stat.S_IMODE((house.logs / "a.log").stat().st_mode) == 0o600


async def test_times_are_utc_and_true(house: House, client: KeeperClient) -> None:
    before = datetime.now(UTC)
    await run(client, child("a", "echo", "x", log="a.log"))
    written = (house.logs / "a.log").read_text().split()[0]
    assert before <= datetime.fromisoformat(written) <= datetime.now(UTC)


async def test_the_last_words_before_an_end_are_there(house: House, client: KeeperClient) -> None:
    code = "os.write(1, b'x' * 60000 + b'\\nlast'); os.write(2, b'words'); os.kill(os.getpid(), 9)"
    await run(client, script("a", code, log="a.log"))
    lines = house.log("a.log")
    assert ("stdout", "F", "last") in lines
    assert ("stderr", "F", "words") in lines
    assert [tag for _, tag, text in lines if text.startswith("x")] == ["P", "P", "P", "F"]


async def test_nothing_is_lost_when_there_is_much(house: House, client: KeeperClient) -> None:
    await run(client, child("a", "seq", "200000", log="a.log"))
    texts = [
        text
        for log in ("a.log.2", "a.log.1", "a.log")
        if (house.logs / log).exists()
        for _, _, text in house.log(log)
    ]
    assert texts == [str(number) for number in range(1, 200_001)]


async def test_a_daemon_that_keeps_the_pipe_does_not_delay_the_end(own_house: House) -> None:
    client = await own_house.connect()
    code = """
told, tell = os.pipe()
if not os.fork():
    os.setsid()
    os.write(tell, b"x")
    os.execvp("sleep", ["sleep", "1000"])
os.write(1, b"said" + os.read(told, 1)[1:])
"""
    began = time.monotonic()
    ended = await run(client, script("a", code, log="a.log"))
    assert ended.code == 0
    assert time.monotonic() - began < PATIENCE  # the daemon's thousand seconds were not
    assert own_house.log("a.log") == [("stdout", "F", "said")]


async def test_a_log_is_appended_to_over_restarts(house: House, client: KeeperClient) -> None:
    async with client.events() as events:
        await client.spawn(child("a", "echo", "again", log="deep/er/a.log", restart=True))
        for _ in range(2):
            await event(events, Exited, "a")
        await client.stop("a", 0)
    assert len(house.log("deep/er/a.log")) >= 2


async def test_output_may_be_discarded(house: House, client: KeeperClient) -> None:
    code = "say('STATUS=' + ' '.join(os.readlink(f'/proc/self/fd/{n}') for n in (0, 1, 2)))"
    await run(client, script("a", code))
    views = {each.name: each.status for each in (await client.list()).children}
    assert views["a"] == "/dev/null /dev/null /dev/null"
    assert not list(house.logs.rglob("a*"))


async def test_a_log_that_cannot_be_written_stops_nobody(
    house: House, client: KeeperClient
) -> None:
    ended = await run(client, child("a", "seq", "100000", log="/proc/nowhere/a.log"))
    assert ended.code == 0


async def test_control_has_its_log_too(empty_house: House) -> None:
    client = await empty_house.start("sh", "-c", "echo I am control; exec sleep 1000")
    await run(client, child("a", "true"))
    assert empty_house.log("control.log") == [("stdout", "F", "I am control")]


def test_a_log_is_put_aside_when_it_is_large(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "a.log")
    block = ROTATE_AT // 4
    for number in range(4 * (KEEP + 2) + 1):
        log.write(b"%d" % (number // 4) + b"x" * block)
    log.close()
    files = {each.name: each for each in tmp_path.iterdir()}
    assert sorted(files) == ["a.log", "a.log.1", "a.log.2", "a.log.3"]
    first = {name: int(each.read_bytes()[:1]) for name, each in files.items()}
    assert first == {"a.log": 5, "a.log.1": 4, "a.log.2": 3, "a.log.3": 2}
    assert ROTATE_AT <= files["a.log.1"].stat().st_size < ROTATE_AT + block


def test_the_size_of_an_old_log_counts(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(b"x" * ROTATE_AT)
    log = LogFile(tmp_path / "a.log")
    log.write(b"y\n")
    log.write(b"z\n")
    log.close()
    assert (tmp_path / "a.log").read_bytes() == b"z\n"
