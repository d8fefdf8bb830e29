"""The header blocks of a tar archive: ustar, PAX records and GNU's variations, nothing older."""

from dataclasses import dataclass
from enum import Enum

from codestore.artifacts.refusals import bad_path, broken_archive


class Kind(Enum):
    """What a member is; ``OTHER`` is anything that is not source (devices, pipes, sparse files)."""

    FILE = "file"
    FOLDER = "folder"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"
    OTHER = "other"


_KINDS = {
    b"0": Kind.FILE,
    b"\0": Kind.FILE,
    b"7": Kind.FILE,
    b"1": Kind.HARDLINK,
    b"2": Kind.SYMLINK,
    b"5": Kind.FOLDER,
}


@dataclass(frozen=True, slots=True)
class Member:
    """One member as its header has it; ``name`` and ``target`` are unchecked. Size in bytes."""

    kind: Kind
    name: str
    target: str
    size: int
    executable: bool


def read_member(header: bytes, described: dict[str, str]) -> Member:
    """Read a member's own header; ``described`` is what the headers before it said of it.

    Raises a ``broken_archive`` fault for what no archiver writes.
    """
    name, target = text(_field(header[:100])), text(_field(header[157:257]))
    # Only POSIX headers have a prefix there; GNU ones keep times in the same place.
    if header[257:263] == b"ustar\0" and (prefix := _field(header[345:500])):
        name = f"{text(prefix)}/{name}"
    name, target = described.get("path", name), described.get("linkpath", target)
    size = _decimal(described["size"]) if "size" in described else number(header[124:136])
    kind = Kind.OTHER if "sparse" in described else _KINDS.get(header[156:157], Kind.OTHER)
    if kind is Kind.FILE and name.endswith("/"):
        kind = Kind.FOLDER  # as archivers older than POSIX write it
    if kind in (Kind.FOLDER, Kind.SYMLINK, Kind.HARDLINK) and size:
        raise broken_archive("A folder or a link claims to have content.")
    return Member(kind, name, target, size, bool(number(header[100:108]) & 0o100))


def read_records(body: bytes) -> dict[str, str]:
    """Read PAX records, each ``length key=value`` and a line end, the length counting all."""
    found: dict[str, str] = {}
    start = 0
    while start < len(body):
        digits = body[start : start + 8].partition(b" ")[0]
        end = start + _decimal(digits.decode("ascii", "replace"))
        key, equals, value = body[start + len(digits) + 1 : end].partition(b"=")
        if not equals or end > len(body) or not value.endswith(b"\n"):
            raise broken_archive("A header is damaged.")
        if key in (b"path", b"linkpath", b"size"):
            found[key.decode()] = text(value[:-1])
        elif key.startswith(b"GNU.sparse."):
            found["sparse"] = ""
        start = end
    return found


def check_sum(header: bytes) -> None:
    """Raise ``broken_archive`` unless a header adds up to the number it carries."""
    if sum(header[:148]) + sum(header[156:]) + 8 * ord(" ") != number(header[148:156]):
        raise broken_archive("It is not a tar archive, or it is damaged.")


def number(field: bytes) -> int:
    """Read a number: octal digits, or GNU's binary form when the first bit is set."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if digits.strip(b"01234567"):
        raise broken_archive("It is not a tar archive, or a header is damaged.")
    return int(digits or b"0", 8)


def text(raw: bytes) -> str:
    """Decode a name. Raises ``bad_path`` for one that is not UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise bad_path(raw.decode("utf-8", "backslashreplace"), "is not UTF-8") from error


def _decimal(digits: str) -> int:
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 20):
        raise broken_archive("A header is damaged.")
    return int(digits)


def _field(raw: bytes) -> bytes:
    return raw.partition(b"\0")[0]
