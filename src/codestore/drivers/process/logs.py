"""The door ``Logs`` on this host: files that the keeper writes, one per process, merged by time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime
from pathlib import Path

from codestore.domain.instances import LogLine
from codestore.drivers.process.reading import LogReader
from codestore.keeper.output.logfile import LogFile

POLL = 0.2  # seconds between two looks at files that are followed
PLATFORM = "platform"


class FileLogs:
    """Reads what the keeper wrote; writes what the platform did, in the same form."""

    def __init__(self, folder: Path, now: Callable[[], datetime]) -> None:
        self._folder = folder
        self._now = now

    async def tail(self, deployment: str, count: int) -> list[LogLine]:
        """Return the newest lines of all processes, oldest first."""
        return await asyncio.to_thread(lambda: _last(self._readers(deployment).values(), count))

    async def tail_of(self, deployment: str, name: str, count: int) -> list[LogLine]:
        """Return the newest lines of one process."""
        reader = LogReader(self._folder / deployment / f"{name}.log")
        return await asyncio.to_thread(_last, [reader], count)

    async def follow(self, deployment: str, count: int) -> AsyncIterator[LogLine]:
        """Yield the newest lines, then each new one, until closed."""
        readers = self._readers(deployment)
        lines = await asyncio.to_thread(_last, readers.values(), count)
        while True:
            for line in lines:
                yield line
            await asyncio.sleep(POLL)
            readers = self._readers(deployment) | readers
            lines = await asyncio.to_thread(_fresh, readers.values())

    async def note(self, deployment: str, text: str) -> None:
        """Add a line of the platform's own."""
        await asyncio.to_thread(self._note, deployment, text)

    async def prune(self, before: datetime) -> None:
        """Delete files, rotated ones too, that were last written to before a time."""
        await asyncio.to_thread(self._prune, before.timestamp())

    def _prune(self, before: float) -> None:
        for file in self._folder.glob("*/*.log*"):
            with contextlib.suppress(FileNotFoundError):
                if file.stat().st_mtime < before:
                    file.unlink()

    def _note(self, deployment: str, text: str) -> None:
        at = self._now().isoformat(timespec="microseconds").replace("+00:00", "Z")
        lines = "".join(f"{at} {PLATFORM} F {line}\n" for line in text.splitlines())
        log = LogFile(self._folder / deployment / f"{PLATFORM}.log")  # puts itself aside by size
        log.write(lines.encode("utf-8", "replace"))
        log.close()

    def _readers(self, deployment: str) -> dict[Path, LogReader]:
        """Return a reader for each process that wrote something."""
        found = (self._folder / deployment).glob("*.log*")
        # One that was just put aside has no file of the plain name until more is written.
        plain = {path if path.suffix == ".log" else path.with_suffix("") for path in found}
        return {path: LogReader(path) for path in sorted(plain)}


def _last(readers: Iterable[LogReader], count: int) -> list[LogLine]:
    lines = [line for reader in readers for line in reader.last(count)]
    lines.sort(key=lambda line: line.at)
    return lines[-count:] if count > 0 else []


def _fresh(readers: Iterable[LogReader]) -> list[LogLine]:
    lines = [line for reader in readers for line in reader.fresh()]
    return sorted(lines, key=lambda line: line.at)
