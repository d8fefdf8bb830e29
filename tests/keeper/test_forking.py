"""Children that a fork server starts, and what happens when it cannot."""

import asyncio
import os

import pytest

from codestore.keeper.errors import KeeperError
from codestore.keeper.protocol.client import KeeperClient
from codestore.keeper.protocol.events import EventStream
from codestore.keeper.protocol.messages import ChildView, Exited, Notify, Started
from codestore.keeper.spec import ChildSpec
from tests.keeper.house import PATH, House, alive, child, event, gone, listed, script
from tests.keeper.visits import ECHO, NOW, asleep, echoed

SERVER = """
import ctypes, json, signal, sys
names = os.environ["LISTEN_FDNAMES"].split(":")
channel = socket.socket(fileno=3 + names.index("forks"))
assert len(names) == int(os.environ["LISTEN_FDS"])
def become(request, fds):
    gate = socket.socket(fileno=fds[0])
    os.setsid()
    ctypes.CDLL(None).prctl(1, request["death_signal"], 0, 0, 0)
    if os.getppid() != request["keeper"]: os._exit(127)
    kinds = request["fds"]
    for name, number in (("stdout", 1), ("stderr", 2)):
        if name in kinds: os.dup2(fds[kinds.index(name)], number)
    listeners = [fd for fd, kind in zip(fds, kinds) if kind == "listener"]
    os.chdir(request["cwd"])
    os.umask(request["umask"])
    os.environ.clear()
    os.environ.update(request["env"], LISTEN_PID=str(os.getpid()))
    BEFORE
    gate.send(ANSWER)
    if not gate.recv(1): os._exit(127)
    gate.close()
    channel.close()
    for number, fd in enumerate(listeners): os.dup2(fd, 3 + number)
    exec(request["argv"][-1], {"os": os, "socket": socket, "say": say, "sys": sys})
    os._exit(0)
def serve():
    say("READY=1")
    while True:
        packet, fds, _, _ = socket.recv_fds(channel, 1 << 20, 64)
        if not packet: break
        middle = os.fork()
        if middle == 0:
            if os.fork() == 0:
                request = json.loads(packet)
                while os.getppid() != request["keeper"]: pass  # until the one between has gone
                become(request, fds)
            os._exit(0)
        os.waitpid(middle, 0)
        for fd in fds: os.close(fd)
LOOP
"""

DIES_LATE = """keeper = request["keeper"]
    if os.fork():
        os.kill(keeper, signal.SIGSTOP)  # so it hears of the end before it reads the answer
        gate.send(b"+")
        os._exit(0)
    while os.getppid() != keeper: pass
    os.kill(keeper, signal.SIGCONT)
    os._exit(0)"""


def server(before: str = "pass", answer: bytes = b"+", loop: str = "serve()") -> ChildSpec:
    code = SERVER.replace("BEFORE", before).replace("ANSWER", repr(answer)).replace("LOOP", loop)
    return script("warm", code, forks=True)


async def warmed(client: KeeperClient, events: EventStream, spec: ChildSpec) -> None:
    await client.spawn(spec)
    await event(events, Notify, "warm")


async def started(client: KeeperClient, spec: ChildSpec) -> ChildView:
    """Start a child; return how its start was told."""
    async with client.events() as events:
        await client.spawn(spec)
        return (await event(events, Started, spec.name)).child


async def test_a_parent_forks_a_child_that_is_like_any_other(
    house: House, client: KeeperClient
) -> None:
    path = await client.listen("blog")
    tells = """
print(os.getcwd(), oct(os.umask(0o77)), os.environ["X"], os.environ["LISTEN_FDNAMES"])
print(os.environ["LISTEN_FDS"], os.environ["LISTEN_PID"] == str(os.getpid()), flush=True)
print("oops", file=sys.stderr, flush=True)
"""
    spec = script(
        "x",
        tells + ECHO,
        parent="warm",
        env={"PATH": PATH, "X": "y"},
        cwd="/usr",
        umask=0o027,
        sockets=(("http", "blog"),),
        log="x.log",
        label={"k": "v"},
    )
    async with client.events() as events:
        await warmed(client, events, server())
        pid = await client.spawn(spec)
        told = (await event(events, Started, "x")).child
        assert (told.pid, told.forked, told.label) == (pid, True, {"k": "v"})
        assert (await event(events, Notify, "x")).ready
        assert await echoed(path, b"hello") == b"hello"
        assert os.getsid(pid) == pid
        await asleep(client, "x", "blog")
        assert await echoed(path, b"hello") == b"hello"
        await client.stop("x")
        ended = await event(events, Exited, "x")
    assert (ended.signal, ended.label) == ("SIGTERM", {"k": "v"})
    assert sorted(text for _, _, text in house.log("x.log")) == [
        "/usr 0o27 y http",
        "1 True",
        "oops",
    ]


async def test_a_forked_child_comes_back(client: KeeperClient) -> None:
    async with client.events() as events:
        await warmed(client, events, server())
        await client.spawn(script("x", "os._exit(3)", parent="warm", restart=True))
        for _ in range(2):
            assert (await event(events, Started, "x")).child.forked is True
            assert (await event(events, Exited, "x")).code == 3
        await client.stop("x")


async def test_a_visitor_wakes_a_child_by_its_parent(client: KeeperClient) -> None:
    path = await client.listen("blog")
    async with client.events() as events:
        await warmed(client, events, server())
        sockets = (("http", "blog"),)
        await client.watch("blog", script("echo", ECHO, parent="warm", sockets=sockets))
        assert await echoed(path, b"hello") == b"hello"
        assert (await listed(client, "echo")).forked is True


async def test_many_are_forked_at_once(client: KeeperClient) -> None:
    async with client.events() as events:
        await warmed(client, events, server())
        specs = [script(f"x{n}", "import signal\nsignal.pause()", parent="warm") for n in range(20)]
        pids = await asyncio.gather(*map(client.spawn, specs))
    assert len(set(pids)) == 20
    children = (await client.list()).children
    assert {each.forked for each in children if each.name.startswith("x")} == {True}


async def test_a_port_is_given_to_a_forked_child_too(client: KeeperClient) -> None:
    path = await client.listen("blog")
    await client.forward("blog", "echo")
    async with client.events() as events:
        await warmed(client, events, server())
        await client.spawn(script("echo", NOW, parent="warm", port=True))
        assert await echoed(path, b"hello") == b"hello"
    assert (await listed(client, "echo")).forked is True


@pytest.mark.parametrize(
    "spec",
    [
        child("warm"),
        server(before="os._exit(1)"),
        server(answer=b"-no room"),
        server(answer=b"nonsense"),
        server(before=DIES_LATE),
        server(loop="say('READY=1'); channel.close(); signal.pause()"),
        server(loop="say('STATUS=never ready'); signal.pause()"),
        server(loop="say('READY=1'); signal.pause()"),
    ],
    ids=["no-server", "dies", "refuses", "babbles", "dies-late", "deaf", "not-ready", "silent"],
)
async def test_where_nobody_can_fork_the_child_is_executed(
    client: KeeperClient, spec: ChildSpec
) -> None:
    async with client.events() as events:
        await client.spawn(spec)
        if "say" in spec.argv[-1]:
            await event(events, Notify, "warm")
        told = await started(client, child("x", parent="warm"))
        assert (told.forked, alive(told.pid)) == (False, True)
        await client.signal("x", "SIGTERM")
        assert (await event(events, Exited, "x")).signal == "SIGTERM"


async def test_a_parent_that_is_not_there_or_not_fit_is_not_asked(client: KeeperClient) -> None:
    async with client.events() as events:
        assert (await started(client, child("a", parent="warm"))).forked is False
        await warmed(client, events, server())
        too_long = {"PATH": PATH} | {f"X{n}": "x" * 60_000 for n in range(8)}
        assert (await started(client, child("b", parent="warm", env=too_long))).forked is False
        await client.listen("blog")
        await asleep(client, "warm", "blog")
        assert (await started(client, child("c", parent="warm"))).forked is False
        await client.thaw("warm")
        assert (await started(client, child("d", parent="warm", forks=True))).forked is False
        if os.geteuid() == 0:
            told = await started(client, child("e", parent="warm", user=(65534, 65534)))
            assert told.forked is False
        pause = "import signal\nsignal.pause()"
        assert (await started(client, script("f", pause, parent="warm"))).forked is True
        await client.stop("warm", 0)
        await event(events, Exited, "warm")
        assert alive((await listed(client, "f")).pid)
        assert (await started(client, child("g", parent="warm"))).forked is False


async def test_what_a_child_cannot_be_started_for_is_still_told(client: KeeperClient) -> None:
    with pytest.raises(KeeperError, match="No such file"):
        await client.spawn(child("x", "/no/such/program", parent="warm"))


async def test_the_forked_die_with_the_keeper(own_house: House) -> None:
    client = await own_house.connect()
    async with client.events() as events:
        await warmed(client, events, server())
        pid = await client.spawn(script("x", "import signal\nsignal.pause()", parent="warm"))
    assert (await listed(client, "x")).forked is True
    await own_house.kill()
    await gone(pid)
