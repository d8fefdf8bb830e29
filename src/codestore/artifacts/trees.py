"""The code of a version laid out as files, read-only, and compared with its seal byte for byte."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from codestore.artifacts.bundle import Bundle
from codestore.artifacts.folders import Folders, publish
from codestore.artifacts.inventory import File, Inventory
from codestore.artifacts.refusals import bundle_damaged
from codestore.artifacts.tarheader import Kind
from codestore.artifacts.tarstream import TarStream
from codestore.domain.names import shown

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_SMALL = 1 << 20  # bytes; below it, one read is quickest


def provide_tree(folders: Folders, digest: str, bundle: Bundle) -> Path:
    """Return the folder with the code of a version, laid out now or checked to be as sealed.

    Raises a ``bundle_damaged`` fault that names the first file that is not.
    """
    tree = folders.tree(digest)
    if not tree.is_dir():
        with folders.workspace() as workspace:
            _lay_out(bundle, workspace / "tree")
            publish(workspace / "tree", tree)
        tree.chmod(0o555)  # only now: a folder that may not be written to cannot move
        return tree
    different = first_difference(tree, bundle.inventory)
    if different is not None:
        raise bundle_damaged(digest, f'"{shown(different)}" is not as it was pushed.')
    return tree


def first_difference(tree: Path, inventory: Inventory) -> str | None:
    """Return the path of a file that is missing, too many or not as it was sealed, if any."""
    missing = {*inventory.files, *inventory.links}
    for path, entry in _leaves(str(tree), ""):
        if path not in missing or not _same(path, entry, inventory):
            return path
        missing.remove(path)
    return min(missing, default=None)


def _lay_out(bundle: Bundle, folder: Path) -> None:
    """Write the files of a checked bundle below a new folder; no bit allows writing to them."""
    folder.mkdir()
    made = {folder}
    bundle.file.seek(0)
    stream = TarStream(bundle.file, os.fstat(bundle.file.fileno()).st_size)
    members = iter(stream)
    next(members)  # the seal
    for member in members:
        place = folder / member.name
        if place.parent not in made:
            place.parent.mkdir(parents=True, exist_ok=True)
            made.add(place.parent)
        if member.kind is Kind.SYMLINK:
            place.symlink_to(member.target)
            continue
        with os.fdopen(os.open(place, _NEW_FILE, 0o600), "wb") as file:
            for piece in stream.data():
                file.write(piece)
            os.fchmod(file.fileno(), 0o555 if member.executable else 0o444)
    for path, _, _ in os.walk(folder, topdown=False):
        Path(path).chmod(0o755 if path == str(folder) else 0o555)


def _leaves(folder: str, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield everything below a folder that is not a folder, with its path in the source."""
    with os.scandir(folder) as entries:
        for entry in entries:
            path = f"{prefix}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from _leaves(entry.path, f"{path}/")
            else:
                yield path, entry


def _same(path: str, entry: os.DirEntry[str], inventory: Inventory) -> bool:
    if entry.is_symlink():
        target = os.readlink(entry.path)  # noqa: PTH115  # a Path would tidy it up
        return inventory.links.get(path) == target
    file = inventory.files.get(path)
    return file is not None and entry.is_file(follow_symlinks=False) and _same_file(entry, file)


def _same_file(entry: os.DirEntry[str], file: File) -> bool:
    status = entry.stat(follow_symlinks=False)
    if status.st_size != file.size or bool(status.st_mode & 0o111) is not file.executable:
        return False
    with Path(entry.path).open("rb", buffering=0) as content:
        if file.size < _SMALL:
            return hashlib.sha256(content.read()).hexdigest() == file.sha256
        return hashlib.file_digest(content, "sha256").hexdigest() == file.sha256
