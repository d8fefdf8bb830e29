"""Hostile addresses: a path never leads to a deployment whose key was not shown for it."""

import json

A, B = "a" * 32, "b" * 32


async def test_no_spelling_of_a_path_gets_round_a_key(stage, make_route):
    locked = await stage.service("locked")
    open_ = await stage.service("open")
    await stage.gateway.publish(make_route("a", locked.address, keys=("k",)))
    await stage.gateway.publish(make_route("b", open_.address))
    for path in (
        *(f"/{B}/../{A}/", f"/{B}/%2e%2e/{A}/", f"/{B}/.%2E/{A}/", f"/{B}\\..\\{A}/"),
        *(f"/{B}/..%2f{A}/", f"/{B}/..%5c{A}/", f"/{B}%2f..%2f{A}/", f"/{B}/%252e%252e/{A}/"),
        *(f"/./{A}/", f"/x/../{A}/", f"//{A}/", f"/%2f{A}/", f"/;/{A}/", f"/{A};x/", f"/{A}%00/"),
        *(f"/{A}%20/", f"/{A}./", f"/%61{A[1:]}/", f"/{A.upper()}/", f"/{A}x/", f"/{A[:-1]}/"),
        *(f"http://{B}/{A}/", f"/?/{A}/", f"?/{A}/", f"{A}/", f"/{B}?/../{A}/", f"/{A}#/{B}/"),
        *(f"/api/../{A}/", f"/{A}/../{A}/", f"/{B}/../../../{A}/", f"/{A}?{B}", f"/{A}/?/../{B}"),
    ):
        response = await stage.get(path)
        assert response.status_code in (200, 400, 401, 404), path
        if response.status_code == 200:
            assert response.json()["service"] != "locked", path
    assert locked.connections == 0


async def test_a_hash_is_exactly_the_first_segment(stage, make_route):
    service = await stage.service("a")
    await stage.gateway.publish(make_route("a", service.address))
    near = (f"/{A}x/", f"/{A}x", f"/x{A}/", f"//{A}/", f"/{A.upper()}/", f"/{A}%2fx", f"/api/{A}")
    for path in near:
        response = await stage.get(path)
        assert response.status_code in (400, 404) or response.json()["service"] == "control", path
    assert service.connections == 0


async def test_the_second_of_two_pipelined_requests_is_judged_for_itself(stage, make_route):
    locked, open_ = [await stage.service(name) for name in ("locked", "open")]
    await stage.gateway.publish(make_route("a", locked.address, keys=("k",)))
    await stage.gateway.publish(make_route("b", open_.address))
    reader, writer = await stage.streams()
    for path in (f"/{B}/", f"/{A}/"):
        writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    heads = [(await stage.read(reader))[0].split(" ")[1] for _ in range(2)]
    writer.close()
    assert heads == ["200", "401"]
    assert locked.connections == 0


PATHS = (
    *("/a%2fb", "/a%2Fb", "/a%5cb", "/a%5Cb", "/..%2fx", "/..%5cx", "/%2e%2e%2fx", "/a%00b"),
    *("/%252e%252e/x", "/%252E/x", "/a%252fb", "/a%252Fb", "/a%255cb", "/a%2500b", "/%25252e/x"),
    *("/..", "/.", "/../x", "/x/./y", "/%2e%2E/x", "/.%2e", "/..;/x", "/a\\b", "/..\\x"),
    *("/a\0b", "/a b", "/a\tb", "/a#b", "/\x7f", "/\xe4"),
)
HOSTS = (
    *("", "host: x\r\nhost: y", "host: x\r\nHost: x", "host: x, y", "host:", "host: a@x"),
    *("host: a b", "host: x/y", "host: x\0", "host: x?y", "host: x#y"),
)
LENGTHS = (
    "content-length: 5\r\ntransfer-encoding: chunked",
    "transfer-encoding: chunked\r\ncontent-length: 5",
    *("content-length: 5\r\ncontent-length: 6", "content-length: 5\r\ncontent-length: 5"),
    *("content-length: 5, 5", "content-length: +5", "content-length: -5", "content-length: 0x5"),
    *("content-length: 5 5", "content-length: 99999999999999999999", "content-length:"),
    *("transfer-encoding: chunked, identity", "transfer-encoding: identity"),
    *("transfer-encoding: gzip, chunked", "transfer-encoding: xchunked", "transfer-encoding:"),
    *(
        "transfer-encoding : chunked",
        "transfer-encoding: \x0bchunked",
        " transfer-encoding: chunked",
    ),
    "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
    "transfer-encoding: chunked\r\ntransfer-encoding: identity",
    "x: y\0\r\ntransfer-encoding: chunked",
)
CHUNKS = (
    *("x\r\n", "-1\r\na\r\n0\r\n\r\n", "0x1\r\na\r\n0\r\n\r\n", "+1\r\na\r\n0\r\n\r\n"),
    *("1\na\n0\n\n", "1\r\nab\r\n0\r\n\r\n", "2\r\na\r\n0\r\n\r\n", "10000000000000001\r\na"),
    *("1;a\nb\r\na\r\n0\r\n\r\n", "\r\n1\r\na\r\n0\r\n\r\n", ";\r\na\r\n0\r\n\r\n"),
)


async def test_what_two_readers_read_differently_is_refused(stage, make_route):
    """Two lengths, two hosts, a path that is another one when it is decoded once more."""
    service = await stage.service("a")
    await stage.gateway.publish(make_route("a", service.address))
    head = f"POST /{A}/ HTTP/1.1\r\n"
    asked = [f"GET /{A}{path} HTTP/1.1\r\nhost: x\r\n\r\n" for path in PATHS]
    asked += [f"GET http://{host}/{A}/ HTTP/1.1\r\nhost: x\r\n\r\n" for host in ("x", "y", "")]
    asked += [f"{head}{host}\r\n\r\n" for host in HOSTS]
    asked += [f"{head}host: x\r\n{lines}\r\n\r\n" for lines in LENGTHS]
    for request in asked:
        answered, body = await stage.raw(request.encode("latin-1"))
        assert answered.split(" ")[1] in ("400", "501"), request
        assert json.loads(body)["code"] in ("bad_request", "ambiguous_request", "refused"), request
    assert service.connections == 0


async def test_a_body_whose_chunks_are_broken_is_no_request(stage, make_route):
    """The head may have gone on by then; what follows is never taken for another request."""
    service = await stage.service("a")
    await stage.gateway.publish(make_route("a", service.address))
    head = f"POST /{A}/ HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    hidden = f"GET /{A}/hidden HTTP/1.1\r\nhost: x\r\n\r\n"
    for chunks in CHUNKS:
        answered, _ = await stage.raw(f"{head}{chunks}{hidden}".encode())
        assert answered.split(" ")[1] == "400", chunks
        assert "connection: close" in answered, chunks
    assert not [each for each in service.requests if each.path != "/"]
