"""A script, not a module: tries from inside a deployment's cell what a file tells it to try.

Run as ``python -I -S intruder.py FILE`` by whatever Python the platform has: standard library only,
nothing of ours, nothing that a deployment could put in between. Prints a line of JSON for each
attempt. An answer is a word, see :mod:`codestore.domain.verification`. Nothing that is found is
looked at more closely than is needed to know that it was found.
"""

import base64
import errno
import hashlib
import hmac
import http.client
import json
import os
import re
import secrets
import socket
import ssl
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

SIDE_BY_SIDE = 16
PATIENCE = 3.0  # seconds for an answer
NEAR = 1.0  # seconds until a connection is there: all that is tried is on this host, or beside it
REACHED = "reached"
_SSL_REQUEST = 80877103
_VERSION_3 = 196608


def read(path: str) -> str:
    """Open a file."""
    os.close(os.open(path, os.O_RDONLY))
    return REACHED


def listed(path: str) -> str:
    """Open a folder."""
    os.listdir(path)
    return REACHED


def written(folder: str) -> str:
    """Write a file that is ours, and take it away again."""
    name = os.path.join(folder, f".verify-{os.getpid()}")
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        os.write(descriptor, b"x")
    finally:
        os.close(descriptor)
        os.unlink(name)
    return REACHED


def processes(_: str) -> str:
    """Look for processes other than this one, and process 1, which holds a cell."""
    seen = {int(name) for name in os.listdir("/proc") if name.isdigit()}
    others = len(seen - {1, os.getpid()})
    return f"{REACHED}: {others} processes" if others else "none"


def connected(address: str) -> str:
    """Connect to ``unix:PATH`` or ``tcp://HOST:PORT``; say nothing there."""
    where = urlsplit(address)
    if where.scheme == "unix":
        with socket.socket(socket.AF_UNIX) as plug:
            plug.settimeout(NEAR)
            plug.connect(where.path)
        return REACHED
    with socket.create_connection((where.hostname or "", where.port or 0), NEAR):
        return REACHED


def answering(address: str) -> str:
    """Tell whether somebody at ``HOST:PORT`` answers HTTP: some networks accept any connection."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), NEAR) as plug:
        plug.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return f"{REACHED}: {address}" if plug.recv(1) else "ECONNRESET"


def in_sight(address: str) -> str:
    """Tell whether somebody could connect, without doing so: that would wake who sleeps there."""
    where = urlsplit(address)
    if where.scheme != "unix":
        return "skipped: it sleeps"
    os.stat(where.path)
    return REACHED if os.access(where.path, os.W_OK) else "EACCES"


def variable(digest: str) -> str:
    """Look for a value, of which there is ``SALT:DIGEST``, in all variables and parts of them."""
    salt, _, wanted = digest.partition(":")
    for name, value in os.environ.items():
        for part in {value, *re.split(r"[^A-Za-z0-9_-]+", value)}:
            if (
                hashlib.sha256(f"{salt}{part}".encode("utf-8", "surrogateescape")).hexdigest()
                == wanted
            ):
                return f"{REACHED}: in {name}"
    return "none"


def names(known: str) -> str:
    """Look for variables other than these."""
    others = sorted(set(os.environ) - set(known.split()))
    return f"{REACHED}: {' '.join(others)}" if others else "none"


def called(url: str, key: str | None = None) -> str:
    """Call a URL with a key, or without one."""
    parts = urlsplit(url)
    client = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
    try:
        client.request(
            "GET", f"{parts.path}/", headers={"x-user-authorization": key} if key else {}
        )
        return f"http {client.getresponse().status}"
    finally:
        client.close()


def called_with_a_key(url: str) -> str:
    """Call a URL with a key that nobody has."""
    return called(url, f"cs_dev_{secrets.token_hex(32)}")


def own_database(_: str) -> str:
    """Log in to our own database."""
    own = os.environ
    if "DATABASE_NAME" not in own:
        return "skipped: it has no database"
    return logged_in(own["DATABASE_NAME"], own["DATABASE_USERNAME"])


def database(name: str) -> str:
    """Enter another database as who we are."""
    if "DATABASE_NAME" not in os.environ:
        return "skipped: it has no database, so no login"
    return logged_in(name, os.environ["DATABASE_USERNAME"])


def state(name: str) -> str:
    """Enter a database of the server's own as who we are."""
    answer = database(name)
    return f"{REACHED}: {name}" if answer == REACHED else answer


def role(name: str) -> str:
    """Enter another database as its role, which has its name."""
    if "DATABASE_NAME" not in os.environ:
        return "skipped: it has no database, so no password"
    return logged_in(name, name)


def logged_in(name: str, user: str) -> str:
    """Log in at PostgreSQL with our password, by its protocol 3.0."""
    with _server() as plug:
        text = f"user\0{user}\0database\0{name}\0\0".encode()
        plug.sendall(struct.pack("!ii", 8 + len(text), _VERSION_3) + text)
        exchange = _Scram(os.environ["DATABASE_PASSWORD"])
        while True:
            kind, body = _message(plug)
            if kind == b"E":
                return f"sql {_code(body)}"
            if kind != b"R":
                return REACHED  # it tells of settings: we are in
            (step,) = struct.unpack("!i", body[:4])
            if step in (0, 12):
                continue  # who we are is believed; whether we may enter comes next
            answer = exchange.answer(step, body[4:])
            if answer is None:
                return f"cannot log in by method {step}"
            plug.sendall(b"p" + struct.pack("!i", 4 + len(answer)) + answer)


@contextmanager
def _server() -> Iterator[socket.socket]:
    host, port = os.environ["DATABASE_HOST"], os.environ["DATABASE_PORT"]
    if host.startswith("/"):
        with socket.socket(socket.AF_UNIX) as plug:
            plug.settimeout(PATIENCE)
            plug.connect(f"{host}/.s.PGSQL.{port}")
            yield plug
        return
    with socket.create_connection((host, int(port)), PATIENCE) as plug:
        plug.sendall(struct.pack("!ii", 8, _SSL_REQUEST))
        if plug.recv(1) != b"S":
            yield plug
            return
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(plug) as wrapped:
            yield wrapped


def _message(plug: socket.socket) -> tuple[bytes, bytes]:
    kind, (size,) = _exactly(plug, 1), struct.unpack("!i", _exactly(plug, 4))
    return kind, _exactly(plug, size - 4)


def _exactly(plug: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        piece = plug.recv(count - len(found))
        if not piece:
            raise ConnectionResetError(errno.ECONNRESET, "cut off")
        found += piece
    return found


def _code(body: bytes) -> str:
    fields = {part[:1]: part[1:].decode() for part in body.split(b"\0") if part}
    return fields.get(b"C", "?")


class _Scram:
    """The client's half of SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding.

    The server's own proof is not looked at: there is nothing that it could take from us.
    """

    def __init__(self, password: str) -> None:
        self._password = password.encode()
        self._first = f"n=,r={secrets.token_urlsafe(18)}"

    def answer(self, step: int, told: bytes) -> bytes | None:
        """Return what to send, or ``None`` for a method that is not this one."""
        if step == 10:
            first = f"n,,{self._first}".encode()
            return b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first
        return self._proof(told.decode()) if step == 11 else None

    def _proof(self, told: str) -> bytes:
        given = dict(part.split("=", 1) for part in told.split(","))
        salt, rounds = base64.b64decode(given["s"]), int(given["i"])
        key = hashlib.pbkdf2_hmac("sha256", self._password, salt, rounds)
        client = hmac.digest(key, b"Client Key", "sha256")
        last = f"c=biws,r={given['r']}"
        whole = f"{self._first},{told},{last}".encode()
        sign = hmac.digest(hashlib.sha256(client).digest(), whole, "sha256")
        proof = bytes(one ^ other for one, other in zip(client, sign, strict=True))
        return f"{last},p={base64.b64encode(proof).decode()}".encode()


DEEDS: Mapping[str, Callable[[str], str]] = {
    deed.__name__: deed
    for deed in (
        *(read, listed, written, processes, connected, answering, in_sight, variable, names),
        *(called, called_with_a_key, own_database, database, state, role),
    )
}


def tried(attempt: Mapping[str, str]) -> str:
    """Return what became of an attempt, in a word."""
    try:
        return DEEDS[attempt["deed"]](attempt["address"])
    except TimeoutError:
        return "timeout"
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, type(error).__name__)
    except Exception as error:
        return type(error).__name__


def main(file: str) -> None:
    """Try everything; each answer is told in a line."""
    with open(file, encoding="utf-8") as opened:
        given: Mapping[str, Any] = json.load(opened)
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        for number, answer in enumerate(pool.map(tried, given["attempts"])):
            print(json.dumps({"number": number, "answer": answer}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
