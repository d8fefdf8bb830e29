"""How the gateway grows with the number of routes.

For 10 to 2,000 deployments: how long it takes from ``publish`` to the first 200 through the port,
how long a new Envoy takes from its start to its first answer, and how much memory a route costs it.

    python bench/gateway_routes.py [routes ...]
"""

import asyncio
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from codestore.domain.routing import Access, Endpoint, Route
from codestore.domain.secret import Secret
from codestore.gateway.bootstrap import EnvoySettings, envoy_command, write_bootstrap
from codestore.gateway.envoy import EnvoyGateway

SIZES = (10, 100, 1000, 2000)
ROUNDS = 20
KEY = "k" * 40


def route(number: int, address: str) -> Route:
    hash_ = f"{number:032x}"
    return Route(hash_, hash_, Access.KEY, (Secret(KEY),), (Endpoint(address),))


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.readline():
        while await reader.readline() != b"\r\n":
            pass
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    writer.close()


async def status(port: int, hash_: str) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"GET /{hash_}/ HTTP/1.1\r\nhost: x\r\nx-user-authorization: {KEY}\r\n\r\n".encode()
    )
    answer = await reader.readline()
    writer.close()
    return int(answer.split(b" ")[1])


async def until_200(port: int, hash_: str, started: float) -> float:
    """Give the milliseconds from ``started`` to the first 200."""
    while True:
        try:
            if await status(port, hash_) == 200:
                return (time.perf_counter() - started) * 1000
        except ConnectionError:
            await asyncio.sleep(0.001)


def memory(pid: int) -> int:
    """Give the resident memory of a process in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


async def measure(size: int, folder: Path) -> tuple[float, float, float, int]:
    """Give the start, the median and the slowest publish (ms), and the memory (KiB)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = EnvoySettings(port, folder / "control", folder / "xds", folder / "admin")
    write_bootstrap(settings, folder / "envoy.json")
    service = await asyncio.start_unix_server(serve, folder / "service")
    address = f"unix:{folder}/service"
    gateway = EnvoyGateway(settings.xds_socket, settings.admin_socket, "http://bench", timeout=60)
    await gateway.start()
    await gateway.restore([route(number, address) for number in range(size)])
    started = time.perf_counter()
    envoy = subprocess.Popen(envoy_command(settings, folder / "envoy.json"))
    try:
        start = await until_200(port, f"{size - 1:032x}", started)
        await gateway.settled()
        used = memory(envoy.pid)
        publishes = []
        for number in range(size, size + ROUNDS):
            started = time.perf_counter()
            await gateway.publish(route(number, address))
            publishes.append(await until_200(port, f"{number:032x}", started))
        return start, statistics.median(publishes), max(publishes), used
    finally:
        envoy.kill()
        envoy.wait()
        await gateway.stop()
        service.close()


async def main(sizes: tuple[int, ...]) -> None:
    print(f"{'routes':>8} {'start ms':>9} {'publish ms':>11} {'slowest ms':>11} {'memory MiB':>11}")
    first: tuple[int, int] | None = None
    for size in sizes:
        folder = Path(tempfile.mkdtemp(prefix="cs-", dir="/tmp"))
        try:
            start, middle, slowest, used = await measure(size, folder)
        finally:
            shutil.rmtree(folder)
        print(f"{size:8} {start:9.0f} {middle:11.2f} {slowest:11.2f} {used / 1024:11.1f}")
        first = first or (size, used)
    if first and size > first[0]:
        print(f"{(used - first[1]) / (size - first[0]):.1f} KiB per route")


if __name__ == "__main__":
    asyncio.run(main(tuple(int(size) for size in sys.argv[1:]) or SIZES))
