"""A service's folder, as far as the command line must know it."""

from pathlib import Path

from codestore.cli.loading import load
from codestore.cli.problems import refused
from codestore.domain.faults import Fault
from codestore.domain.names import check_name

MANIFEST = "codestore.yaml"


def service_of(folder: Path) -> str | None:
    """Return the ``service:`` that a folder's manifest names; ``None`` without a manifest."""
    file = folder / MANIFEST
    try:
        said = load("forms.yaml").read(file.read_text())
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as error:
        line = getattr(error, "line", None)
        raise refused(
            "bad_manifest",
            "Manifest refused",
            str(error),
            "Is it plain YAML: spaces and no tabs, each key once?",
            f"{MANIFEST}:{line}" if line else str(file),
        ) from error
    name = said.get("service") if isinstance(said, dict) else None
    if not isinstance(name, str) or not name:
        hint = "Add a line: service: NAME"
        raise refused("no_service", "No service", f"{file} does not name one.", hint, str(file))
    return name


def require_name(name: str) -> None:
    """Refuse a name that the platform would refuse, before a folder is made for it."""
    try:
        check_name("service", name)
    except Fault as fault:
        letter = fault.letter
        raise refused(letter.code, letter.title, letter.detail, letter.hint) from fault


def require_manifest(folder: Path) -> None:
    """Refuse a folder that is not a service's."""
    if not (folder / MANIFEST).is_file():
        raise refused(
            "no_manifest",
            "Not a service's folder",
            f"There is no {MANIFEST} in {folder}.",
            "Name the folder with --dir DIR, or make one: cs service:create NAME",
        )
