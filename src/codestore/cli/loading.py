"""Modules that most commands do without, loaded when they are needed.

``cs`` is to start in a tenth of a second; Rich and YAML take as long as all the rest together.
"""

import importlib
from typing import Any


def load(module: str) -> Any:
    """Import a module of this package by its name below ``codestore.cli``."""
    return importlib.import_module(f"codestore.cli.{module}")
