"""YAML, written for people and read from a service's folder."""

import io
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError


def render(value: Any) -> str:
    """Return JSON-like data as YAML, without the last line's end."""
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 4096  # a URL is not folded
    file = io.StringIO()
    yaml.dump(value, file)
    return file.getvalue().removesuffix("...\n").rstrip("\n")


class NotYaml(ValueError):
    """A text that cannot be read; ``line`` (from 1) is where, if that is known."""

    def __init__(self, problem: str, line: int | None) -> None:
        super().__init__(problem)
        self.line = line


def read(text: str) -> Any:
    """Return what a YAML text says; raise ``NotYaml`` when it says nothing sensible."""
    try:
        return YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = (error.problem or "it is no YAML").partition("\n")[0]
        raise NotYaml(f"{problem}.", mark.line + 1 if mark else None) from error
    except YAMLError as error:
        raise NotYaml("It is no YAML.", None) from error
