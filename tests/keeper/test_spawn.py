"""Starting children: what they are given, and what is refused."""

import asyncio
from pathlib import Path

import pytest

from codestore.keeper.errors import KeeperError
from codestore.keeper.protocol.client import KeeperClient
from codestore.keeper.protocol.messages import Exited, Notify, Started
from tests.keeper.house import PATIENCE, House, alive, child, event, listed, run, script

ECHO = """
listener = socket.socket(fileno=3)
visitor, _ = listener.accept()
visitor.sendall(visitor.recv(100).upper())
"""


async def talk(path: str, text: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(text)
    answer = await reader.read()
    writer.close()
    return answer


async def test_a_child_serves_from_the_socket_it_is_handed(client: KeeperClient) -> None:
    path = await client.listen("blog")
    visit = asyncio.create_task(talk(path, b"hello"))  # waits in the queue: nobody accepts yet
    await client.spawn(script("echo", ECHO, sockets=(("http", "blog"),)))
    assert await visit == b"HELLO"


async def test_two_children_share_one_socket(client: KeeperClient) -> None:
    path = await client.listen("blog")
    for name in ("one", "two"):
        await client.spawn(script(name, ECHO, sockets=(("http", "blog"),)))
    assert await talk(path, b"a") == b"A"
    assert await talk(path, b"b") == b"B"


async def test_handover_follows_socket_activation(house: House, client: KeeperClient) -> None:
    paths = [await client.listen(name) for name in ("shared", "private")]
    code = """
print(os.environ["LISTEN_FDS"], os.environ["LISTEN_PID"] == str(os.getpid()))
print(os.environ["LISTEN_FDNAMES"])
for fd in (3, 4): print(socket.socket(fileno=os.dup(fd)).getsockname())
print(sorted(int(fd) for fd in os.listdir("/proc/self/fd") if int(fd) < 100))
"""
    await run(
        client,
        script("x", code, sockets=(("own", "private"), ("http", "shared")), log="x.log"),
    )
    said = [text for _, _, text in house.log("x.log")]
    assert said[:4] == ["2 True", "own:http", paths[1], paths[0]]
    assert said[4] == "[0, 1, 2, 3, 4, 5]"  # 5 is the folder being listed: nothing leaks


async def test_the_environment_is_exactly_what_was_given(
    house: House, client: KeeperClient
) -> None:
    given = {"PATH": "/bin:/usr/bin", "COLOUR": "blue = ☃", "LISTEN_PID": "1", "EMPTY": ""}
    await run(client, child("x", "env", "-0", env=given, log="x.log"))
    seen = (house.logs / "x.log").read_text().split(" ", 3)[3].strip().split("\0")
    assert sorted(seen[:-1]) == sorted(
        [
            "PATH=/bin:/usr/bin",
            "COLOUR=blue = ☃",
            "EMPTY=",
            f"NOTIFY_SOCKET={house.run}/n/notify.sock",
        ]
    )


async def test_a_child_starts_clean(house: House, client: KeeperClient) -> None:
    code = """
import signal
blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
status = open("/proc/self/status").read()
own = 1 << 12 | 1 << 24 | 3 << 31  # Python's, and those that libc keeps to itself
ignored = int(status.split("SigIgn:")[1].split()[0], 16) & ~own
print(len(blocked), ignored, os.getsid(0) == os.getpid(), os.getcwd(), sys.stdin.read() == "")
os.umask(umask := os.umask(0)); print(oct(umask))
"""
    await run(client, script("x", code, cwd="/usr", umask=0o027, log="x.log"))
    assert [text for _, _, text in house.log("x.log")] == ["0 0 True /usr True", "0o27"]


async def test_spawning_twice_returns_the_same_pid_while_it_runs(client: KeeperClient) -> None:
    first, second = await asyncio.gather(client.spawn(child("a")), client.spawn(child("a")))
    assert first == second == await client.spawn(child("a"))
    async with client.events() as events:
        await client.stop("a")
        await event(events, Exited, "a")
        assert await client.spawn(child("a")) != first


async def test_events_tell_of_start_and_end(client: KeeperClient) -> None:
    async with client.events() as events:
        pid = await client.spawn(child("a", "sh", "-c", "exit 3", label={"deployment": "d1"}))
        told = await anext(events)
        assert isinstance(told, Started) and (told.name, told.pid) == ("a", pid)
        assert told.child.running and told.child.label == {"deployment": "d1"}
        assert await anext(events) == Exited("a", pid, 3, None, {"deployment": "d1"}, False)


async def test_an_end_by_signal_has_its_name(client: KeeperClient) -> None:
    async with client.events() as events:
        await client.spawn(child("a"))
        await client.signal("a", "SIGUSR1")
        ended = await event(events, Exited, "a")
    assert (ended.code, ended.signal) == (None, "SIGUSR1")
    view = await listed(client, "a")
    assert (view.running, view.code, view.signal) == (False, None, "SIGUSR1")


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (child("a", "/no/such/program"), "running /no/such/program: No such file or directory"),
        (child("a", "no-such-program"), "running no-such-program: No such file or directory"),
        (child("a", "/etc/passwd"), "running /etc/passwd: Permission denied"),
        (child("a", cwd="/no/such/folder"), "entering /no/such/folder: No such file or directory"),
    ],
)
async def test_what_cannot_be_executed_is_an_error_with_its_reason(
    client: KeeperClient, spec: object, reason: str
) -> None:
    async with client.events() as events:
        with pytest.raises(KeeperError) as refused:
            await client.spawn(spec)  # type: ignore[arg-type]
        assert (refused.value.code, refused.value.message) == ("exec", reason)
        assert [each.name for each in (await client.list()).children] == ["control"]
        await client.spawn(child("a"))
        assert isinstance(await anext(events), Started)  # and nothing was told of the failure


async def test_a_socket_that_is_not_held_is_from_then_on(client: KeeperClient) -> None:
    await client.spawn(child("a", sockets=(("http", "fresh"),)))
    assert "fresh" in [each.name for each in (await client.list()).sockets]


async def test_a_listing_tells_everything(client: KeeperClient) -> None:
    before = (await listed(client, "control")).started_at
    pid = await client.spawn(child("a", label={"k": "v"}))
    view = await listed(client, "a")
    assert before <= view.started_at < before + 30
    assert (view.pid, view.running, view.code, view.signal) == (pid, True, None, None)
    assert (view.restarts, view.ready, view.status, view.label) == (0, False, "", {"k": "v"})


async def test_forgetting_is_for_those_who_ended(client: KeeperClient) -> None:
    await client.spawn(child("a"))
    with pytest.raises(KeeperError) as refused:
        await client.forget("a")
    assert refused.value.code == "running"
    async with client.events() as events:
        await client.stop("a")
        await event(events, Exited, "a")
    await client.forget("a")
    await client.forget("a")
    assert [each.name for each in (await client.list()).children] == ["control"]


async def test_the_keeper_adopts_and_reaps_orphans(house: House, client: KeeperClient) -> None:
    code = """
told, tell = os.pipe()
if not os.fork():
    os.setsid()  # or the keeper would kill it with its leader
    pid = os.fork() or os.execvp("sleep", ["sleep", "0.05"])
    os.write(tell, b"%d" % pid)
    os._exit(0)
os.write(1, os.read(told, 20))
"""
    await run(client, script("x", code, log="x.log"))
    orphan = int(house.log("x.log")[0][2])
    async with asyncio.timeout(PATIENCE):
        while Path(f"/proc/{orphan}").exists():  # a zombie would stay for ever
            await asyncio.sleep(0.01)


async def test_a_hundred_children_start_and_end(client: KeeperClient) -> None:
    names = [f"c{number}" for number in range(100)]
    async with client.events() as events:
        pids = await asyncio.gather(*(client.spawn(child(name)) for name in names))
        assert len(set(pids)) == 100
        await asyncio.gather(*(client.stop(name) for name in names))
        ended: set[str] = set()
        while len(ended) < 100:
            each = await anext(events)
            if isinstance(each, Exited):
                ended.add(each.name)
    assert not any(map(alive, pids))


async def test_a_child_cannot_signal_the_keeper_through_its_wakeup_socket(
    house: House, client: KeeperClient
) -> None:
    # Signals sent between fork and exec once looked as if sent to the keeper itself.
    for round_ in range(20):
        spawning = asyncio.create_task(client.spawn(child(f"a{round_}")))
        stopping = asyncio.create_task(client.stop(f"a{round_}", 0))
        await asyncio.wait([spawning, stopping])
        spawning.exception(), stopping.exception()
    assert house.keeper and house.keeper.poll() is None
    assert (await listed(client, "control")).running


async def test_a_signal_goes_to_the_leader_or_to_its_group(
    house: House, client: KeeperClient
) -> None:
    code = """
import signal
leader, both = os.getpid(), {signal.SIGUSR1, signal.SIGUSR2}
signal.pthread_sigmask(signal.SIG_BLOCK, both)
if os.fork(): say("READY=1")
while True:
    number = signal.sigwait(both)
    who = "leader" if os.getpid() == leader else "helper"
    os.write(1, f"{who} {number}\\n".encode())
"""
    async with client.events() as events:
        await client.spawn(script("x", code, log="x.log"))
        await event(events, Notify, "x")
        await client.signal("x", "SIGUSR1", group=False)
        await client.signal("x", "SIGUSR2")
    expected = {"leader 10", "leader 12", "helper 12"}
    async with asyncio.timeout(PATIENCE):
        while not (house.logs / "x.log").exists() or len(house.log("x.log")) < 3:
            await asyncio.sleep(0.01)
    assert {text for _, _, text in house.log("x.log")} == expected


async def test_who_has_ended_takes_no_signal(client: KeeperClient) -> None:
    await run(client, child("a", "true"))
    with pytest.raises(KeeperError, match="not-running"):
        await client.signal("a", "SIGTERM")


async def test_a_new_label_is_remembered_and_comes_back_at_the_end(client: KeeperClient) -> None:
    async with client.events() as events:
        await client.spawn(child("x", label={"phase": "starting"}))
        await client.relabel("x", {"phase": "serving"})
        assert (await listed(client, "x")).label == {"phase": "serving"}
        await client.stop("x", 5)
        assert (await event(events, Exited, "x")).label == {"phase": "serving"}
    with pytest.raises(KeeperError, match="not-found"):
        await client.relabel("nobody", {})
