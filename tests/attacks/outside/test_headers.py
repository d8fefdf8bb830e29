"""Headers: a caller cannot pose as the gateway, and hop-by-hop headers end at it."""

from typing import Any

import pytest

from tests.attacks.outside.target import Target

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("attacks")]
MARK = "6.6.6.6"
FORGED = (
    *("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port"),
    *("x-forwarded-prefix", "x-forwarded-server", "x-forwarded-user", "x-forwarded-scheme"),
    *("x-forwarded-client-cert", "forwarded", "x-real-ip", "x-client-ip", "x-cluster-client-ip"),
    *("true-client-ip", "x-original-url", "x-rewrite-url", "x-envoy-external-address"),
    *("x-envoy-original-path", "x-envoy-internal", "x-envoy-upstream-rq-timeout-ms"),
    *("x-envoy-retry-on", "x-codestore-target", "proxy"),
)
HOPS = (
    *("keep-alive: timeout=6", "proxy-connection: keep-alive", "proxy-authorization: Basic Ng=="),
    *("te: gzip", "trailer: x-after", "connection: x-mine\r\nx-mine: 6"),
)


def headers_of(answer: Any) -> dict[str, str]:
    return dict(answer.json()["headers"])


@pytest.mark.parametrize("name", FORGED)
def test_what_only_the_gateway_may_say_is_not_believed(target: Target, name: str) -> None:
    path = f"/{target.hashes['demo']}/"
    honest, forged = target.ask(path), target.ask(path, **{name: MARK, name.title(): MARK})
    assert forged.status == 200
    assert MARK not in str(headers_of(forged))
    assert set(headers_of(forged)) == set(headers_of(honest))
    assert forged.json()["client"][0].startswith("127.1.")
    assert forged.json()["scheme"] == "http"


@pytest.mark.parametrize("name", ["x_forwarded_for", "x_real_ip", "x_forwarded_prefix"])
def test_an_underscore_is_no_hyphen(target: Target, name: str) -> None:
    path = f"/{target.hashes['demo']}/"
    head = f"GET {path} HTTP/1.1\r\nhost: x\r\n{name}: {MARK}\r\nconnection: close\r\n\r\n"
    (answer,) = target.say(head.encode())
    assert MARK not in str(headers_of(answer))


@pytest.mark.parametrize("lines", HOPS)
def test_what_is_for_the_gateway_alone_ends_there(target: Target, lines: str) -> None:
    path = f"/{target.hashes['demo']}/"
    head = f"GET {path} HTTP/1.1\r\nhost: x\r\n{lines}\r\n"
    closed = "" if lines.startswith("connection") else "connection: close\r\n"
    (answer,) = target.say(f"{head}{closed}\r\n".encode())
    assert answer.status == 200
    names = {line.partition(":")[0] for line in lines.split("\r\n")}
    assert not names & set(headers_of(answer))


@pytest.mark.parametrize("name", ["host", "x-forwarded-for", "x-forwarded-proto"])
def test_the_gateways_own_headers_are_not_taken_away(target: Target, name: str) -> None:
    path = f"/{target.hashes['demo']}/"
    head = f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close, {name}\r\n\r\n"
    (answer,) = target.say(head.encode())
    assert answer.status == 400 or name in headers_of(answer)


@pytest.mark.parametrize(
    "hosts",
    [
        *("host: x\r\nhost: y", "host: x\r\nHOST: x", "host: x,y", "host:", "host: a@b", ""),
        *("host: x y", "host: x/y", "host: x\\y", "host: x\0", "host: x\r\n host: y", "host : x"),
    ],
)
@pytest.mark.parametrize("place", ["service", "platform"])
def test_one_host_is_named_and_no_other(target: Target, hosts: str, place: str) -> None:
    path = f"/{target.hashes['demo']}/" if place == "service" else "/api/services"
    (answer,) = target.say(f"GET {path} HTTP/1.1\r\n{hosts}\r\nconnection: close\r\n\r\n".encode())
    assert answer.status in (400, 421)
    assert answer.code in ("bad_request", "ambiguous_request", "unknown_host")


def test_headers_without_end_are_refused(target: Target) -> None:
    path = f"/{target.hashes['demo']}/"
    for lines in ("x: " + "y" * 100_000, "\r\n".join(f"x{n}: y" for n in range(5000))):
        (answer,) = target.say(f"GET {path} HTTP/1.1\r\nhost: x\r\n{lines}\r\n\r\n".encode())
        assert answer.status == 431
        assert answer.code == "headers_too_large"


def test_a_path_without_end_is_refused(target: Target) -> None:
    (answer,) = target.say(f"GET /{'a' * 100_000} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    assert answer.status in (400, 414, 431)
