"""The door ``Logs`` on this host: files that the keeper writes, one per process, merged by time.

Lines have the form container runtimes use (CRI): ``<time> <stream> <F|P> <text>``, where P marks
a part of a long line that goes on in the next.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime
from pathlib import Path

from codestore.domain.instances import LogLine

POLL = 0.2  # seconds between two looks at files that are followed
BLOCK = 64 * 1024  # bytes read at a time, from the end
PLATFORM = "platform"


class FileLogs:
    """Reads what the keeper wrote; writes what the platform did, in the same form."""

    def __init__(self, folder: Path, now: Callable[[], datetime]) -> None:
        self._folder = folder
        self._now = now

    async def tail(self, deployment: str, count: int) -> list[LogLine]:
        """Return the newest lines of all processes, oldest first."""
        return await asyncio.to_thread(self._tail, self._files(deployment), count)

    async def tail_of(self, deployment: str, name: str, count: int) -> list[LogLine]:
        """Return the newest lines of one process."""
        file = self._folder / deployment / f"{name}.log"
        return await asyncio.to_thread(self._tail, [file], count)

    async def follow(self, deployment: str, count: int) -> AsyncIterator[LogLine]:
        """Yield the newest lines, then each new one, until closed."""
        positions = {file: _size(file) for file in self._files(deployment)}
        for line in await self.tail(deployment, count):
            yield line
        while True:
            await asyncio.sleep(POLL)
            fresh: list[LogLine] = []
            for file in self._files(deployment):
                lines, positions[file] = await asyncio.to_thread(
                    _read_on, file, positions.get(file, 0)
                )
                fresh += lines
            for line in sorted(fresh, key=lambda held: held.at):
                yield line

    async def note(self, deployment: str, text: str) -> None:
        """Add a line of the platform's own."""
        await asyncio.to_thread(self._note, deployment, text)

    def _note(self, deployment: str, text: str) -> None:
        file = self._folder / deployment / f"{PLATFORM}.log"
        file.parent.mkdir(parents=True, exist_ok=True)
        at = self._now().isoformat(timespec="microseconds").replace("+00:00", "Z")
        with file.open("a", encoding="utf-8") as out:
            out.writelines(f"{at} {PLATFORM} F {line}\n" for line in text.splitlines())

    def _files(self, deployment: str) -> list[Path]:
        return sorted((self._folder / deployment).glob("*.log"))

    def _tail(self, files: Iterable[Path], count: int) -> list[LogLine]:
        lines: list[LogLine] = []
        for file in files:
            lines += _last(file, count)
        lines.sort(key=lambda line: line.at)
        return lines[-count:]


def _last(file: Path, count: int) -> list[LogLine]:
    """Return the last lines of a file, going on in the one before it when it was rotated."""
    raw: list[bytes] = []
    for part in (file, *(file.with_name(f"{file.name}.{n}") for n in (1, 2, 3))):
        raw = _last_raw(part, count - len(raw)) + raw
        if len(raw) >= count:
            break
    return list(_parsed(raw, file.stem))[-count:]


def _last_raw(file: Path, count: int) -> list[bytes]:
    try:
        with file.open("rb") as source:
            source.seek(0, 2)
            position = source.tell()
            data = b""
            while position > 0 and data.count(b"\n") <= count:
                step = min(BLOCK, position)
                position -= step
                source.seek(position)
                data = source.read(step) + data
    except FileNotFoundError:
        return []
    return data.splitlines()[-count:] if count > 0 else []


def _read_on(file: Path, position: int) -> tuple[list[LogLine], int]:
    """Return the whole lines behind a position, and the position behind them."""
    try:
        size = _size(file)
        with file.open("rb") as source:
            source.seek(position if position <= size else 0)  # it was rotated: start anew
            start = source.tell()
            data = source.read()
    except FileNotFoundError:
        return [], 0
    whole = data.rfind(b"\n") + 1
    return list(_parsed(data[:whole].splitlines(), file.stem)), start + whole


def _parsed(raw: Iterable[bytes], source: str) -> Iterable[LogLine]:
    """Read CRI lines and join their parts; what is not one is passed over."""
    begun = ""
    for line in raw:
        fields = line.decode("utf-8", "replace").split(" ", 3)
        if len(fields) < 3:
            continue
        time, stream, mark = fields[:3]
        text = begun + (fields[3] if len(fields) == 4 else "")
        try:
            at = datetime.fromisoformat(time)
        except ValueError:
            continue
        if mark == "P":
            begun = text
            continue
        begun = ""
        yield LogLine(at, source, stream, text)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
