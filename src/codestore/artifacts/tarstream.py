"""Reading a tar stream that a stranger made: strict, in constant memory, never seeking.

The standard library's reader serves archives of friends: it takes whole extension headers into
memory, follows sparse maps and negative sizes, and forgives damage. This one knows the plain
forms that archivers write today (ustar, PAX, GNU long names) and refuses everything else.
"""

import gzip
import zlib
from collections.abc import Iterator
from typing import IO

from codestore.artifacts.refusals import broken_archive, too_large
from codestore.artifacts.tarheader import (
    Kind,
    Member,
    check_sum,
    number,
    read_member,
    read_records,
    text,
)

BLOCK = 512
_CHUNK = 1 << 18
_MAX_EXTENSION = 64 * 1024  # bytes of one header that describes the next member
_MAX_EXTENSIONS = 16 * 1024 * 1024  # bytes of all of them
_MAX_TRAILER = 1 << 20  # archivers pad to a blocking factor of their choice
# Type letters of headers that only describe the member after them.
_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_TARGET = b"x", b"g", b"L", b"K"


class TarStream:
    """The members of an archive, in its order; :meth:`data` reads the current one.

    ``limit`` is the most bytes read from the stream, once uncompressed. Raises Faults:
    ``broken_archive``, and ``archive_too_large`` for one that goes on after ``limit``.
    """

    def __init__(self, raw: IO[bytes], limit: int) -> None:
        self._limit = limit
        self._extensions = 0
        self._left = 0  # bytes of the current member not yet read
        self._padding = 0
        magic = raw.read(2)
        raw.seek(0)
        zipped = magic == b"\x1f\x8b"
        self._stream = gzip.GzipFile(fileobj=raw) if zipped else raw

    def __iter__(self) -> Iterator[Member]:
        described: dict[str, str] = {}
        while True:
            self._skip()
            header = self._exactly(BLOCK)
            if header == bytes(BLOCK):
                self._finish()
                return
            check_sum(header)
            letter, size = header[156:157], number(header[124:136])
            if letter in (_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_TARGET):
                described |= self._extension(letter, size)
                continue
            member = read_member(header, described)
            described = {}
            self._left = member.size if member.kind is Kind.FILE else 0
            self._padding = -self._left % BLOCK
            yield member

    def data(self) -> Iterator[bytes]:
        """Yield the content of the current member, in pieces."""
        while self._left:
            piece = self._read(min(self._left, _CHUNK))
            self._left -= len(piece)
            yield piece

    def _skip(self) -> None:
        for _ in self.data():
            pass
        self._exactly(self._padding)
        self._padding = 0

    def _finish(self) -> None:
        """Check that only padding follows: what we do not look at must not be there."""
        rest = 0
        while piece := self._read(_CHUNK, end=True):
            rest += len(piece)
            if rest > _MAX_TRAILER or piece.strip(b"\0"):
                raise broken_archive("Something follows the end of the archive.")

    def _extension(self, letter: bytes, size: int) -> dict[str, str]:
        self._extensions += size
        if size > _MAX_EXTENSION or self._extensions > _MAX_EXTENSIONS:
            raise too_large("The headers of the archive are too long.")
        body = self._exactly(size)
        self._exactly(-size % BLOCK)
        if letter == _PAX_GLOBAL:
            return {}  # a comment in practice (git writes the commit), never a name
        if letter == _PAX:
            return read_records(body)
        key = "path" if letter == _LONG_NAME else "linkpath"
        return {key: text(body.partition(b"\0")[0])}

    def _exactly(self, count: int) -> bytes:
        parts = []
        while count:
            parts.append(self._read(count))
            count -= len(parts[-1])
        return b"".join(parts)

    def _read(self, count: int, *, end: bool = False) -> bytes:
        """Read at least one byte, at most ``count``; nothing only at the ``end``, if it may be."""
        try:
            piece = self._stream.read(count)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise broken_archive("Its compression is damaged, or its end is missing.") from error
        if not piece and not end:
            raise broken_archive("Its end is missing.")
        self._limit -= len(piece)
        if self._limit < 0:
            raise too_large("The archive goes on after all that it may hold.")
        return piece
