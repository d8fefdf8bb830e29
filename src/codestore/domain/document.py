"""Reading a document people wrote (a parsed YAML mapping) with errors that point at the line.

Values arrive as plain Python data with a table of line numbers; nothing here knows YAML.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from codestore.domain.faults import Fault, invalid
from codestore.domain.names import shown

Path = tuple[str, ...]
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h|d)?")
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)(KiB|MiB|GiB|KB|MB|GB)?")
_BYTES = {
    "": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
_PERCENT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)%")
_OUT = "is out of range"  # the hint says which range
_MOST_NUMBERS = 20
_MOST_TEXTS = 100
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class Document:
    """A value at a path of a file, and the line (from 1) on which each path starts."""

    value: object
    file: str
    lines: Mapping[Path, int] = field(default_factory=dict)
    path: Path = ()

    def fault(self, problem: str, hint: str) -> Fault:
        """Build the fault that points here."""
        name = ".".join(self.path) or "the document"
        line = next(
            (
                self.lines[self.path[:n]]
                for n in range(len(self.path), -1, -1)
                if self.path[:n] in self.lines
            ),
            None,
        )
        where = f"{self.file}:{line}" if line else self.file
        return invalid(
            "bad_manifest", "Manifest refused", f"{name}: {problem}", hint=hint, where=where
        )

    def child(self, key: str) -> "Document":
        """Return the value under ``key``; a missing key gives a document of ``None``."""
        value = self.value.get(key) if isinstance(self.value, Mapping) else None
        return Document(value, self.file, self.lines, (*self.path, key))

    @property
    def missing(self) -> bool:
        """Whether nothing is written here."""
        return self.value is None

    def mapping(self, keys: Iterable[str]) -> "Document":
        """Check that this is a mapping with no key but ``keys``; return it."""
        known = list(keys)
        if not isinstance(self.value, Mapping):
            raise self.fault(
                f"must be a mapping, not {_kind(self.value)}", f"Keys: {', '.join(known)}."
            )
        for key in self.value:
            if key not in known:
                close = get_close_matches(str(key), known, n=1)
                hint = f"Did you mean {close[0]}?" if close else f"Known keys: {', '.join(known)}."
                raise self.child(str(key)).fault(f"unknown key {shown(str(key))}", hint)
        return self

    def text(self, hint: str, limit: int = 1000) -> str:
        """Return a non-empty string of at most ``limit`` characters."""
        if not isinstance(self.value, str):
            raise self.fault(f"must be text, not {_kind(self.value)}", hint)
        if not self.value.strip():
            raise self.fault("is empty", hint)
        if len(self.value) > limit or "\0" in self.value:
            raise self.fault(f"must be plain text of at most {limit} characters", hint)
        return self.value

    def flag(self) -> bool:
        """Return a boolean."""
        if not isinstance(self.value, bool):
            raise self.fault(
                f"must be true or false, not {_kind(self.value)}", "Write true or false."
            )
        return self.value

    def whole(self, low: int, high: int) -> int:
        """Return a whole number between ``low`` and ``high``."""
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.fault(f"must be a whole number, not {_kind(value)}", f"{low} to {high}.")
        if not low <= value <= high:
            raise self.fault(_OUT, f"{low} to {high}.")
        return value

    def duration(self, low: float, high: float) -> float:
        """Return seconds from ``10s``, ``5m``, ``1.5h``, ``250ms`` or a bare number of seconds."""
        raw = self.value
        match = None if isinstance(raw, bool) else _DURATION.fullmatch(str(raw))
        seconds = float(match[1]) * _SECONDS[match[2] or "s"] if match else -1.0
        if not low <= seconds <= high:
            problem = f"must be a time, not {_kind(raw)}" if match is None else _OUT
            raise self.fault(problem, f"As in 10s, 5m or 1h; {low:g} s to {high:g} s.")
        return seconds

    def number(self, low: float, high: float) -> float:
        """Return a number between ``low`` and ``high``."""
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.fault(f"must be a number, not {_kind(value)}", f"{low:g} to {high:g}.")
        if not low <= value <= high:
            raise self.fault(_OUT, f"{low:g} to {high:g}.")
        return float(value)

    def size(self, low: int, high: int) -> int:
        """Return bytes from ``512KiB``, ``10MiB``, ``1GiB`` or a bare number of bytes."""
        raw = self.value
        match = None if isinstance(raw, bool) else _SIZE.fullmatch(str(raw))
        found = int(float(match[1]) * _BYTES[match[2] or ""]) if match else -1
        if not low <= found <= high:
            problem = f"must be a size, not {_kind(raw)}" if match is None else _OUT
            raise self.fault(problem, f"As in 10MiB or 1GiB; {low:,} to {high:,} bytes.")
        return found

    def percentage(self) -> float:
        """Return a share, 0 to 1, from ``1%`` or ``0.5%``."""
        match = _PERCENT.fullmatch(str(self.value))
        share = float(match[1]) / 100 if match else -1.0
        if not 0 <= share <= 1:
            kind = _kind(self.value)
            problem = f"must be a percentage, not {kind}" if match is None else _OUT
            raise self.fault(problem, "As in 1%; 0% to 100%.")
        return share

    def wholes(self, low: int, high: int) -> tuple[int, ...]:
        """Return a list of 1 to 20 whole numbers between ``low`` and ``high``."""
        value = self.value
        hint = f"1 to {_MOST_NUMBERS} numbers from {low} to {high}."
        if not isinstance(value, list | tuple):
            raise self.fault(f"must be a list of numbers, not {_kind(value)}", hint)
        if not 0 < len(value) <= _MOST_NUMBERS:
            raise self.fault(f"has {len(value)} entries" if value else "is empty", hint)
        return tuple(
            replace(self, value=item, path=(*self.path, str(at))).whole(low, high)
            for at, item in enumerate(value)
        )

    def texts(self, check: Callable[[str], bool], hint: str) -> tuple[str, ...]:
        """Return a list of at most 100 strings that all pass ``check``."""
        if self.missing:
            return ()
        value = self.value
        if not isinstance(value, list | tuple):
            raise self.fault(f"must be a list, not {_kind(value)}", hint)
        if len(value) > _MOST_TEXTS:
            raise self.fault(f"has {len(value)} entries", f"{_MOST_TEXTS} at most. {hint}")
        for item in value:
            if not isinstance(item, str) or not check(item):
                raise self.fault(f"{shown(str(item))} does not belong here", hint)
        return tuple(value)


def _kind(value: object) -> str:
    names = {bool: "a boolean", int: "a number", float: "a number", str: "text", dict: "a mapping"}
    named = names.get(type(value), "nothing" if value is None else "a list")
    return (
        f"{named} ({shown(str(value))})" if isinstance(value, bool | int | float | str) else named
    )
