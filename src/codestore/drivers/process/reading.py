"""Reads the log of one process: a file and, put aside by size, ``.1`` (newest) to ``.3``.

Lines have the form container runtimes use (CRI): ``<time> <stream> <F|P> <text>``, where P marks
a part of a long line that goes on in the stream's next. Only ``\\n`` ends a line; the text may
hold anything else.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from datetime import datetime
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, NamedTuple

from codestore.domain.instances import LogLine
from codestore.keeper.output.logfile import KEEP

BLOCK = 64 * 1024  # bytes read at a time, from the end; longer than any line


class _Line(NamedTuple):
    at: datetime
    stream: bytes
    whole: bool
    text: bytes


class LogReader:
    """Remembers how far it has read, through rotations and in the middle of long lines."""

    def __init__(self, file: Path) -> None:
        self._files = [file, *(file.with_name(f"{file.name}.{n}") for n in range(1, KEEP + 1))]
        self._source = file.stem
        self._inode = 0
        self._position = 0
        self._begun: dict[bytes, bytes] = {}

    def last(self, count: int) -> list[LogLine]:
        """Return the newest lines, oldest first; :meth:`fresh` goes on behind them."""
        found: list[tuple[int, LogLine]] = []
        parts: dict[bytes, list[_Line]] = {}  # of each stream's line that is not seen whole yet
        ends: dict[bytes, int] = {}
        with ExitStack() as stack:
            for place, line in enumerate(self._backwards(stack)):
                later = parts.setdefault(line.stream, [])
                if line.whole:
                    found += [(ends[line.stream], whole) for whole in self._joined(later)]
                    later.clear()
                    if len(found) >= count:
                        break
                    ends[line.stream] = -place
                later.insert(0, line)
        for stream, later in parts.items():
            found += [(ends[stream], whole) for whole in self._joined(later)]
        found.sort(key=itemgetter(0))
        return [line for _, line in found][-count:] if count > 0 else []

    def fresh(self) -> list[LogLine]:
        """Return what was written since; all of it the first time."""
        lines: list[LogLine] = []
        with ExitStack() as stack:
            for inode, handle in reversed(self._unread(stack)):
                start = self._position if inode == self._inode else 0
                handle.seek(start)
                data = handle.read()
                whole = data.rfind(b"\n") + 1
                lines += self._onward(data[:whole].split(b"\n"))
                self._inode, self._position = inode, start + whole
        return lines

    def _backwards(self, stack: ExitStack) -> Iterator[_Line]:
        """Yield lines, newest first; note where the newest end."""
        self._inode = 0
        for inode, handle in self._opened(stack):
            end = _end(handle)
            if not self._inode:
                self._inode, self._position = inode, end
            yield from filter(None, map(_read, _lines_before(handle, end)))

    def _unread(self, stack: ExitStack) -> list[tuple[int, BinaryIO]]:
        """Open the files that may have something new, newest first."""
        unread = []
        for inode, handle in self._opened(stack):
            unread.append((inode, handle))
            if inode == self._inode:
                break
        return unread

    def _opened(self, stack: ExitStack) -> Iterator[tuple[int, BinaryIO]]:
        seen = set()
        for path in self._files:
            with suppress(FileNotFoundError):  # just put aside, and nothing written since
                handle = stack.enter_context(path.open("rb"))
                inode = os.fstat(handle.fileno()).st_ino
                if inode not in seen:  # it is met twice when it is put aside meanwhile
                    seen.add(inode)
                    yield inode, handle

    def _joined(self, parts: list[_Line]) -> Iterator[LogLine]:
        """Yield the line that these parts make; remember them when its end is not written yet."""
        if not parts:
            return
        text = b"".join(part.text for part in parts)
        last = parts[-1]
        if last.whole:
            yield self._made(last, text)
        else:
            self._begun[last.stream] = text

    def _onward(self, raw: Iterable[bytes]) -> Iterator[LogLine]:
        for line in filter(None, map(_read, raw)):
            text = self._begun.pop(line.stream, b"") + line.text
            if line.whole:
                yield self._made(line, text)
            else:
                self._begun[line.stream] = text

    def _made(self, line: _Line, text: bytes) -> LogLine:
        stream = line.stream.decode("utf-8", "replace")
        return LogLine(line.at, self._source, stream, text.decode("utf-8", "replace"))


def _read(line: bytes) -> _Line | None:
    """Read a CRI line; ``None`` for what is not one."""
    try:
        time, stream, mark, text = line.split(b" ", 3)
        at = datetime.fromisoformat(time.decode())
    except ValueError:
        return None
    return _Line(at, stream, mark != b"P", text) if at.tzinfo else None


def _end(handle: BinaryIO) -> int:
    """Return where the last whole line ends."""
    size = handle.seek(0, os.SEEK_END)
    start = handle.seek(max(0, size - BLOCK))
    return start + handle.read(size - start).rfind(b"\n") + 1


def _lines_before(handle: BinaryIO, position: int) -> Iterator[bytes]:
    """Yield lines that end before a position, newest first."""
    rest = b""
    while position > 0:
        step = min(BLOCK, position)
        position -= step
        handle.seek(position)
        rest, *lines = (handle.read(step) + rest).split(b"\n")
        yield from reversed(lines)
    yield rest
