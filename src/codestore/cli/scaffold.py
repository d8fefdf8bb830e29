"""A new service's folder, from a template. A file that is there is never written over."""

from enum import StrEnum
from pathlib import Path

from codestore.cli.problems import refused

_TEMPLATES = Path(__file__).with_name("templates")
_NAME = "{{name}}"


class Template(StrEnum):
    """What ``--template`` chooses from."""

    GRAPHQL = "graphql"
    ASGI = "asgi"
    COMMAND = "command"


def scaffold(template: Template, folder: Path, name: str) -> None:
    """Copy a template into a folder, for a service of this name."""
    source = _TEMPLATES / template.value
    files = {
        file.relative_to(source): file.read_text()
        for file in sorted(source.rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    }
    taken = [str(path) for path in files if (folder / path).exists()]
    if taken:
        raise refused(
            "folder_taken",
            "The folder has files of these names",
            f"{', '.join(taken)} would be written over.",
            "Use another folder with --dir DIR, or add a codestore.yaml to deploy this one.",
            str(folder),
        )
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content.replace(_NAME, name))
