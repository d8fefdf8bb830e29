"""The network of a cell: its own loopback, chosen ports of the host's, and what is far away."""

import json
import os
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from codestore import keeper
from codestore.keeper import processes
from codestore.keeper.protocol.client import KeeperClient
from codestore.keeper.protocol.messages import Exited, Notify, Started
from codestore.keeper.walls import network
from tests.keeper.house import PATIENCE, VIEW, House, alive, child, event, gone, run, script
from tests.keeper.test_users import NOBODY, OLD, PYTHON

SERVE = """
with socket.create_server(("127.0.0.1", int(os.environ["PORT"]))) as server:
    while True:
        visitor, _ = server.accept()
        with visitor:
            visitor.sendall(b"served")
"""
TRY = """
import json
def attempt(place):
    try:
        with socket.create_connection(place, timeout=20) as plug:
            return plug.recv(10).decode()
    except OSError as refused:
        return refused.strerror or str(refused)
print(json.dumps([attempt(tuple(place)) for place in json.loads(sys.argv[-1])]), flush=True)
"""
ASK = """
import json
print(json.dumps([socket.gethostbyname("codestore.test")]), flush=True)
"""
GREETING = b"greeted"
LOST = "Connection refused"
NOWHERE = {"No route to host", "Network is unreachable"}
OUTSIDE, HERE = "198.51.100.2", "198.51.100.1"  # of nobody: RFC 5737
FOUND = "203.0.113.7"
DISTANT = f"""
import socket, sys
with socket.create_server(("{OUTSIDE}", 7777)) as server:
    print("ready", flush=True)
    while True:
        visitor, _ = server.accept()
        with visitor:
            visitor.sendall(b"far away")
"""
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to furnish a host")


@contextmanager
def greeter(address: str = "127.0.0.1") -> Iterator[int]:
    """A port of the host's at which somebody greets."""

    class Greet(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(GREETING)

    with socketserver.ThreadingTCPServer((address, 0), Greet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def neighbour() -> Iterator[int]:
    with greeter() as port:
        yield port


@pytest.fixture
async def client(empty_house: House, neighbour: int) -> KeeperClient:
    """Of a keeper whose children find the neighbour at their own loopback."""
    return await reaching(empty_house, neighbour)


async def reaching(house: House, port: int, *before: str) -> KeeperClient:
    arguments = ["--reach", str(port), *house.arguments()]
    client = await house.started([*before, sys.executable, "-m", "codestore.keeper", *arguments])
    listing = await client.list()
    if listing.walls != "cell" or listing.exposed:
        pytest.skip(listing.breach or listing.exposed)
    return client


async def tried(
    house: House,
    client: KeeperClient,
    *places: tuple[str, int],
    code: str = TRY,
    python: str = sys.executable,
) -> list[str]:
    """What a walled child gets there."""
    spec = script("x", code, python, log="x.log", view=VIEW)
    ended = await run(client, replace(spec, argv=(*spec.argv, json.dumps(places))))
    lines = [text for _, _, text in house.log("x.log")]
    assert (ended.code, ended.signal) == (0, None), lines
    found: list[str] = json.loads(lines[-1])
    return found


async def test_of_the_hosts_loopback_only_what_was_said_is_found(
    empty_house: House, client: KeeperClient, neighbour: int
) -> None:
    with greeter() as stranger:
        found = await tried(empty_house, client, ("127.0.0.1", neighbour), ("127.0.0.1", stranger))
    assert found == [GREETING.decode(), LOST]


async def test_addresses_of_the_host_and_of_metadata_lead_nowhere(
    empty_house: House, client: KeeperClient
) -> None:
    metadata = ["169.254.169.254", "100.100.100.200", "168.63.129.16", "fd00:ec2::254"]
    with greeter("0.0.0.0") as open_port:
        places = [(each, open_port) for each in network.addresses_of_host()]
        found = await tried(empty_house, client, *((each, 80) for each in metadata), *places)
    assert set(found) <= NOWHERE


@root_only
@pytest.mark.skipif(shutil.which("ip") is None, reason="needs iproute2")
async def test_what_is_outside_is_reached_and_the_host_is_not(
    empty_house: House, client: KeeperClient
) -> None:
    with outside(), greeter("0.0.0.0") as open_port:
        found = await tried(empty_house, client, (OUTSIDE, 7777), (HERE, open_port))
    assert found[0] == "far away"
    assert found[1] in NOWHERE


@contextmanager
def outside() -> Iterator[None]:
    """Another machine, as far as a machine is one: a namespace of its own behind a cable."""
    plug_in = f"ip addr add {OUTSIDE}/24 dev there && ip link set there up"
    begin = f'echo alone && read -r _ && {plug_in} && exec "$0" -c "$1"'
    command = ["unshare", "--net", "sh", "-c", begin, sys.executable, DISTANT]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "bufsize": 0}
    with subprocess.Popen(command, **pipes) as other:
        assert other.stdin and other.stdout
        try:
            assert other.stdout.readline() == b"alone\n"
            cable = f"ip link add here type veth peer name there netns {other.pid}"
            for each in (cable, f"ip addr add {HERE}/24 dev here", "ip link set here up"):
                subprocess.run(each.split(), check=True)
            other.stdin.write(b"\n")
            assert other.stdout.readline() == b"ready\n"
            yield
        finally:
            other.kill()
            subprocess.run(["ip", "link", "del", "here"], check=False, stderr=subprocess.DEVNULL)


@root_only
async def test_names_are_resolved_also_by_one_at_the_hosts_loopback(
    empty_house: House, neighbour: int
) -> None:
    with resolver("127.0.0.99"):
        file = empty_house.root / "resolv.conf"
        file.write_text("nameserver 127.0.0.99\n")
        mount = f'mount --bind {file} /etc/resolv.conf && exec "$0" "$@"'
        client = await reaching(empty_house, neighbour, "unshare", "-m", "sh", "-c", mount)
        assert await tried(empty_house, client, code=ASK) == [FOUND]


@contextmanager
def resolver(address: str) -> Iterator[None]:
    """Whoever asks for whatever name is told one address."""

    class Answer(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            asked, plug = self.request
            question = asked[12 : asked.index(b"\0", 12) + 5]
            told = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(FOUND)
            head = asked[:2] + b"\x81\x80\0\1\0\1\0\0\0\0"
            plug.sendto(head + question + told, self.client_address)

    with socketserver.UDPServer((address, 53), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield
        server.shutdown()
        thread.join()


async def test_who_has_a_port_is_called_by_it_and_does_not_see_the_hosts(
    client: KeeperClient,
) -> None:
    async with client.events() as events:
        await client.spawn(script("server", SERVE, port=True, view=VIEW))
        started = await event(events, Started, "server")
        port = started.child.port
        assert (await event(events, Notify, "server")).ready
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plug:
            assert plug.recv(10) == b"served"


@root_only
@pytest.mark.skipif(bool(OLD), reason=f"{PYTHON} is too old")
async def test_an_ordinary_users_cells_have_networks_too(
    empty_house: House, neighbour: int
) -> None:
    sources = Path(keeper.__file__).parent
    shutil.copytree(sources, empty_house.root / "codestore" / "keeper")
    os.chown(empty_house.root, NOBODY, NOBODY)
    arguments = ["--reach", str(neighbour), *empty_house.arguments()]
    command = [PYTHON, "-m", "codestore.keeper", *arguments]
    client = await empty_house.started(command, user=NOBODY, group=NOBODY, extra_groups=[])
    listing = await client.list()
    if listing.walls != "cell" or listing.exposed:
        pytest.skip(listing.breach or listing.exposed)
    with greeter() as stranger:
        places = [("127.0.0.1", neighbour), ("127.0.0.1", stranger), ("169.254.169.254", 80)]
        found = await tried(empty_house, client, *places, python=PYTHON)
    assert found[:2] == [GREETING.decode(), LOST]
    assert found[2] in NOWHERE


async def test_ports_are_apart(empty_house: House, client: KeeperClient) -> None:
    async with client.events() as events:
        await client.spawn(script("server", SERVE, port=True, view=VIEW))
        port = (await event(events, Started, "server")).child.port
        assert (await event(events, Notify, "server")).ready
        assert await tried(empty_house, client, ("127.0.0.1", port)) == [LOST]


async def test_without_its_network_it_ends(client: KeeperClient) -> None:
    async with client.events() as events:
        pid = await client.spawn(child("x", view=VIEW, port=True, restart=True))
        port = (await event(events, Started, "x")).child.port
        os.kill(connection_of(port), signal.SIGKILL)
        ended = await event(events, Exited, "x")
        assert (ended.signal, ended.cause) == ("SIGKILL", "its network ended")
        assert (await event(events, Started, "x")).pid != pid


async def test_its_network_ends_with_it(client: KeeperClient) -> None:
    async with client.events() as events:
        await client.spawn(child("x", view=VIEW, port=True))
        connection = connection_of((await event(events, Started, "x")).child.port)
    await client.stop("x", 0)
    await gone(connection)


def connection_of(port: int) -> int:
    """The process that leads a port of the host's into a cell."""
    for each in psutil.process_iter(["cmdline"]):
        if f"127.0.0.1/{port}" in (each.info["cmdline"] or ()):
            return int(each.pid)
    raise AssertionError(f"nobody leads {port} anywhere")


async def test_networks_end_with_the_keeper(empty_house: House, client: KeeperClient) -> None:
    await client.spawn(child("x", view=VIEW))
    assert empty_house.keeper
    below = processes.children_of(empty_house.keeper.pid)
    await empty_house.kill()
    for pid in below:
        await gone(pid)
    assert not [pid for pid in below if alive(pid)]
