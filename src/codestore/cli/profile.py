"""How ``cs`` finds the platform: ``profile.json`` in the data folder, private to its owner."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

from codestore.cli.problems import refused

_FILE = "profile.json"
_SYSTEM_DATA = Path("/var/lib/codestore")


@dataclass(frozen=True, slots=True)
class Profile:
    """An address and the token that opens it."""

    url: str
    token: str


def data_folder(chosen: Path | None) -> Path:
    """Return the data folder: the chosen one, else root's or the user's usual one."""
    if chosen is not None:
        return chosen.expanduser().absolute()
    return _SYSTEM_DATA if os.geteuid() == 0 else platformdirs.user_data_path("codestore")


def read_profile(data: Path) -> Profile | None:
    """Return the profile of a data folder; ``None`` when there is none."""
    file = data / _FILE
    try:
        held = json.loads(file.read_text())
        return Profile(str(held["url"]).rstrip("/"), str(held["token"]))
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise refused(
            "profile_unreadable",
            "Not your profile",
            f"{file} belongs to somebody else.",
            "Use --data DIR of your own, or --url and --token.",
        ) from error
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise refused(
            "profile_damaged",
            "The profile cannot be read",
            f"{file} is not a profile ({error}).",
            "cs login --url URL --token TOKEN",
        ) from error


def make_data_folder(data: Path) -> None:
    """Make a data folder. Root's may be passed through, for services run as another user."""
    data.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)


def write_profile(data: Path, profile: Profile) -> Path:
    """Write the profile of a data folder, whole or not at all, readable by its owner only."""
    make_data_folder(data)
    fresh = data / f"{_FILE}.{os.getpid()}"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(profile), file)
    return fresh.replace(data / _FILE)


def forget_profile(data: Path) -> bool:
    """Remove the profile of a data folder; whether there was one."""
    file = data / _FILE
    existed = file.exists()
    file.unlink(missing_ok=True)
    return existed
