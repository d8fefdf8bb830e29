"""A downloaded tar.gz as a folder: all of it or nothing, and never outside the folder."""

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
                tar.extract(member, place, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise refused(
            "bad_archive", "The source was not unpacked", f"The archive is not safe: {error}."
        ) from error


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
