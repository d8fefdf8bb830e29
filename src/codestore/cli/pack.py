"""A folder as a tar.gz: the same bytes for the same files, within the limits of a push."""

import gzip
import os
import stat
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from codestore.cli.loading import load
from codestore.cli.problems import CommandError, refused

if TYPE_CHECKING:
    from codestore.cli.ignore import Rules

MAX_SIZE = 100 * 1024 * 1024  # bytes, before compression
MAX_FILES = 10_000
_IN_MEMORY = 8 * 1024 * 1024  # bytes; a larger archive goes to a temporary file
_NAMED = 5  # how many of the worst are named in a refusal
_LEAVE_OUT = "Leave out what the service does not need, in .codestoreignore."


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or a symbolic link of the folder, by its path in it."""

    path: str
    file: Path
    status: os.stat_result

    @property
    def size(self) -> int:
        """Bytes that count; a link has none."""
        return self.status.st_size if stat.S_ISREG(self.status.st_mode) else 0


@contextmanager
def packed(folder: Path) -> Iterator[IO[bytes]]:
    """Lend the archive of a folder. Raises a refusal that names the offending files."""
    entries = sorted(_entries(folder, "", None), key=lambda entry: entry.path)
    _check(entries)
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as archive:
        # Nothing of the archive tells when, where or by whom it was made.
        with (
            gzip.GzipFile("", "wb", compresslevel=1, fileobj=archive, mtime=0) as squeezed,
            tarfile.open(fileobj=squeezed, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            for entry in entries:
                _add(tar, entry)
        yield archive


def _entries(folder: Path, place: str, around: "Rules | None") -> Iterator[Entry]:
    """Yield what a folder holds and no rule leaves out, at any depth."""
    try:
        rules: Rules = load("ignore").rules_of(folder, place, around)
        found = list(os.scandir(folder))
    except OSError as error:
        raise _unreadable(place or ".", error) from error
    for item in found:
        path = f"{place}{item.name}"
        is_folder = item.is_dir(follow_symlinks=False)
        if rules.leave_out(path, folder=is_folder):
            continue
        if is_folder:
            yield from _entries(Path(item.path), f"{path}/", rules)
        else:
            yield _entry(path, item)


def _entry(path: str, item: os.DirEntry[str]) -> Entry:
    status = item.stat(follow_symlinks=False)
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
        raise refused("bad_file", "Not a file", "It is a socket, a pipe or the like.", where=path)
    return Entry(path, Path(item.path), status)


def _check(entries: list[Entry]) -> None:
    """Refuse too much before anything is sent."""
    if len(entries) > MAX_FILES:
        folders = Counter(entry.path.rpartition("/")[0] or "." for entry in entries)
        worst = [f"{name}/ ({count} files)" for name, count in folders.most_common(_NAMED)]
        detail = f"{len(entries)} files are more than {MAX_FILES}: {', '.join(worst)}."
        raise refused("too_many_files", "Too many files", detail, _LEAVE_OUT)
    total = sum(entry.size for entry in entries)
    if total > MAX_SIZE:
        largest = sorted(entries, key=lambda entry: entry.size, reverse=True)[:_NAMED]
        worst = [f"{entry.path} ({_mebibytes(entry.size)})" for entry in largest]
        detail = f"{_mebibytes(total)} are more than {_mebibytes(MAX_SIZE)}: {', '.join(worst)}."
        raise refused("archive_too_large", "Too much to push", detail, _LEAVE_OUT)


def _add(tar: tarfile.TarFile, entry: Entry) -> None:
    info = tarfile.TarInfo(entry.path)
    if stat.S_ISLNK(entry.status.st_mode):
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, str(entry.file.readlink()), 0o777
        tar.addfile(info)
        return
    info.size = entry.size
    info.mode = 0o755 if entry.status.st_mode & stat.S_IXUSR else 0o644
    try:
        with entry.file.open("rb") as file:
            tar.addfile(info, file)
    except OSError as error:  # also when the file became shorter meanwhile
        raise _unreadable(entry.path, error) from error


def _unreadable(path: str, error: OSError) -> CommandError:
    reason = error.strerror or str(error)
    hint = "Make it readable, or leave it out in .codestoreignore."
    return refused("unreadable", "A file cannot be read", f"{reason}.", hint, path)


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
