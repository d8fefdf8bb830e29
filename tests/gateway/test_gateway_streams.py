"""Nothing is held back: bodies stream both ways, events arrive as they happen, sockets upgrade."""

import asyncio
import shutil

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import unix_serve

A = "a" * 32
MEGABYTES_5 = 5 * 1024 * 1024


async def test_events_arrive_one_by_one(stage, make_route):
    step = asyncio.Event()

    async def events(request, reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n")
        writer.write(b"transfer-encoding: chunked\r\n\r\n")
        for number in range(3):
            writer.write(b"9\r\ndata: %d\n\n\r\n" % number)
            await writer.drain()
            await step.wait()
            step.clear()
        writer.write(b"0\r\n\r\n")

    service = await stage.service("a", events)
    await stage.gateway.publish(make_route("a", service.address))
    async with stage.client.stream("GET", f"/{A}/events") as response:
        seen = []
        async for part in response.aiter_bytes():
            seen.append(part)
            step.set()  # the next one is sent only after this one was read
    assert seen == [b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n"]


async def test_a_request_body_reaches_the_service_while_it_is_being_sent(stage, make_route):
    arrived = asyncio.Queue()

    async def collect(request, reader, writer):
        while size := int(await reader.readline(), 16):
            await arrived.put(await reader.readexactly(size))
            await reader.readline()
        await reader.readline()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    async def body():
        for part in (b"one", b"two", b"three"):
            yield part
            assert await arrived.get() == part  # before the next one is sent

    service = await stage.service("a", collect)
    await stage.gateway.publish(make_route("a", service.address))
    assert (await stage.client.post(f"/{A}/x", content=body())).status_code == 200


@pytest.mark.parametrize("tcp", [True, False], ids=["tcp", "unix"])
async def test_large_bodies_pass_both_ways(stage, make_route, tcp):
    async def echo(request, reader, writer):
        size = int(request.headers["content-length"])
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n".encode())
        while size:
            part = await reader.read(65536)
            size -= len(part)
            writer.write(part)
            await writer.drain()

    service = await stage.service("a", echo, tcp=tcp)
    await stage.gateway.publish(make_route("a", service.address))
    sent = bytes(range(256)) * (MEGABYTES_5 // 256)
    response = await stage.client.post(f"/{A}/x", content=sent)
    assert response.content == sent


async def test_websockets_pass_with_a_key_only(stage, make_route):
    async def echo(socket):
        async for message in socket:
            await socket.send(f"{socket.request.path} {message}")

    path = stage.folder / "ws"
    url = f"ws://127.0.0.1:{stage.settings.port}/{A}/chat"
    async with unix_serve(echo, str(path)):
        await stage.gateway.publish(make_route("a", f"unix:{path}", keys=("k",)))
        key = {"x-user-authorization": "k"}
        async with connect(url, additional_headers=key, proxy=None) as socket:
            for message in ("one", "two"):
                await socket.send(message)
                assert await socket.recv() == f"/chat {message}"
        with pytest.raises(Exception, match="401"):
            async with connect(url, proxy=None):
                pass


@pytest.mark.skipif(not shutil.which("curl"), reason="needs a client for HTTP/2 without TLS")
async def test_http_2_is_spoken_without_tls(stage, make_route):
    service = await stage.service("a")
    await stage.gateway.publish(make_route("a", service.address, keys=("k",)))
    for key, expected in (("k", b"2 200"), ("x", b"2 403")):
        curl = await asyncio.create_subprocess_exec(
            *("curl", "-s", "--http2-prior-knowledge", "-o", "/dev/null", "--noproxy", "*"),
            *("-w", "%{http_version} %{http_code}", "-H", f"x-user-authorization: {key}"),
            f"http://127.0.0.1:{stage.settings.port}/{A}/x",
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await curl.communicate()
        assert out == expected
