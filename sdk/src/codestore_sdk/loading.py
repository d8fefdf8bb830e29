"""Finds the application that `package.module:name` means."""

import importlib
from pathlib import Path
from typing import Any

from codestore_sdk.errors import StartError


def load_asgi(target: str) -> Any:
    """Import the ASGI application `module:attribute`; the attribute may be dotted.

    Raises StartError when the module or the attribute is not there, and when importing the
    module raises: then with that exception as the cause.
    """
    module_name, _, attributes = target.partition(":")
    if not module_name or not attributes:
        raise StartError(f"{target!r} does not name an application", "write it as app.main:app")
    found: Any = _import(module_name, target)
    for attribute in attributes.split("."):
        if not hasattr(found, attribute):
            raise StartError(
                f"the module {module_name} has no {attributes!r}",
                "the name after the colon is the variable that holds the application",
            )
        found = getattr(found, attribute)
    if not callable(found):
        raise StartError(f"{target} is no ASGI application but of type {type(found).__name__}")
    return found


def _import(module_name: str, target: str) -> Any:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        # `app.main` may be missing as a whole or in its first part; anything else that is
        # missing is a dependency of the service.
        if module_name == missing or module_name.startswith(f"{missing}."):
            raise StartError(
                f"there is no module {missing!r} in {Path.cwd()}",
                f"{target} is looked for from the service's own folder",
            ) from None
        raise StartError(
            f"importing {module_name} failed, {missing!r} is not installed",
            "add it to the service's dependencies and its lock file",
        ) from error
    except Exception as error:
        raise StartError(f"importing {module_name} failed: {error!r}") from error
