"""Bodies that are too large are refused wherever they begin to be; the others are left alone."""

import asyncio
import http.client

import httpx
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded, StreamReset
from websockets.asyncio.client import connect
from websockets.asyncio.server import unix_serve

from codestore.domain.routing import Limits
from tests.gateway.conftest import answer, read_body
from tests.gateway.test_gateway_rules import check_problem

A = "a" * 32
PART = b"0123456789abcdef" * 64  # 1 KiB
PATIENCE = 20.0


async def parts(count):
    for _ in range(count):
        yield PART


async def echo(request, reader, writer):
    body = b"".join([part async for part in read_body(request, reader)])
    writer.write(answer(body))


async def test_a_body_of_unknown_length_passes_up_to_the_limit_and_arrives_intact(
    stage, make_route
):
    service = await stage.service("a", echo)
    limits = Limits(max_body=64 * 1024)
    await stage.gateway.publish(make_route("a", service.address, limits=limits))
    base = str(stage.client.base_url)
    async with httpx.AsyncClient(
        base_url=base, http1=False, http2=True, trust_env=False, verify=False
    ) as second:
        for client in (stage.client, second):
            response = await client.post(f"/{A}/x", content=parts(64))
            assert response.content == PART * 64
            check_problem(await client.post(f"/{A}/x", content=parts(65)), 413, "too_large")
            assert (await client.get(f"/{A}/x")).status_code == 200


async def test_a_limited_body_is_not_held_back(stage, make_route):
    arrived = asyncio.Queue()

    async def tell(request, reader, writer):
        async for part in read_body(request, reader):
            await arrived.put(part)
        writer.write(answer(b""))

    async def body():
        for part in (b"one", b"two"):
            yield part
            assert await arrived.get() == part  # before the next one is sent

    service = await stage.service("a", tell)
    limits = Limits(max_body=1024)
    await stage.gateway.publish(make_route("a", service.address, limits=limits))
    assert (await stage.client.post(f"/{A}/x", content=body())).status_code == 200


async def test_who_announces_too_much_is_refused_before_the_service_hears_of_it(stage, make_route):
    service = await stage.service("a")
    limits = Limits(max_body=10)
    await stage.gateway.publish(make_route("a", service.address, keys=("k",), limits=limits))
    for size in ("11", "99999999999999999999"):
        head, _ = await stage.raw(
            f"POST /{A}/x HTTP/1.1\r\nhost: x\r\nx-user-authorization: k\r\n"
            f"content-length: {size}\r\n\r\n".encode()
        )
        assert head.split(" ")[1] in ("413", "400")
    assert service.connections == 0


async def test_who_is_still_sending_hears_that_it_is_too_much(stage, make_route):
    service = await stage.service("a", echo)
    limits = Limits(max_body=64 * 1024)
    await stage.gateway.publish(make_route("a", service.address, limits=limits))
    reader, writer = await stage.streams()
    writer.write(f"POST /{A}/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".encode())
    answered = asyncio.create_task(stage.read(reader))
    async with asyncio.timeout(PATIENCE):
        while not answered.done():  # it never comes to an end by itself
            writer.write(b"400\r\n" + PART + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0)
    head, body = answered.result()
    assert head.split(" ")[1] == "413"
    assert b'"code":"too_large"' in body
    writer.close()


async def test_so_does_a_client_that_listens_only_after_it_has_sent(stage, make_route):
    service = await stage.service("a", echo)
    limits = Limits(max_body=64 * 1024)
    await stage.gateway.publish(make_route("a", service.address, limits=limits))

    def send_all():
        connection = http.client.HTTPConnection("127.0.0.1", stage.settings.port, timeout=PATIENCE)
        connection.putrequest("POST", f"/{A}/x")
        connection.putheader("transfer-encoding", "chunked")
        connection.endheaders()
        try:
            for _ in range(100_000):
                connection.send(b"400\r\n" + PART + b"\r\n")
        except OSError:  # Envoy has waited for a second, and gone
            pass
        return connection.getresponse().status

    assert await asyncio.to_thread(send_all) == 413


async def test_so_does_a_client_of_http_2_and_goes_on_with_its_connection(stage, make_route):
    service = await stage.service("a", echo)
    limits = Limits(max_body=64 * 1024)
    await stage.gateway.publish(make_route("a", service.address, limits=limits))
    reader, writer = await stage.streams()
    talk = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    talk.initiate_connection()
    head = [(":method", "POST"), (":path", f"/{A}/x"), (":scheme", "http"), (":authority", "x")]

    async def ask(stream, size):
        talk.send_headers(stream, head)
        seen = {}
        while StreamEnded not in seen:
            while size and talk.local_flow_control_window(stream) >= len(PART):
                talk.send_data(stream, PART, end_stream=size == 1)
                size -= 1
            writer.write(talk.data_to_send())
            for event in talk.receive_data(await reader.read(65536)):
                seen.setdefault(type(event), []).append(event)
                if isinstance(event, StreamReset):
                    assert event.error_code == 0  # all is said: no error
        writer.write(talk.data_to_send())
        return dict(seen[ResponseReceived][0].headers)[":status"], seen[DataReceived][0].data

    async with asyncio.timeout(PATIENCE):
        status, body = await ask(1, 10_000)
        assert (status, b"too_large" in body) == ("413", True)
        assert (await ask(3, 2))[0] == "200"
    writer.close()


async def test_what_is_refused_is_not_written_down_with_its_path(capfd, stage, make_route):
    service = await stage.service("a")
    await stage.gateway.publish(make_route("a", service.address, limits=Limits(max_body=10)))
    response = await stage.client.post(f"/{A}/x?secret", content=b"x" * 11)
    assert response.status_code == 413
    assert "secret" not in capfd.readouterr().err


async def test_what_comes_over_a_websocket_is_no_body(stage, make_route):
    async def measure(socket):
        async for message in socket:
            await socket.send(str(len(message)))

    async with unix_serve(measure, str(stage.folder / "ws")):
        limits = Limits(max_body=100, rate=100)
        await stage.gateway.publish(make_route("a", f"unix:{stage.folder}/ws", limits=limits))
        async with connect(f"ws://127.0.0.1:{stage.settings.port}/{A}/x", proxy=None) as socket:
            for _ in range(3):
                await socket.send("x" * 60_000)
                assert await socket.recv() == "60000"
