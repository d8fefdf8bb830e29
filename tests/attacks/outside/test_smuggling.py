"""Request smuggling: bytes that one reader takes for a body are never a request to the next one.

Each attack hides a request behind another. Whatever is answered, the service must never see the
hidden one, and the gateway must not answer it either.
"""

import socket

import h2.config
import h2.connection
import h2.events
import pytest

from tests.attacks.outside.target import PATIENCE, Target, reset

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("attacks")]
CHUNKED = "transfer-encoding: chunked"
END = "0\r\n\r\n"
# Lines about the length, and a body that ends at the hidden request for whoever believes otherwise.
LENGTHS = {
    "CL.TE": (f"content-length: {{all}}\r\n{CHUNKED}", END),
    "TE.CL": (f"{CHUNKED}\r\ncontent-length: 0", END),
    "CL.CL": ("content-length: 0\r\ncontent-length: {all}", ""),
    "CL.CL reversed": ("content-length: {all}\r\ncontent-length: 0", ""),
    "CL twice": ("content-length: {all}\r\ncontent-length: {all}", ""),
    "CL list": ("content-length: 0, {all}", ""),
    "CL plus": ("content-length: +0", ""),
    "CL minus": ("content-length: -0", ""),
    "CL hex": ("content-length: 0x0", ""),
    "CL space": ("content-length: 0 0", ""),
    "CL empty": ("content-length:", ""),
    "CL huge": ("content-length: 18446744073709551616", ""),
    "CL unicode": ("content-length: \u0661", ""),
    "CL name space": ("content-length : {all}", ""),
    "TE name space": ("transfer-encoding : chunked\r\ncontent-length: 0", END),
    "TE tab": ("transfer-encoding\t: chunked\r\ncontent-length: 0", END),
    "TE leading space": ("x: y\r\n transfer-encoding: chunked\r\ncontent-length : 0", END),
    "TE.TE": (f"{CHUNKED}\r\ntransfer-encoding: x", END),
    "TE.TE reversed": (f"transfer-encoding: x\r\n{CHUNKED}", END),
    "TE twice": (f"{CHUNKED}\r\n{CHUNKED}", END),
    "TE list": ("transfer-encoding: chunked, chunked", END),
    "TE identity": ("transfer-encoding: identity", END),
    "TE chunked, identity": ("transfer-encoding: chunked, identity", END),
    "TE gzip": ("transfer-encoding: gzip, chunked", END),
    "TE x": ("transfer-encoding: xchunked", END),
    "TE quoted": ('transfer-encoding: "chunked"', END),
    "TE semicolon": ("transfer-encoding: chunked;q=1", END),
    "TE vertical tab": ("transfer-encoding: \x0bchunked", END),
    "TE NUL": ("transfer-encoding: chunked\0", END),
    "TE empty": ("transfer-encoding:", END),
    "TE after NUL": (f"x: y\0\r\n{CHUNKED}", END),
    "TE after CR": (f"x: y\r{CHUNKED}\r\ncontent-length : 0", END),
    "TE.CL in HTTP/1.0": (f"{CHUNKED}\r\ncontent-length: 0\r\nconnection: keep-alive", END),
}
CHUNKS = {
    "letters": "zz\r\n",
    "negative": "-1\r\na\r\n0\r\n\r\n",
    "plus": "+1\r\na\r\n0\r\n\r\n",
    "hex prefix": "0x1\r\na\r\n0\r\n\r\n",
    "underscore": "1_0\r\na\r\n0\r\n\r\n",
    "no size": "\r\na\r\n0\r\n\r\n",
    "only an extension": ";a=b\r\na\r\n0\r\n\r\n",
    "too short": "3\r\na\r\n0\r\n\r\n",
    "too long": "1\r\nabc\r\n0\r\n\r\n",
    "bare LF": "1\na\n0\n\n",
    "LF in an extension": "1;a\nb\r\na\r\n0\r\n\r\n",
    "LF before the end": "1\r\na\n0\r\n\r\n",
    "overflow": "10000000000000001\r\na\r\n0\r\n\r\n",
    "overflow to none": "ffffffffffffffff1\r\na\r\n0\r\n\r\n",
    "space before": " 1\r\na\r\n0\r\n\r\n",
    "NUL": "1\0\r\na\r\n0\r\n\r\n",
    "no CRLF after data": "1\r\na0\r\n\r\n",
}


def hidden(target: Target) -> str:
    return f"GET /{target.hashes['demo']}/hidden HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


@pytest.mark.parametrize("case", LENGTHS)
def test_two_readings_of_a_length(target: Target, case: str) -> None:
    lines, body = LENGTHS[case]
    rest = body + hidden(target)
    version = "1.0" if case.endswith("1.0") else "1.1"
    head = f"POST /{target.hashes['demo']}/shown HTTP/{version}\r\nhost: x\r\n"
    said = f"{head}{lines.format(all=len(rest))}\r\n\r\n{rest}"
    answers = target.say(said.encode("utf-8"))
    assert [answer.status for answer in answers] in ([400], [501]), answers
    assert not [path for path in target.seen() if "hidden" in path or "shown" in path]


@pytest.mark.parametrize("case", CHUNKS)
def test_chunks_that_are_none(target: Target, case: str) -> None:
    head = f"POST /{target.hashes['demo']}/ HTTP/1.1\r\nhost: x\r\n{CHUNKED}\r\n\r\n"
    answers = target.say(f"{head}{CHUNKS[case]}{hidden(target)}".encode())
    assert [answer.status for answer in answers] == [400]
    assert not [path for path in target.seen() if "hidden" in path]


def test_what_follows_a_refusal_is_not_read(target: Target) -> None:
    """The line is closed, so nobody else's request can be appended to what is left."""
    bad = f"GET /{target.hashes['demo']}/ HTTP/1.1\r\nhost: x\r\ncontent-length: x\r\n\r\n"
    answers = target.say((bad + hidden(target)).encode())
    assert [answer.status for answer in answers] == [400]
    assert answers[0].headers["connection"] == "close"


def test_a_refused_request_leaves_nothing_of_its_body_behind(target: Target) -> None:
    """A body that nobody read is not the next request."""
    body = hidden(target)
    head = f"POST /{target.hashes['private']}/ HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}"
    answers = target.say(f"{head}\r\n\r\n{body}".encode())
    assert [answer.status for answer in answers] == [401]
    assert not [path for path in target.seen() if "hidden" in path]


def test_a_body_of_a_get_is_not_the_next_request(target: Target) -> None:
    body = hidden(target)
    head = f"GET /{target.hashes['demo']}/ HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}"
    answers = target.say(f"{head}\r\n\r\n{body}".encode())
    assert [answer.status for answer in answers] == [200]
    assert answers[0].json()["body"] == len(body)
    assert not [path for path in target.seen() if "hidden" in path]


def test_trailers_do_not_become_headers(target: Target) -> None:
    head = f"POST /{target.hashes['demo']}/ HTTP/1.1\r\nhost: x\r\n{CHUNKED}\r\nconnection: close"
    late = "0\r\nx-late: 1\r\nx-forwarded-for: 6.6.6.6\r\n\r\n"
    (answer,) = target.say(f"{head}\r\ntrailer: x-late\r\n\r\n1\r\na\r\n{late}".encode())
    assert answer.status == 200
    assert "6.6.6.6" not in str(answer.json()["headers"])


def test_a_change_to_http2_carries_no_second_request(target: Target) -> None:
    lines = (
        "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__"
    )
    head = f"GET /{target.hashes['demo']}/ HTTP/1.1\r\nhost: x\r\n{lines}\r\n\r\n"
    answers = target.say(head.encode(), more=1)
    assert [answer.status for answer in answers] == [200]
    names = {name for name, _ in answers[0].json()["headers"]}
    assert not names & {"upgrade", "http2-settings", "connection"}


@pytest.mark.parametrize("line", ["CONNECT 127.0.0.1:22", "CONNECT /", "CONNECT x:1"])
def test_the_gateway_is_nobodys_tunnel(target: Target, line: str) -> None:
    answers = target.say(f"{line} HTTP/1.1\r\nhost: x\r\n\r\nSSH-2.0-x\r\n".encode())
    assert [answer.status for answer in answers] in ([400], [404])


def test_a_line_that_breaks_off_is_no_request(target: Target) -> None:
    with socket.create_connection(("127.0.0.1", target.port)) as line:
        line.sendall(f"GET /{target.hashes['demo']}/broken HTTP/1.1\r\nhost: x\r\n".encode())
        reset(line)
    assert not [path for path in target.seen() if "broken" in path]


# Each is a list of headers beyond what is needed, or in its place.
STREAMS: dict[str, list[tuple[str, str]]] = {
    "H2.TE": [("transfer-encoding", "chunked")],
    "H2.CL": [("content-length", "0")],
    "H2.CL twice": [("content-length", "5"), ("content-length", "6")],
    "connection": [("connection", "keep-alive")],
    "line break in a value": [("x", "y\r\ntransfer-encoding: chunked")],
    "line break in a name": [("x: y\r\nz", "a")],
    "colon in a name": [("x:y", "a")],
    "NUL in a value": [("x", "y\0z")],
    "upper case": [("X-Upper", "a")],
    "line break in the path": [(":path", "/{demo}/ HTTP/1.1\r\nhost: y\r\nx: y")],
    "space in the path": [(":path", "/{demo}/ HTTP/1.1")],
    "no path": [(":path", "")],
    "line break in the method": [(":method", "GET /{demo}/hidden HTTP/1.1\r\nx: y")],
    "two paths": [(":path", "/{demo}/"), (":path", "/{private}/")],
    "a path after the headers": [("x", "y"), (":path", "/{private}/")],
    "two hosts": [(":authority", "x"), (":authority", "y")],
    "unknown pseudo": [(":evil", "x")],
    "user in the host": [(":authority", "a@x")],
    "odd scheme": [(":scheme", "http://x/{private}/")],
}


@pytest.mark.parametrize("case", STREAMS)
def test_what_http2_can_say_and_http1_cannot(target: Target, case: str) -> None:
    assert stream(target, STREAMS[case]) in (None, 400, 401, 403, 404, 501)
    assert not [path for path in target.seen() if "hidden" in path]


def test_http2_itself_is_understood(target: Target) -> None:
    assert stream(target, []) == 200


def stream(target: Target, more: list[tuple[str, str]]) -> int | None:
    """Ask the public service over HTTP/2; return the status, nothing if the stream was broken."""
    usual = {":method": "POST", ":scheme": "http", ":authority": "x", ":path": "/{demo}/"}
    replaced = {name for name, _ in more}
    headers = [(name, value) for name, value in usual.items() if name not in replaced]
    # What begins a request must come first, unless that is the attack.
    early = [each for each in more if each[0].startswith(":")] if len(replaced) == 1 else []
    late = [each for each in more if each not in early]
    said = [(name, value.format(**target.hashes)) for name, value in [*early, *headers, *late]]
    config = h2.config.H2Configuration(
        validate_outbound_headers=False, normalize_outbound_headers=False, header_encoding="latin-1"
    )
    talk = h2.connection.H2Connection(config)
    talk.initiate_connection()
    talk.send_headers(1, said)
    talk.send_data(1, b"GET /hidden HTTP/1.1\r\nhost: x\r\n\r\n", end_stream=True)
    with socket.create_connection(("127.0.0.1", target.port), timeout=PATIENCE) as line:
        line.sendall(talk.data_to_send())
        while data := line.recv(65536):
            for event in talk.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    return int(dict(event.headers or [])[":status"])
                if isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
                    return None
            line.sendall(talk.data_to_send())
    return None
