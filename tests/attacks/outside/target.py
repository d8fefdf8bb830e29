"""What is attacked: a service that tells what it saw of a request, and a way to say anything."""

import itertools
import json
import re
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import Any

from tests.support.platform import KEY

HONEST = """
import json

SEEN = []

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    path = scope["raw_path"].decode("latin-1")
    SEEN.append(path)
    headers = [[k.decode("latin-1"), v.decode("latin-1")] for k, v in scope["headers"]]
    told = {"path": path, "query": scope["query_string"].decode("latin-1"), "headers": headers,
            "client": scope["client"], "scheme": scope["scheme"], "body": size, "seen": SEEN}
    body = json.dumps(told).encode()
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})
"""
PATIENCE, QUIET = 10.0, 0.3  # seconds for an answer, and for another one after it


_lines = itertools.count(1)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of the problem it tells, if it is one."""
        kind = self.headers.get("content-type", "")
        return str(self.json()["code"]) if kind == "application/problem+json" else ""


@dataclass
class Target:
    """The gateway's port, and the places behind it: each has ``hash`` and ``key``."""

    port: int
    token: str
    places: dict[str, dict[str, Any]]
    hashes: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        found = {name: place["url"].rpartition("/")[2] for name, place in self.places.items()}
        self.hashes = found

    def say(self, data: bytes, more: int = 0, source: str = "", once: bool = False) -> list[Answer]:
        """Send bytes as they are; return the answers until the line is closed or quiet.

        Each line comes from an address of its own, unless ``source`` is said: guesses are counted.
        Ends at once when ``more`` whole answers are there. A line that stays open is quiet when
        nothing came for ``QUIET`` seconds after an answer. Whoever asks ``once`` hangs up after a
        whole answer, and need not wait for the quiet.
        """
        received, ended = b"", time.monotonic() + PATIENCE
        there, number = ("127.0.0.1", self.port), next(_lines)
        source = source or f"127.1.{number >> 8}.{number & 255}"
        with socket.create_connection(there, PATIENCE, source_address=(source, 0)) as line:
            try:
                line.sendall(data)
                while time.monotonic() < ended and (part := line.recv(65536)):
                    received += part
                    line.settimeout(QUIET)
                    if more and len(answers(received)) >= more:
                        break
                    if once and is_whole(received):
                        line.shutdown(socket.SHUT_WR)
            except (TimeoutError, ConnectionResetError, BrokenPipeError):
                pass
        return answers(received)

    def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """Ask for a path as it is written; an underscore in a header's name means a hyphen."""
        given = {"host": f"127.0.0.1:{self.port}"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        head = f"{method} {path} HTTP/1.1\r\n{lines}connection: close\r\n\r\n"
        (answer,) = self.say(head.encode("latin-1"), once=True)
        return answer

    def seen(self) -> list[str]:
        """Return the paths that the public service was ever asked for."""
        found: list[str] = self.ask(f"/{self.hashes['demo']}/").json()["seen"]
        return found

    def key(self, place: str) -> dict[str, str]:
        """Return the header that opens a place."""
        return {KEY: self.places[place]["key"]}


def is_whole(received: bytes) -> bool:
    """Whether all of an answer is there whose length is told."""
    head, end, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    return bool(end) and length is not None and len(body) >= int(length[1])


def answers(received: bytes) -> list[Answer]:
    """Read the answers that came on one connection."""
    found = []
    while b"\r\n\r\n" in received:
        head, _, received = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(": ") for line in lines)
        headers = {name.lower(): value for name, _, value in pairs}
        size = int(headers.get("content-length", 0))
        status = int(first.split(" ")[1])
        if status >= 200:
            found.append(Answer(status, headers, received[:size]))
        received = received[size:]
    return found


def reset(line: socket.socket) -> None:
    """Break a connection off."""
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.close()
