"""A service reaches its own network, the gateway and the outside world, and nothing of others."""

import socket
import socketserver
import threading
from collections.abc import Iterator

import httpx
import psutil
import pytest

from codestore.keeper.walls.network import addresses_of_host
from tests.attacks.inside.conftest import Intruder, Scene

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("attacks-inside")]

METADATA = {
    "Amazon, Google, Microsoft": "169.254.169.254",
    "containers of Amazon": "169.254.170.2",
    "Amazon, IPv6": "fd00:ec2::254",
    "Alibaba": "100.100.100.200",
    "Azure": "168.63.129.16",
    "Oracle": "192.0.0.192",
}


@pytest.fixture(scope="module", autouse=True)
def _walled(scene: Scene) -> None:
    walls = scene.platform.status()["walls"]
    if walls["kind"] != "cell" or walls["exposed"]:
        pytest.skip(walls["why"] or walls["exposed"])


@pytest.fixture(scope="module")
def port(scene: Scene) -> int:
    """Where the victim that is a command can be called on the host, without a key."""
    listening = {
        each.laddr.port
        for each in psutil.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN and each.pid and _is_ours(each.pid, scene.keeper)
    }
    for found in sorted(listening - {scene.platform.port}):
        try:
            if httpx.get(f"http://127.0.0.1:{found}", timeout=5, verify=False).text == "well":
                return int(found)
        except httpx.HTTPError:
            continue
    raise AssertionError(f"nobody answers at {listening}")


def _is_ours(pid: int, keeper: int) -> bool:
    try:
        return keeper in {each.pid for each in psutil.Process(pid).parents()}
    except psutil.Error:  # somebody else's, which has ended meanwhile
        return False


@pytest.fixture(scope="module")
def echo() -> Iterator[int]:
    """A UDP port at all addresses of the host, which answers everybody."""

    class Echo(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request[1].sendto(b"heard", self.client_address)

    with socketserver.UDPServer(("0.0.0.0", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_of_the_loopback_only_the_gateway_is_found(intruder: Intruder, scene: Scene) -> None:
    assert intruder.attack("scan")["got"] == str(scene.platform.port)


def test_the_port_of_a_command_is_not_reached(intruder: Intruder, port: int) -> None:
    for address in ("127.0.0.1", "127.0.1.1", "localhost", "0.0.0.0", *addresses_of_host()):
        intruder.is_refused("connect_tcp", address=address, port=port)


def test_what_listens_at_all_addresses_of_the_host_is_not_reached(
    intruder: Intruder, echo: int
) -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:
        for address in ("127.0.0.1", *addresses_of_host()):
            intruder.is_refused("connect_tcp", address=address, port=server.getsockname()[1])
            intruder.is_refused("ask_udp", address=address, port=echo)


@pytest.mark.parametrize("address", METADATA.values(), ids=METADATA)
def test_metadata_is_not_reached(intruder: Intruder, address: str) -> None:
    told = intruder.attack("connect_tcp", address=address, port=80)
    assert "o route" in told["refused"] or "unreachable" in told["refused"], told


def test_ways_cannot_be_opened(intruder: Intruder) -> None:
    intruder.is_refused("route_by_netlink")
    intruder.is_refused("change_address")
    for address in (*addresses_of_host(), "100.100.100.200"):
        intruder.is_refused("open_the_way", address=address)


def test_its_own_loopback_and_database_are_reached(intruder: Intruder) -> None:
    assert intruder.attack("own_loopback")["got"] == "heard x"
    assert intruder.attack("own_database")["got"] == "connected"


def test_services_are_called_by_their_urls(intruder: Intruder, scene: Scene) -> None:
    for victim in (scene.victim, scene.command):
        told = intruder.attack("call_url", url=victim["url"], key=victim["key"])
        assert told["got"] == "well"
        assert "403" in intruder.attack("call_url", url=victim["url"], key="none")["refused"]
