"""What a table-minded reader is to see, told apart from how it is drawn.

A view is light; drawing loads Rich, which takes longer than most commands.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60))
_SIZES = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))
Document = dict[str, Any]
Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows below headings; ``empty`` is said when there are none."""

    columns: Row
    rows: Sequence[Row]
    empty: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Labels with their values, one a line."""

    facts: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines as they are."""

    lines: list[str]


View = Table | Facts | Lines


def text(value: object) -> str:
    """Return a value as a cell; nothing is a dash."""
    return "–" if value is None or value == "" else str(value)


def moment(value: object) -> str:
    """Return a time of the API's, in the reader's zone, to the second.

    The zone is named by its offset, unless it is UTC: what the platform says itself is in UTC.
    """
    if not value:
        return "–"
    told = datetime.fromisoformat(str(value)).astimezone().isoformat(" ", "seconds")
    return told.removesuffix("+00:00")


def utc(value: str) -> str:
    """Return a time of the API's in UTC, to the second; whoever shows it names the zone."""
    return f"{datetime.fromisoformat(value).astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def seconds(value: float) -> str:
    """Return a duration that was measured."""
    return f"{value:.2f} s"


def span(value: float) -> str:
    """Return a duration that was set, as a manifest would say it: ``90s``, ``5m``, ``1h``."""
    for unit, length in _UNITS:
        if value >= length and value % length == 0:
            return f"{value / length:g}{unit}"
    return f"{value:g}s"


def size(value: int) -> str:
    """Return a number of bytes that was set, as a manifest would say it: ``512MiB``, ``1000``."""
    for unit, length in _SIZES:
        if value >= length and value % length == 0:
            return f"{value // length}{unit}"
    return f"{value}"


def _steers(letter: str) -> bool:
    """Whether a terminal takes a letter for an order (or for the end of one)."""
    return unicodedata.category(letter).startswith("C") and letter not in "\t\n"


def printable(line: str) -> str:
    """Return text with control characters told instead of sent: a log may come from anybody."""
    return "".join(f"\\x{ord(letter):02x}" if _steers(letter) else letter for letter in line)
