"""YAML, written for people and read from a service's folder."""

import io
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError


def render(value: Any) -> str:
    """Return JSON-like data as YAML, without the last line's end."""
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 4096  # a URL is not folded
    file = io.StringIO()
    yaml.dump(value, file)
    return file.getvalue().removesuffix("...\n").rstrip("\n")


def read(text: str) -> Any:
    """Return what a YAML text says; raise ``ValueError`` when it says nothing sensible."""
    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ValueError(str(error)) from error
