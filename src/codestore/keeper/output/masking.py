"""Masking: what a child writes is searched for its secrets before it is written anywhere.

Looked for are the values of the variables that its spec names: as they are, line by line, and as
they look inside of JSON and of an address. What a service makes of them otherwise (halves, hashes,
base64) is not known here, and values shorter than ``SHORTEST`` bytes are left alone: masked, they
would make holes into words, and a reader could tell them by that.
"""

import json
from collections.abc import Iterable
from functools import cached_property
from typing import Final
from urllib.parse import quote

from codestore.keeper.spec import ChildSpec

SHORTEST: Final = 6
"""Bytes of the shortest text that is masked."""
MASK: Final = b"[hidden]"


class Mask:
    """The secrets of one child. What they look like is found out when something is written."""

    def __init__(self, values: Iterable[str]) -> None:
        self._values = tuple(values)

    @classmethod
    def of(cls, spec: ChildSpec) -> "Mask | None":
        """Return the mask of a child; ``None`` when it has no secrets."""
        values = [spec.env[name] for name in spec.secrets if name in spec.env]
        return cls(values) if any(values) else None

    @cached_property
    def _forms(self) -> tuple[bytes, ...]:
        found = {form for value in self._values for form in _forms(value)}
        return tuple(form for form in found if len(form) >= SHORTEST)

    @cached_property
    def longest(self) -> int:
        """Bytes of the longest text that is looked for."""
        return max(map(len, self._forms), default=0)

    def finds(self, text: bytes) -> bool:
        """Tell whether there is a secret in this."""
        return any(form in text for form in self._forms)

    def hide(self, text: bytes) -> bytes:
        """Return the text with a mask over every secret in it."""
        found = self._spans(text)
        if not found:
            return text
        pieces, at = [], 0
        for start, end in found:
            pieces += [text[at:start], MASK]
            at = end
        return b"".join([*pieces, text[at:]])

    def begun(self, text: bytes) -> int:
        """Return how much of a line that goes on can be told already.

        What comes next may make a secret of the rest.
        """
        told = max(0, len(text) - max(0, self.longest - 1))
        for start, end in self._spans(text):
            if start < told < end:
                return end
        return told

    def _spans(self, text: bytes) -> list[tuple[int, int]]:
        """Return where secrets are; those that overlap or touch are one."""
        found = sorted(span for form in self._forms for span in _places(form, text))
        joined: list[tuple[int, int]] = []
        for start, end in found:
            if joined and start <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
            else:
                joined.append((start, end))
        return joined


def _places(form: bytes, text: bytes) -> Iterable[tuple[int, int]]:
    at = text.find(form)
    while at >= 0:
        yield at, at + len(form)
        at = text.find(form, at + 1)


def _forms(value: str) -> Iterable[bytes]:
    """Yield what a value looks like where it is written."""
    texts = [line.rstrip("\r") for line in value.split("\n")]
    texts += [json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]]
    texts += [quote(value, safe=""), quote(value)]
    yield from (text.encode("utf-8", "surrogateescape") for text in texts)
