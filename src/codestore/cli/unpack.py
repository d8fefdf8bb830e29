"""A downloaded tar.gz as a folder: all of it or nothing, and never outside the folder."""

import posixpath
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import IO

from codestore.cli.problems import refused

_MAX_SIZE = 200 * 1024 * 1024  # bytes: twice what a push may have


def is_free(folder: Path) -> bool:
    """Whether a folder is not there, or empty."""
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))


def unpack(archive: IO[bytes], folder: Path) -> None:
    """Put the files of an archive into a folder. Raises a refusal for a hostile archive."""
    parent = folder.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=f".{folder.name}.") as place:
        fresh = Path(place)
        _extract(archive, fresh)
        folder.mkdir(exist_ok=True)
        for item in fresh.iterdir():
            _replace(item, folder / item.name)


def _extract(archive: IO[bytes], place: Path) -> None:
    archive.seek(0)
    try:
        with tarfile.open(fileobj=archive, mode="r:gz") as tar:
            size = 0
            for member in tar:
                size += member.size
                if size > _MAX_SIZE:
                    raise tarfile.TarError(f"it holds more than {_MAX_SIZE >> 20} MiB")
                _put(tar, member, place)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise refused(
            "bad_archive", "The source was not unpacked", f"The archive is not safe: {error}."
        ) from error


def _put(tar: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
    """Make one member below ``place``: a folder, a file, or a link that stays inside.

    By hand, because the ``filter`` of :mod:`tarfile` came with Python 3.11.4 only.
    """
    target = place / _inside(member.name)
    if not target.parent.resolve().is_relative_to(place.resolve()) or target.is_symlink():
        raise tarfile.TarError(f"{member.name!r} goes through a link")
    target.parent.mkdir(parents=True, exist_ok=True)
    if member.isdir():
        target.mkdir(exist_ok=True)
    elif member.issym():
        _inside(posixpath.join(posixpath.dirname(member.name), member.linkname))
        target.symlink_to(member.linkname)
    elif member.isreg() and (content := tar.extractfile(member)) is not None:
        with target.open("wb") as file:
            shutil.copyfileobj(content, file)
        target.chmod(0o755 if member.mode & 0o100 else 0o644)
    else:
        raise tarfile.TarError(f"{member.name!r} is neither a file, a folder nor a link")


def _inside(name: str) -> str:
    """Return a path in its shortest form, which must not leave the folder it is relative to."""
    short = posixpath.normpath(name)
    if posixpath.isabs(name) or short == ".." or short.startswith("../") or "\0" in name:
        raise tarfile.TarError(f"{name!r} leaves the folder")
    return short


def _replace(source: Path, target: Path) -> None:
    """Move a file or a folder to its place; a folder that is there keeps its other files."""
    if source.is_dir() and not source.is_symlink():
        if target.is_symlink() or target.is_file():
            target.unlink()
        target.mkdir(exist_ok=True)
        for item in source.iterdir():
            _replace(item, target / item.name)
        return
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    source.replace(target)
