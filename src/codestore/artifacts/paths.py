"""Which names may become files: those that mean the same on every machine, inside one folder."""

import unicodedata

from codestore.artifacts.refusals import bad_path, too_many
from codestore.domain.names import shown

MAX_FOLDERS = 10_000
_MAX_PATH = 1000  # bytes of UTF-8
_MAX_PART = 255  # bytes: what file systems take


def clean_path(name: str) -> str:
    """Return the path a name stands for, relative, in NFC; the folder itself is ``""``.

    Raises a ``bad_path`` fault that says what is wrong with it.
    """
    if has_strange_letters(name):
        raise bad_path(name, "has a backslash or a control character in it")
    if name.startswith("/"):
        raise bad_path(name, "is an absolute path")
    parts = [
        part for part in unicodedata.normalize("NFC", name).split("/") if part not in ("", ".")
    ]
    if ".." in parts:
        raise bad_path(name, "leads out of the folder")
    path = "/".join(parts)
    if len(path.encode()) > _MAX_PATH or any(len(part.encode()) > _MAX_PART for part in parts):
        raise bad_path(name, f"is longer than {_MAX_PATH} bytes, or {_MAX_PART} between slashes")
    return path


def has_strange_letters(name: str) -> bool:
    """Whether a terminal, a log or another system would read ``name`` as something else."""
    return "\\" in name or any(unicodedata.category(letter) == "Cc" for letter in name)


class Names:
    """The paths of one archive so far; :meth:`add` refuses what two systems would lay out apart."""

    def __init__(self, reserved: str) -> None:
        self._spelling = {_folded(reserved): reserved}
        self._leaves = {reserved}
        self._folders: set[str] = {""}

    def add_leaf(self, path: str) -> None:
        """Note a file or link. Raises ``bad_path`` when its place is taken."""
        if path in self._leaves:
            raise bad_path(path, "is in the archive twice, or reserved")
        if not path or path in self._folders:
            raise bad_path(path, "is a folder already")
        self._spell(path)
        self._leaves.add(path)
        self.add_folder(path.rpartition("/")[0])

    def add_folder(self, path: str) -> None:
        """Note a folder and those it is in. Raises ``bad_path``, ``too_many_files``."""
        while path not in self._folders:
            if path in self._leaves:
                raise bad_path(path, "is a file or a link, and something is to be inside it")
            self._spell(path)
            self._folders.add(path)
            if len(self._folders) > MAX_FOLDERS:
                raise too_many(f'More than {MAX_FOLDERS} folders; one is "{shown(path)}".')
            path = path.rpartition("/")[0]

    def _spell(self, path: str) -> None:
        """Refuse names that are one on a file system that ignores case, and two on others."""
        first = self._spelling.setdefault(_folded(path), path)
        if first != path:
            raise bad_path(path, f'differs from "{shown(first)}" only in the case of letters')


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path.casefold())
