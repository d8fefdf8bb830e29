"""Hostile addresses: a path never leads to a deployment whose key was not shown for it."""

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
        assert response.status_code == 404 or response.json()["service"] == "control", path
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


async def test_what_envoy_and_a_service_read_differently_is_refused(stage, make_route):
    """Request smuggling: two lengths, or a length that is hidden, never reach a service."""
    service = await stage.service("a")
    await stage.gateway.publish(make_route("a", service.address))
    for lines in (
        "content-length: 5\r\ntransfer-encoding: chunked",
        "content-length: 5\r\ncontent-length: 6",
        "transfer-encoding: chunked, identity",
        "transfer-encoding : chunked",
        "content-length: +5",
    ):
        head, _ = await stage.raw(f"POST /{A}/ HTTP/1.1\r\nhost: x\r\n{lines}\r\n\r\n".encode())
        assert head.split(" ")[1] in ("400", "501"), lines
    assert service.connections == 0
