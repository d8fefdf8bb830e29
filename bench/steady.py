"""A load that does not wait: so many requests a second at random moments, answered or not.

The moments are those of a Poisson process, as of many people who know nothing of each other. What
an answer takes is counted from the moment at which its request was due, so whoever stalls pays for
all who came meanwhile. One thread, no event loop: about 20 µs of processor for a request, which is
twice what h2load takes, and the same for whoever is measured.
"""

import random
import select
import socket
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.support.platform import KEY

CONNECTIONS = 64
LATE = 10.0  # seconds that the last answers may take
BLOCK = 1 << 16
HEAD_END, LENGTH = b"\r\n\r\n", b"content-length: "


@dataclass(slots=True)
class Visit:
    """A request on its way; ``due`` is when it was to be sent, ``left`` the bytes still to come."""

    due: float
    seen: bytes = b""


@dataclass(slots=True)
class Steady:
    """Seconds of each answer, and by how much the load itself was late."""

    answers: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)


def moments(rate: float, seconds: float, seed: int) -> Sequence[float]:
    """Return the moments of the requests, in seconds from the beginning."""
    dice, now, found = random.Random(seed), 0.0, []
    while (now := now + dice.expovariate(rate)) < seconds:
        found.append(now)
    return found


def steady(url: str, key: str, path: str, rate: float, seconds: float, seed: int) -> Steady:
    """Ask at a rate over kept connections; every answer must be a 200."""
    parts = urlsplit(url)
    head = f"GET {parts.path}{path} HTTP/1.1\r\nhost: {parts.netloc}\r\n{KEY}: {key}\r\n\r\n"
    lines = [_line(parts.hostname or "", parts.port or 80) for _ in range(CONNECTIONS)]
    try:
        return _run(lines, head.encode(), moments(rate, seconds, seed))
    finally:
        for line in lines:
            line.close()


def _line(host: str, port: int) -> socket.socket:
    made = socket.create_connection((host, port), LATE)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def _run(lines: Sequence[socket.socket], head: bytes, due: Sequence[float]) -> Steady:
    found, free = Steady(), deque(lines)
    busy: dict[socket.socket, Visit] = {}
    began, number, count = time.perf_counter(), 0, len(due)
    while number < count or busy:
        now = time.perf_counter() - began
        while number < count and due[number] <= now and free:
            line = free.popleft()
            busy[line] = Visit(due[number])
            line.sendall(head)
            found.late.append(now - due[number])
            number += 1
        # Without a free connection there is nothing to send, and only answers to wait for.
        wait = max(0.0, due[number] - now) if number < count and free else LATE
        # The only one of these calls that counts in less than milliseconds.
        ready = select.select(busy, (), (), wait)[0]
        if not ready and wait == LATE:
            raise TimeoutError(f"{len(busy)} requests were not answered in {LATE:g} s")
        for line in ready:
            visit = busy[line]
            visit.seen += line.recv(BLOCK)
            if _whole(visit.seen):
                found.answers.append(time.perf_counter() - began - visit.due)
                del busy[line]
                free.append(line)
    return found


def _whole(seen: bytes) -> bool:
    """Whether an answer is there to its end."""
    if not seen:
        raise ConnectionError("the connection was closed")
    end = seen.find(HEAD_END)
    if end < 0:
        return False
    if not seen.startswith(b"HTTP/1.1 200 "):
        raise ValueError(seen[:500])
    head = seen[:end].lower() + b"\r\n"
    at = head.find(LENGTH)
    if at < 0:
        return seen.endswith(b"0\r\n\r\n")
    length = int(head[at + len(LENGTH) : head.index(b"\r\n", at)])
    return len(seen) >= end + len(HEAD_END) + length
