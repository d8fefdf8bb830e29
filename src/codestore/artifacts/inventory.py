"""What a source is made of: every file by its digest, every link by its target."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from codestore.domain.versions import Migration

# A migration is a script of one of these kinds, anywhere below a folder with one of these names.
_MIGRATION_FOLDERS = ("migrations", "alembic/versions")
_MIGRATION_SUFFIXES = (".py", ".sql", ".js", ".mjs", ".cjs", ".ts")
_NOT_MIGRATIONS = ("__init__.py", "env.py")  # a package's mark, and Alembic's own set-up
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class File:
    """A regular file: digest of its bytes in hex, size in bytes, and whether it may be run."""

    sha256: str
    size: int
    executable: bool = False


@dataclass(frozen=True, slots=True)
class Inventory:
    """Files and link targets by path. Folders are where files are; empty ones are not source."""

    files: Mapping[str, File] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> str:
        """The digest of the source alone: equal for equal source, whatever else is sealed."""
        return hashlib.sha256(canonical(self.as_json())).hexdigest()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files.values())

    def migrations(self) -> tuple[Migration, ...]:
        """Return the migration files, by path."""
        return tuple(
            Migration(path, file.sha256)
            for path, file in sorted(self.files.items())
            if _is_migration(path)
        )

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        files = {
            path: {"sha256": file.sha256, "size": file.size, "executable": file.executable}
            for path, file in self.files.items()
        }
        return {"files": files, "links": dict(self.links)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Inventory":
        """Read what :meth:`as_json` made."""
        return cls({path: File(**file) for path, file in data["files"].items()}, data["links"])


def canonical(data: object) -> bytes:
    """Return the one JSON text for plain data."""
    # In pieces: in one go, ten thousand files would stop every other thread for too long.
    return "".join(_ENCODER.iterencode(data)).encode("utf-8")


def _is_migration(path: str) -> bool:
    folder, _, name = path.rpartition("/")
    return (
        name.endswith(_MIGRATION_SUFFIXES)
        and name not in _NOT_MIGRATIONS
        and any(f"/{known}/" in f"/{folder}/" for known in _MIGRATION_FOLDERS)
    )
