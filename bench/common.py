"""What the benches share: a platform for a while, a way to ask, and how figures are told."""

import argparse
import http.client
import json
import os
import signal
import socket
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from codestore.cli.client import Client
from codestore.cli.profile import read_profile
from tests.support.platform import KEY, Platform

HELLO = {"query": "{ helloWorld }"}
PATIENCE = 60.0  # seconds for anything that is waited for


@dataclass(frozen=True, slots=True)
class Figure:
    """A row of the result; without a ``target`` it is only told."""

    what: str
    values: Sequence[float]
    unit: str
    target: float | None = None
    at_least: bool = False

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        middle = statistics.median(self.values)
        kept = middle >= self.target if self.at_least else middle <= self.target
        return "ok" if kept else "MISSED"

    def cells(self) -> tuple[str, ...]:
        sign = "≥" if self.at_least else "≤"
        target = "" if self.target is None else f"{sign} {self.target:g} {self.unit}"
        middle = statistics.median(self.values)
        numbers = [f"{value:.3g}" for value in (middle, min(self.values), max(self.values))]
        return (self.what, target, *numbers, self.unit, str(len(self.values)), self.verdict)


def tell(figures: Sequence[Figure]) -> None:
    """Print the figures; a target is held against the median."""
    heads = ("", "target", "median", "min", "max", "", "n", "")
    table([heads, *(figure.cells() for figure in figures)])
    print(f"\nload of the machine now: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns, the first one to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        print("  ".join([first.ljust(widths[0]), *cells]).rstrip())


def ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Return the ratio of each round."""
    return [a / b for a, b in zip(over, under, strict=True)]


def rounds(description: str | None, usual: int) -> int:
    """Return how many rounds the command line asks for; being told to leave ends orderly."""

    def options(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--rounds", type=int, default=usual, choices=range(1, 101), metavar="N")

    return int(arguments(description, options).rounds)


def arguments(
    description: str | None, options: Callable[[argparse.ArgumentParser], None]
) -> argparse.Namespace:
    """Return what the command line says; being told to leave ends orderly."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options(parser)
    return parser.parse_args()


@contextmanager
def running() -> Iterator[Platform]:
    """Lend a platform that is up."""
    platform = Platform()
    try:
        platform.up()
        yield platform
    finally:
        platform.close()


def client_of(platform: Platform) -> Client:
    """Return the platform's API, as its command line speaks to it."""
    profile = read_profile(platform.data)
    assert profile is not None
    return Client(profile.url, profile.token, PATIENCE)


class Line(http.client.HTTPConnection):
    """A connection that is kept: to ``http://…`` or to ``unix:/path``."""

    def __init__(self, address: str, key: str | None = None) -> None:
        parts = urlsplit(address)
        super().__init__(parts.hostname or "instance", parts.port, timeout=PATIENCE)
        self._unix = parts.path if parts.scheme == "unix" else None
        self._prefix = "" if self._unix else parts.path
        self._headers = {KEY: key} if key else {}

    def connect(self) -> None:
        if self._unix is None:
            return super().connect()
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        return self.sock.connect(self._unix)

    def ask(self, path: str, body: Any = None) -> tuple[int, bytes]:
        """Return status and body."""
        method, data, headers = "GET", None, dict(self._headers)
        if body is not None:
            method, data = "POST", json.dumps(body)
            headers["content-type"] = "application/json"
        self.request(method, self._prefix + path, data, headers)
        answer = self.getresponse()
        return answer.status, answer.read()

    def hello(self) -> str | None:
        """Ask the template's field; ``None`` when it is not (yet) answered."""
        status, body = self.ask("/graphql", HELLO)
        return str(json.loads(body)["data"]["helloWorld"]) if status == 200 else None
