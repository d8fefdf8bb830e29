"""A stage for the gateway: a real Envoy on a free port, and small servers behind it."""

import asyncio
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from codestore.domain.routing import Access, Endpoint, Route
from codestore.domain.secret import Secret
from codestore.gateway.bootstrap import EnvoySettings, envoy_command, write_bootstrap
from codestore.gateway.envoy import EnvoyGateway
from tests.support import ports

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
# Runs a command that is killed when its parent dies. Not a preexec_fn: that would fork this process
# with gRPC's threads in it, which breaks gRPC now and then.
_DIES_WITH_PARENT = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execv(sys.argv[1], sys.argv[1:])"
)


BASE = "http://gateway.test"


@dataclass
class Request:
    """What a service saw of a request, before its body."""

    method: str
    path: str
    headers: dict[str, str]


Handler = Callable[[Request, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answer(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\n{headers}content-length: {len(body)}\r\n\r\n".encode() + body


async def read_body(request: Request, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    if "content-length" in request.headers:
        left = int(request.headers["content-length"])
        while left:
            part = await reader.read(min(left, 65536))
            left -= len(part)
            yield part
    elif request.headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readline(), 16):
            yield await reader.readexactly(size)
            await reader.readline()
        await reader.readline()


@dataclass
class Service:
    """A server behind the gateway. Without a handler it tells what it was asked."""

    name: str
    handler: Handler | None = None
    address: str = ""
    connections: int = 0
    requests: list[Request] = field(default_factory=list)
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def listen(self, path: Path | socket.socket | None = None) -> "Service":
        if isinstance(path, socket.socket):
            self._server = await asyncio.start_unix_server(self._serve, sock=path)
        elif path is not None:
            self._server = await asyncio.start_unix_server(self._serve, path)
            self.address = f"unix:{path}"
        else:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.address = f"tcp://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                first, *lines = head.strip().split("\r\n")
                method, path, _ = first.split(" ")
                pairs = (line.split(": ", 1) for line in lines)
                request = Request(method, path, {name.lower(): value for name, value in pairs})
                self.requests.append(request)
                await (self.handler or self._tell)(request, reader, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _tell(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        size = sum([len(part) async for part in read_body(request, reader)])
        told = {
            "service": self.name,
            "method": request.method,
            "path": request.path,
            "headers": request.headers,
            "body": size,
        }
        writer.write(answer(json.dumps(told).encode()))


class Moody:
    """A service that does what the path says: a status, ``silent``, ``half``, ``cut``, ``junk``."""

    def __init__(self) -> None:
        self.address = ""
        self.arrived: asyncio.Queue[Request] = asyncio.Queue()
        self.go_on = asyncio.Event()

    async def __call__(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await self.arrived.put(request)
        match request.path.strip("/"):
            case "silent":
                await asyncio.Event().wait()
            case "slow":
                await self.go_on.wait()
                writer.write(answer(b"slow"))
            case "half":
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
                await writer.drain()
                writer.close()
            case "cut":
                writer.close()
            case "junk":
                writer.write(b"this is not HTTP\r\n\r\n")
            case status:
                writer.write(answer(b"", f"{status} Said"))


@dataclass
class Stage:
    """A gateway and its Envoy in a folder of their own."""

    folder: Path
    settings: EnvoySettings
    gateway: EnvoyGateway
    client: httpx.AsyncClient
    services: list[Service] = field(default_factory=list)
    envoy: subprocess.Popen[bytes] | None = None

    async def start_envoy(self) -> None:
        command = envoy_command(self.settings, self.folder / "envoy.json")
        self.envoy = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _DIES_WITH_PARENT, *command]
        )
        await self.gateway.settled()
        await self.until_open()

    async def until_open(self) -> None:
        for _ in range(1000):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.settings.port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.002)  # nothing announces that a port was opened
            else:
                writer.close()
                return
        raise AssertionError("Envoy does not listen")

    def kill_envoy(self) -> None:
        if self.envoy is not None:
            self.envoy.kill()
            self.envoy.wait()

    def new_gateway(self, timeout: float = 5.0) -> EnvoyGateway:
        settings = self.settings
        self.gateway = EnvoyGateway(settings.xds_socket, settings.admin_socket, BASE, timeout)
        return self.gateway

    async def service(
        self, name: str, handler: Handler | None = None, tcp: bool = False
    ) -> Service:
        service = Service(name, handler)
        self.services.append(service)
        return await service.listen(None if tcp else self.folder / name)

    async def streams(self) -> Streams:
        return await asyncio.open_connection("127.0.0.1", self.settings.port)

    async def read(self, reader: asyncio.StreamReader) -> tuple[str, bytes]:
        """Read one answer: its head and its body."""
        async with asyncio.timeout(5):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            size = re.search(r"content-length: (\d+)", head)
            return head, await reader.readexactly(int(size[1]) if size else 0)

    async def raw(self, data: bytes) -> tuple[str, bytes]:
        """Send bytes as they are on a new connection; return the head and the body of an answer."""
        reader, writer = await self.streams()
        writer.write(data)
        try:
            return await self.read(reader)
        finally:
            writer.close()

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """Ask for a path exactly as it is written (an HTTP client would tidy it up)."""
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        request = f"GET {path} HTTP/1.1\r\nhost: test\r\n{lines}\r\n"
        head, body = await self.raw(request.encode())
        first, *rest = head.strip().split("\r\n")
        found = [tuple(line.split(": ", 1)) for line in rest]
        return httpx.Response(int(first.split(" ")[1]), headers=found, content=body)


@pytest.fixture
def free_port() -> int:
    return ports.free_port()


@pytest.fixture
def workers() -> int:
    """How many threads Envoy has for requests."""
    return 1


@pytest.fixture
async def stage(free_port: int, workers: int) -> AsyncIterator[Stage]:
    """An Envoy that serves the platform's own paths and nothing else yet."""
    folder = Path(tempfile.mkdtemp(prefix="cs-", dir="/tmp"))
    settings = EnvoySettings(
        port=free_port,
        control_socket=folder / "control",
        xds_socket=folder / "xds",
        admin_socket=folder / "admin",
        workers=workers,
    )
    write_bootstrap(settings, folder / "envoy.json")
    client = httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{free_port}", trust_env=False, timeout=10, verify=False
    )
    gateway = EnvoyGateway(settings.xds_socket, settings.admin_socket, BASE)
    made = Stage(folder, settings, gateway, client)
    try:
        await made.service("control")
        await made.gateway.start()
        await made.gateway.restore([])
        await made.start_envoy()
        yield made
    finally:
        made.kill_envoy()
        await client.aclose()
        await made.gateway.stop()
        for service in made.services:
            service.close()
        shutil.rmtree(folder)


@pytest.fixture
def make_route() -> Callable[..., Route]:
    """Make a route from little: a digit for the hash, keys as text, addresses as text."""

    def make(digit: str, *addresses: str, keys: tuple[str, ...] | None = None, **more) -> Route:
        return Route(
            hash=digit * 32,
            deployment=f"deployment-{digit}",
            access=Access.PUBLIC if keys is None else Access.KEY,
            keys=tuple(Secret(key) for key in keys or ()),
            endpoints=tuple(Endpoint(address) for address in addresses),
            **more,
        )

    return make


@pytest.fixture
async def moody(stage: Stage) -> Moody:
    """A service that does as it is told."""
    mood = Moody()
    mood.address = (await stage.service("moody", mood)).address
    return mood
