"""Who passes the gateway, what a service sees of a request, and what is answered in its place."""

import asyncio
import json

from codestore.domain.routing import Endpoint, Limits, Route
from codestore.gateway.listener import FORGED

CRLF = "\r\n"
A, B = "a" * 32, "b" * 32
PROBLEM = "application/problem+json"


def check_problem(response, status, code):
    assert response.status_code == status
    assert response.headers["content-type"] == PROBLEM
    problem = response.json()
    assert set(problem) == {"type", "title", "status", "detail", "code", "hint", "where"}
    assert (problem["status"], problem["code"]) == (status, code)
    return problem


async def test_a_wrong_or_missing_key_is_refused_without_waking_the_service(stage, make_route):
    service = await stage.service("a")
    await stage.gateway.publish(make_route("a", service.address, keys=("k1", "k2")))
    for path in (f"/{A}", f"/{A}/x", f"/{A}?x=1"):
        check_problem(await stage.get(path), 401, "key_missing")
        for wrong in ("", "k", "k1x", "K1", "k1,k2", "k1 k2", "[hidden]"):
            response = await stage.get(path, x_user_authorization=wrong)
            check_problem(response, 403, "wrong_key")
    assert service.connections == 0


async def test_each_key_opens_and_none_reaches_the_service(stage, make_route):
    service = await stage.service("a")
    await stage.gateway.publish(make_route("a", service.address, keys=("k1", "k2")))
    for key in ("k1", "k2"):
        response = await stage.get(f"/{A}/x", x_user_authorization=key)
        assert response.status_code == 200
        assert "x-user-authorization" not in response.json()["headers"]


async def test_no_keys_means_that_nobody_passes(stage, make_route):
    service = await stage.service("a")
    await stage.gateway.publish(make_route("a", service.address, keys=()))
    check_problem(await stage.get(f"/{A}/x", x_user_authorization=""), 403, "wrong_key")
    check_problem(await stage.get(f"/{A}/x"), 401, "key_missing")


async def test_a_public_service_does_not_see_keys_either(stage, make_route):
    service = await stage.service("a")
    await stage.gateway.publish(make_route("a", service.address))
    response = await stage.get(f"/{A}/x", x_user_authorization="of-someone-else")
    assert "x-user-authorization" not in response.json()["headers"]


async def test_the_prefix_is_taken_off_and_the_rest_left_alone(stage, make_route):
    service = await stage.service("a")
    await stage.gateway.publish(make_route("a", service.address))
    for asked, seen in [
        ("", "/"),
        ("/", "/"),
        ("?a=b", "/?a=b"),
        ("/?a=/b/../c%2f%41", "/?a=/b/../c%2f%41"),
        ("/graphql", "/graphql"),
        ("/b%20c%3f%C3%A9%25", "/b%20c%3f%C3%A9%25"),
        ("/50%25?next=a%252Fb", "/50%25?next=a%252Fb"),
        ("/a//b/", "/a//b/"),
        ("/c%41%7e", "/c%41%7e"),
    ]:
        told = (await stage.get(f"/{A}{asked}")).json()
        assert told["path"] == seen
        assert told["headers"]["x-forwarded-prefix"] == f"/{A}"


async def test_headers_only_the_gateway_may_set_are_not_believed(stage, make_route):
    services = [await stage.service(name, tcp=True) for name in ("a", "b")]
    for service in services:
        await stage.gateway.publish(make_route(service.name, service.address, keys=(service.name,)))
    told = (
        await stage.get(
            f"/{B}/x",
            x_user_authorization="b",
            x_codestore_target=f"x/{A}/x",
            x_forwarded_prefix="/evil",
            x_envoy_original_path=f"/{A}/x",
            x_envoy_upstream_rq_timeout_ms="1",
            x_envoy_retry_on="5xx",
        )
    ).json()
    assert told["service"] == "b"
    assert told["headers"]["x-forwarded-prefix"] == f"/{B}"
    names = set(told["headers"])
    assert not [name for name in names if name.startswith("x-envoy")]
    assert "x-codestore-target" not in names


async def test_nobody_tells_the_service_in_our_place_who_called_and_for_what(stage, make_route):
    service = await stage.service("a")
    await stage.gateway.publish(make_route("a", service.address))
    honest = (await stage.get(f"/{A}/x")).json()["headers"]
    claims = ("for", "host", "proto", "port", "server", "scheme", "ssl", "user", "client-cert")
    forged = dict.fromkeys(
        (*FORGED, "proxy", *(f"x-forwarded-{each}" for each in claims)), "6.6.6.6"
    )
    twice = forged | {name.upper(): "6.6.6.6" for name in forged}
    told = (await stage.get(f"/{A}/x", **twice)).json()
    assert "6.6.6.6" not in json.dumps(told)
    assert set(told["headers"]) == set(honest)
    assert told["headers"]["x-forwarded-for"] == honest["x-forwarded-for"]
    assert told["headers"]["x-forwarded-proto"] == "http"


async def test_headers_for_the_gateway_alone_go_no_further(stage, make_route):
    service = await stage.service("a")
    await stage.gateway.publish(make_route("a", service.address))
    lines = (
        *("connection: x-mine, keep-alive", "x-mine: 1", "keep-alive: timeout=9", "te: gzip"),
        *("proxy-connection: keep-alive", "proxy-authorization: Basic x", "trailer: x-a"),
    )
    _, told = await stage.raw(
        f"GET /{A}/ HTTP/1.1\r\nhost: x\r\n{CRLF.join(lines)}\r\n\r\n".encode()
    )
    names = set(json.loads(told)["headers"])
    assert not names & {line.split(":")[0] for line in lines}


async def test_a_change_to_an_unknown_protocol_is_refused_as_such(stage, make_route):
    service = await stage.service("a")
    await stage.gateway.publish(make_route("a", service.address, keys=("k",)))
    response = await stage.get(
        f"/{A}/x", connection="upgrade", upgrade="tls/1.3", x_user_authorization="k"
    )
    check_problem(response, 400, "unknown_upgrade")
    response = await stage.get(f"/{A}/x", connection="upgrade", upgrade="WebSocket")
    check_problem(response, 401, "key_missing")


async def test_a_header_with_underscores_cannot_pose_as_another(stage, make_route):
    service = await stage.service("a")
    await stage.gateway.publish(make_route("a", service.address))
    _, told = await stage.raw(
        f"GET /{A}/ HTTP/1.1\r\nhost: x\r\nx_forwarded_prefix: /evil\r\n\r\n".encode()
    )
    assert b"evil" not in told


async def test_the_services_own_answers_pass_unchanged(stage, make_route):
    async def refuse(request, reader, writer):
        status = request.path.strip("/")
        body = f"my {status}".encode()
        writer.write(
            f"HTTP/1.1 {status} Mine\r\nserver: mine\r\nx-envoy-own: 1\r\ncontent-type: text/x-mine"
            f"\r\ncontent-length: {len(body)}\r\n\r\n".encode()
            + body
        )

    service = await stage.service("a", refuse)
    await stage.gateway.publish(make_route("a", service.address))
    for status in (401, 403, 404, 413, 500, 503, 504):
        response = await stage.get(f"/{A}/{status}")
        assert (response.status_code, response.text) == (status, f"my {status}")
        assert response.headers["content-type"] == "text/x-mine"
        assert response.headers["server"] == "mine"
        assert "retry-after" not in response.headers
    assert len(service.requests) == 7  # and none was tried again


async def test_unknown_addresses_are_problems(stage):
    check_problem(await stage.get(f"/{A}/x"), 404, "not_found")
    check_problem(await stage.get("/nothing"), 404, "not_found")


async def test_an_unavailable_deployment_says_why_but_only_to_those_with_a_key(stage, make_route):
    await stage.gateway.publish(
        make_route("a", keys=("k",), unavailable='The build failed: "x"\nis 100% wrong')
    )
    response = await stage.get(f"/{A}/x", x_user_authorization="k")
    problem = check_problem(response, 503, "unavailable")
    assert problem["detail"] == 'The build failed: "x"\nis 100% wrong'
    assert response.headers["retry-after"] == "1"
    check_problem(await stage.get(f"/{A}/x"), 401, "key_missing")


async def test_a_service_that_cannot_be_reached_is_a_503(stage, make_route):
    await stage.gateway.publish(make_route("a", f"unix:{stage.folder}/nobody"))
    response = await stage.get(f"/{A}/x")
    check_problem(response, 503, "unavailable")
    assert response.headers["retry-after"] == "1"
    await stage.gateway.publish(make_route("a"))
    check_problem(await stage.get(f"/{A}/x"), 503, "unavailable")


async def test_a_silent_service_is_a_504(stage, make_route):
    async def silent(request, reader, writer):
        await asyncio.Event().wait()

    service = await stage.service("a", silent)
    limits = Limits(idle_timeout=0.2)
    await stage.gateway.publish(make_route("a", service.address, limits=limits))
    check_problem(await stage.get(f"/{A}/x"), 504, "timeout")


async def test_a_body_announced_as_too_large_is_a_413(stage, make_route):
    service = await stage.service("a")
    limits = Limits(max_body=10)
    await stage.gateway.publish(make_route("a", service.address, limits=limits))
    refused = await stage.client.post(f"/{A}/x", content=b"x" * 11)
    check_problem(refused, 413, "too_large")
    assert "retry-after" not in refused.headers  # it would be too large then, too
    assert service.connections == 0
    assert (await stage.client.post(f"/{A}/x", content=b"x" * 10)).json()["body"] == 10


async def test_bad_requests_are_problems_too(stage):
    for raw, status in [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: x\r\nbig: " + b"x" * 70_000 + b"\r\n\r\n", 431),
    ]:
        head, body = await stage.raw(raw)
        assert head.split(" ")[1] == str(status)
        assert PROBLEM in head
        assert json.loads(body)["status"] == status


async def test_the_platforms_own_paths_lead_to_the_control_process(stage):
    for path in (
        *("/", "/?x=1", "/api", "/api/x?y", "/docs", "/redoc", "/openapi.json", "/metrics"),
        *("/console/x", "/static/a.css", "/favicon.ico"),
    ):
        told = (await stage.get(path)).json()
        assert (told["service"], told["path"]) == ("control", path)
        assert "x-forwarded-prefix" not in told["headers"]


async def test_draining_endpoints_get_nothing_new(stage, make_route):
    old, new = [await stage.service(name, tcp=True) for name in ("old", "new")]
    route = make_route("a", old.address, new.address)
    endpoints = (Endpoint(old.address, draining=True), Endpoint(new.address))
    await stage.gateway.publish(
        Route(route.hash, route.deployment, route.access, route.keys, endpoints)
    )
    served = {(await stage.get(f"/{A}/x")).json()["service"] for _ in range(20)}
    assert served == {"new"}


async def test_a_callers_own_request_id_is_passed_on_and_none_is_made_up(stage, make_route):
    service = await stage.service("a")
    await stage.gateway.publish(make_route("a", service.address))
    assert "x-request-id" not in (await stage.get(f"/{A}/x")).json()["headers"]
    told = (await stage.get(f"/{A}/x", x_request_id="mine")).json()
    assert told["headers"]["x-request-id"] == "mine"


async def test_an_unavailable_promised_deployment_says_why_whatever_the_caller_claims(
    stage, make_route
):
    route = make_route("a", keys=("k",), unavailable="It failed.", promised=True)
    await stage.gateway.publish(route)
    await stage.gateway.publish(make_route("b", f"unix:{stage.folder}/nobody"))
    claims = {"x_codestore_scope": "nobody", "x_forwarded_prefix": "nobody"}
    refused = await stage.get(f"/{A}/x", x_user_authorization="k", **claims)
    assert check_problem(refused, 503, "unavailable")["detail"] == "It failed."
    check_problem(await stage.get(f"/{A}/x", **claims), 401, "key_missing")
    unreached = await stage.get(f"/{B}/x", **claims)
    assert "could not be reached" in check_problem(unreached, 503, "unavailable")["detail"]
