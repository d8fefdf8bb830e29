"""The libraries of a service as a list of module names: written by one instance, for a parent.

A parent (see `preload`) imports what an instance of the same artifact had loaded when it was
ready. Only what is the same for every instance is listed, so nothing of the service's own.
"""

import contextlib
import importlib
import importlib.machinery
import json
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from codestore_sdk.errors import StartError

# More names than the largest services have, fewer than would keep a parent busy for minutes.
MOST = 5000
LONGEST = 1024 * 1024  # bytes of a list


def write_aside(path: str, folder: str) -> None:
    """Write the list in a thread of its own: a slow disk must keep no request waiting."""
    if path:
        threading.Thread(target=write, args=(path, folder), daemon=True).start()


def write(path: str, folder: str) -> None:
    """Write the list unless one is there that is as long; its reader sees all of it or none.

    What is loaded only when the first requests come is known when an instance leaves. Never
    raises: without a list, or with a short one, the next start is only slower.
    """
    if not path:
        return
    fresh = Path(f"{path}.{os.getpid()}")
    with contextlib.suppress(OSError, StartError):
        names = list(_foreign(folder))
        if Path(path).exists() and len(read_imports(Path(path))) >= len(names):
            return
        try:
            fresh.write_text(json.dumps(names))
            fresh.rename(path)
        finally:
            fresh.unlink(missing_ok=True)


def read_imports(path: Path) -> list[str]:
    """Return the names in `path` that can be module names, at most `MOST`, in their order.

    Raises StartError when it is no list at all.
    """
    try:
        if not path.is_file() or path.stat().st_size > LONGEST:  # a service wrote it
            raise OSError(f"it is no file of at most {LONGEST} bytes")
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise StartError(f"the list of imports {path} cannot be read: {error}") from None
    if not isinstance(found, list):
        raise StartError(f"the list of imports {path} is of type {type(found).__name__}")
    return [name for name in found[:MOST] if _is_name(name)]


def import_all(names: Iterable[str]) -> list[str]:
    """Import every module in turn; return the names of those that failed."""
    failed = []
    for name in names:
        try:
            importlib.import_module(name)
        except (Exception, SystemExit):  # some scripts leave when they are imported
            failed.append(name)
    return failed


def hidden_by(folder: str) -> str | None:
    """Return a loaded top-level module in whose place `folder` has one of the same name.

    A service that was started plainly would have got its own one.
    """
    suffixes = importlib.machinery.all_suffixes()
    for entry in Path(folder).iterdir():
        name = entry.name.partition(".")[0]
        if name in sys.modules and name != "__main__":
            is_package = entry.name == name and (entry / "__init__.py").exists()
            if is_package or entry.name.removeprefix(name) in suffixes:
                return name
    return None


def _is_name(name: object) -> bool:
    return isinstance(name, str) and all(part.isidentifier() for part in name.split("."))


def _foreign(folder: str) -> Iterator[str]:
    """Yield the modules that came from outside of `folder` and can be imported by their name."""
    inside = folder.rstrip(os.sep) + os.sep
    for name, module in list(sys.modules.items()):
        spec = _spec(module)
        if name == "__main__" or spec is None or spec.name != name:
            continue
        places = [spec.origin or "", *(spec.submodule_search_locations or ())]
        # With a separator behind it, the folder itself, as of a namespace package, is inside too.
        if not any(f"{place}{os.sep}".startswith(inside) for place in places):
            yield name


def _spec(module: object) -> importlib.machinery.ModuleSpec | None:
    """Look past the module's own ways: asked for an attribute, a lazy module loads itself."""
    if not isinstance(module, ModuleType):
        return None
    spec = object.__getattribute__(module, "__dict__").get("__spec__")
    return spec if isinstance(spec, importlib.machinery.ModuleSpec) else None
