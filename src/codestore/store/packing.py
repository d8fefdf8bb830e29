"""Sixty numbers in as few bytes as the largest of them needs: none, one, two or four each.

How many are used is told by the length, so nothing else is written down. An hour without a failure
takes no byte for failures, one with up to 65,535 requests a minute 120 for requests.
"""

import struct
from collections.abc import Sequence
from typing import Final

from codestore.domain.promise import MINUTES

_CODES: Final = {1: "B", 2: "H", 4: "I"}
_STRUCTS: Final = {width: struct.Struct(f"<{MINUTES}{code}") for width, code in _CODES.items()}


def packed(numbers: Sequence[int]) -> bytes:
    """Return the numbers of an hour as bytes. Raises struct.error for one above 2³² − 1."""
    most = max(numbers)
    if most == 0:
        return b""
    width = next((width for width in _STRUCTS if most < 256**width), max(_STRUCTS))
    return _STRUCTS[width].pack(*numbers)


def unpacked(data: bytes) -> tuple[int, ...]:
    """Return what :func:`packed` was given. Raises KeyError for bytes of another length."""
    return _STRUCTS[len(data) // MINUTES].unpack(data) if data else (0,) * MINUTES
