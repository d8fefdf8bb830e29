"""Resolves `Query.helloWorld`."""

from typing import Any


def resolve(_obj: Any, _info: Any) -> str:
    return "Hello, World!"
