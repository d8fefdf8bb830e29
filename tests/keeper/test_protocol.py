"""What crosses the socket: what is refused, and that the keeper goes on."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from codestore.keeper.errors import KeeperError
from codestore.keeper.protocol import codec
from codestore.keeper.protocol.client import KeeperClient
from codestore.keeper.protocol.messages import (
    EVENTS,
    ChildView,
    Exited,
    Forward,
    Freeze,
    Frozen,
    Listen,
    Listing,
    Notify,
    Pending,
    Refuse,
    Spawn,
    Started,
    Stop,
    Thaw,
    Watch,
    Woken,
)
from codestore.keeper.protocol.server import MAX_BACKLOG
from tests.keeper.house import House, child, event, listed

SPEC: dict[str, Any] = {"name": "a", "argv": ["true"], "env": {}, "cwd": "/"}


def spawn(**changes: object) -> bytes:
    spec = {key: value for key, value in {**SPEC, **changes}.items() if value is not ...}
    return json.dumps({"id": 7, "op": "spawn", "spec": spec}).encode() + b"\n"


REFUSED: list[tuple[bytes, int | None, str]] = [
    (b"{\n", None, "not JSON: Expecting property name enclosed in double quotes"),
    (b"\xff\xfe\n", None, "not JSON: "),
    (b"[" * 100_000 + b"\n", None, "not JSON: "),
    (b"\n", None, "not JSON: "),
    (b"[1]\n", None, "a message is a JSON object"),
    (b'{"op":"list"}\n', None, "a request needs an integer id"),
    (b'{"id":true,"op":"list"}\n', None, "a request needs an integer id"),
    (b'{"id":7,"op":"dance"}\n', 7, "unknown operation 'dance'"),
    (b'{"id":7,"op":["list"]}\n', 7, "unknown operation ['list']"),
    (b'{"id":7}\n', 7, "unknown operation None"),
    (b'{"id":7,"op":"list","all":1}\n', 7, "all is not known"),
    (b'{"id":7,"op":"watch"}\n', 7, "name is missing"),
    (b'{"id":7,"op":"watch","name":5}\n', 7, "name must be of type str"),
    (b'{"id":7,"op":"listen","name":".."}\n', 7, "'..' is not a name"),
    (b'{"id":7,"op":"listen","name":"a/b"}\n', 7, "'a/b' is not a name"),
    (b'{"id":7,"op":"listen","name":"' + b"a" * 65 + b'"}\n', 7, "is not a name"),
    (b'{"id":7,"op":"listen","name":"a\\n"}\n', 7, "is not a name"),
    (b'{"id":7,"op":"listen","name":"a","backlog":0}\n', 7, "backlog 0 is not within"),
    (b'{"id":7,"op":"listen","name":"a","backlog":true}\n', 7, "backlog must be of type int"),
    (b'{"id":7,"op":"stop","name":"a","grace":-1}\n', 7, "grace -1"),
    (b'{"id":7,"op":"stop","name":"a","grace":NaN}\n', 7, "grace nan"),
    (b'{"id":7,"op":"signal","name":"a","signal":"SIGNAL"}\n', 7, "'SIGNAL' is not a signal"),
    (b'{"id":7,"op":"spawn","spec":5}\n', 7, "spec must be an object"),
    (spawn(name="A"), 7, "'A' is not a name"),
    (spawn(argv=[]), 7, "argv names no program"),
    (spawn(argv=[""]), 7, "argv names no program"),
    (spawn(argv=["x", 5]), 7, "spec.argv[1] must be of type str"),
    (spawn(argv=["x\0"]), 7, "NUL"),
    (spawn(argv="true"), 7, "spec.argv must be a list"),
    (spawn(env=...), 7, "spec.env is missing"),
    (spawn(env={"A": 1}), 7, "spec.env.A must be of type str"),
    (spawn(env={"A=B": ""}), 7, "env has an impossible name: 'A=B'"),
    (spawn(cwd="tmp"), 7, "cwd 'tmp' is not an absolute path"),
    (spawn(user=[1]), 7, "spec.user must be a list of 2"),
    (spawn(user=[0, -1]), 7, "is negative"),
    (spawn(umask=0o1000), 7, "umask"),
    (spawn(log=""), 7, "log is an empty path"),
    (spawn(sockets=[["http", "a:b"]]), 7, "'a:b' is not a name"),
    (spawn(sockets=[["a:b", "http"]]), 7, "'a:b' is not a name"),
    (spawn(stop_signal="15"), 7, "'15' is not a signal"),
    (spawn(restart=None), 7, "spec.restart must be of type bool"),
    (spawn(parent="A"), 7, "'A' is not a name"),
    (spawn(port=1), 7, "spec.port must be of type bool"),
    (spawn(memory=1.5), 7, "spec.memory must be of type int"),
    (spawn(memory=0), 7, "memory 0 is not positive"),
    (spawn(cpu=-1), 7, "cpu -1.0 is not positive"),
    (b'{"id":7,"op":"watch","name":"a","spawn":{"name":"b"}}\n', 7, "spawn.argv is missing"),
    (b'{"id":7,"op":"forward","socket":"a"}\n', 7, "child is missing"),
    (spawn(colour="blue"), 7, "spec.colour is not known"),
]


async def test_bad_requests_are_refused_and_the_connection_goes_on(house: House) -> None:
    async with house.raw() as (reader, writer):
        for line, number, message in REFUSED:
            writer.write(line)
            answer = codec.parse(await reader.readline())
            assert answer["id"] == number, line[:80]
            assert answer["error"]["code"] == "bad-request", line[:80]
            assert message in answer["error"]["message"], line[:80]
        writer.write(b'{"id":8,"op":"listen","name":"fine"}\n')
        assert codec.parse(await reader.readline())["ok"].endswith("/s/fine")


async def test_a_line_without_end_is_refused_and_hung_up_on(house: House) -> None:
    async with house.raw() as (reader, writer):
        writer.write(b'"' + b"x" * (codec.MAX_LINE + 100))
        answer = codec.parse(await reader.readline())
        assert (answer["id"], answer["error"]["code"]) == (None, "too-long")
    client = await house.connect()
    assert await client.spawn(child("a"))


async def test_a_long_line_is_taken(client: KeeperClient) -> None:
    label = {"text": "x" * (codec.MAX_LINE - 1000)}
    await client.spawn(child("a"))
    await client.relabel("a", label)
    assert (await listed(client, "a")).label == label


async def test_half_a_line_is_no_request(house: House, client: KeeperClient) -> None:
    async with house.raw() as (reader, writer):
        writer.write(b'{"id":1,"op":"listen","name":"half"}')
        writer.write_eof()
        assert await reader.read() == b""
    assert (await client.list()).sockets == ()


async def test_who_has_nothing_more_to_say_still_hears_the_answers(house: House) -> None:
    async with house.raw() as (reader, writer):
        writer.write(spawn(name="a") + b'{"id":8,"op":"list"}\n')
        writer.write_eof()
        answers = [codec.parse(line) for line in (await reader.read()).splitlines()]
    assert {each["id"] for each in answers} == {7, 8}


async def test_requests_begin_in_the_order_sent(client: KeeperClient) -> None:
    turns = (turn for _ in range(50) for turn in (client.listen("a"), client.close_socket("a")))
    await asyncio.gather(*turns)
    assert (await client.list()).sockets == ()


async def test_a_subscriber_who_does_not_read_is_cut_off(
    house: House, client: KeeperClient
) -> None:
    label = {"text": "x" * (MAX_BACKLOG // 2)}
    async with house.raw() as (reader, writer), client.events() as events:
        writer.write(b'{"id":1,"op":"subscribe"}\n')
        await reader.readline()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(10):
            await client.spawn(child("a", "true", label=label))
            await event(events, Exited, "a")
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        held_back = len(await reader.read())  # to the end: its connection has ended
    assert held_back < 4 * MAX_BACKLOG


def test_requests_survive_the_crossing() -> None:
    spec = child(
        "a", "sh", "-c", "x", sockets=(("http", "b"),), user=(1, 2), label={"k": "☃"}, log="a.log"
    )
    served = replace(spec, port=True, forks=True, parent="warm")
    watches = Watch("a"), Watch("a", served, {"k": "v"})
    forwards = Forward("a", "b"), Forward("a", None), Refuse("a", "HTTP/1.1 503 ☃")
    others = Freeze("a", "s"), Thaw("a"), Stop("a", 1.5, frozen=True)
    for request in (Listen("a"), Spawn(spec), *watches, *forwards, *others):
        message = codec.parse(codec.encode_request(5, request))
        assert message["id"] == 5
        assert codec.decode_request(message) == request


def test_what_has_its_default_is_left_out() -> None:
    """So a keeper of an earlier release is not sent a word that it does not know, unless used."""
    message = codec.parse(codec.encode_request(5, Spawn(child("a"))))
    assert set(message["spec"]) == {"name", "argv", "env", "cwd"}
    assert codec.decode_request(message) == Spawn(child("a"))
    bounded = child("a", memory=64, cpu=0.5)
    message = codec.parse(codec.encode_request(5, Spawn(bounded)))
    assert set(message["spec"]) == {"name", "argv", "env", "cwd", "memory", "cpu"}
    assert codec.decode_request(message) == Spawn(bounded)
    assert set(codec.parse(codec.encode_request(5, Stop("a", 0.0)))) == {
        "id",
        "op",
        "name",
        "grace",
    }


def test_what_an_earlier_keeper_does_not_tell_is_not_missed() -> None:
    listing = codec.from_json(Listing, {"children": [], "sockets": [], "freezer": "cgroup"})
    assert (listing.limiter, listing.limits) == ("none", ())
    ended = {"event": "exited", "name": "a", "pid": 1, "code": None, "signal": "SIGKILL"}
    event = codec.decode_event({**ended, "label": {}, "will_restart": False})
    assert event == Exited("a", 1, None, "SIGKILL", {}, False)


def test_events_survive_the_crossing() -> None:
    view = ChildView("a", 1, 2.5, True, None, None, False, 0, True, "x", {"k": "v"}, 8000, True)
    events = (
        Started("a", 1, view),
        Frozen("a", frozen=True),
        Woken("s", "a", 0.25, thawed=True),
        Exited("a", 1, None, "SIGKILL", {"k": "v"}, will_restart=True, cause="out of memory"),
        Pending("a"),
        Notify("a", ready=True, status="x"),
    )
    assert {type(each) for each in events} == set(EVENTS.values())
    for each in events:
        assert codec.decode_event(codec.parse(codec.encode_event(each))) == each


def test_an_unknown_event_is_refused() -> None:
    with pytest.raises(KeeperError, match="unknown event 'party'"):
        codec.decode_event({"event": "party"})
