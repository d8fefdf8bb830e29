"""An upload, held to the limits of a push while it streams in.

Nothing is written under a name of the sender's: contents go one after the other into a nameless
file, and only what survives every check ever becomes a file again.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from codestore.artifacts.inventory import File, Inventory
from codestore.artifacts.paths import MAX_FOLDERS, Names, clean_path
from codestore.artifacts.refusals import bad_file, bad_link, too_large, too_many
from codestore.artifacts.tarheader import Kind, Member
from codestore.artifacts.tarstream import TarStream
from codestore.domain.names import shown

MAX_SOURCE = 100 * 1024 * 1024  # bytes, uncompressed
MAX_FILES = 10_000
# Headers, long names and padding, generously, for as many members as there may be.
_MAX_STREAM = MAX_SOURCE + (MAX_FILES + MAX_FOLDERS) * 4096
_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class Source:
    """What an archive holds. ``spool`` has the content of each file from its offset on."""

    inventory: Inventory
    spool: IO[bytes]
    offsets: dict[str, int]

    def read(self, path: str) -> bytes:
        """Return a file, whole."""
        return b"".join(self.pieces(path))

    def find(self, path: str) -> bytes | None:
        """Return a file, whole, or ``None`` when there is no such file."""
        return self.read(path) if path in self.inventory.files else None

    def pieces(self, path: str) -> Iterator[bytes]:
        """Yield a file's content."""
        self.spool.seek(self.offsets[path])
        left = self.inventory.files[path].size
        while left:
            piece = self.spool.read(min(left, _CHUNK))
            left -= len(piece)
            yield piece


def take_in(upload: IO[bytes], spool: IO[bytes], reserved: str) -> Source:
    """Read an archive into ``spool``; no file may be named ``reserved``.

    The limits hold for everything that is sent, also for what ignore files would leave out.
    Raises a Fault that names the offending file. Links are only noted here.
    """
    intake = _Intake(spool, Names(reserved))
    stream = TarStream(upload, _MAX_STREAM)
    for member in stream:
        intake.add(member, stream)
    return Source(Inventory(intake.files, intake.links), spool, intake.offsets)


@dataclass(slots=True)
class _Intake:
    spool: IO[bytes]
    names: Names
    files: dict[str, File] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    offsets: dict[str, int] = field(default_factory=dict)
    total: int = 0

    def add(self, member: Member, stream: TarStream) -> None:
        path = clean_path(member.name)
        if member.kind is Kind.OTHER:
            raise bad_file(member.name, "is a device, a pipe, a sparse file or the like")
        if member.kind is Kind.FOLDER:
            self.names.add_folder(path)
            return
        self.names.add_leaf(path)
        if len(self.files) + len(self.links) >= MAX_FILES:
            raise too_many(f'More than {MAX_FILES} files; the first too many is "{shown(path)}".')
        match member.kind:
            case Kind.FILE:
                self._file(path, member, stream)
            case Kind.HARDLINK:
                self._copy(path, member.target)
            case Kind.SYMLINK:
                self.links[path] = member.target

    def _file(self, path: str, member: Member, stream: TarStream) -> None:
        self._count(path, member.size)
        sha256, offset = hashlib.sha256(), self.spool.tell()
        for piece in stream.data():
            sha256.update(piece)
            self.spool.write(piece)
        self.files[path] = File(sha256.hexdigest(), member.size, member.executable)
        self.offsets[path] = offset

    def _copy(self, path: str, target: str) -> None:
        """Take a second name of a file for a copy of it, which it becomes anywhere else."""
        original = clean_path(target)
        if original not in self.files:
            raise bad_link(path, f'is a second name of "{shown(target)}", no file before it')
        self._count(path, self.files[original].size)
        self.files[path] = self.files[original]
        self.offsets[path] = self.offsets[original]

    def _count(self, path: str, size: int) -> None:
        self.total += size
        if self.total > MAX_SOURCE:
            limit = f"{MAX_SOURCE >> 20} MiB"
            raise too_large(f'The source is larger than {limit}, from "{shown(path)}" on.')
