"""What is sent to ask for a change."""

from dataclasses import dataclass


@dataclass(slots=True)
class NewProject:
    """Asks for a project."""

    name: str
    description: str = ""


@dataclass(slots=True)
class Inclusion:
    """Asks for a service in a project, by name or id."""

    service: str


@dataclass(slots=True)
class Promotion:
    """Asks for the version of the environment before, in ``to``.

    ``canary``: a share of the requests first, or none of that; null is as the manifest says.
    ``force``: also a version that was left behind there.
    """

    to: str
    canary: bool | None = None
    force: bool = False


@dataclass(slots=True)
class Roll:
    """Asks for a published version, by number or ``latest``, in an environment."""

    environment: str
    version: str


@dataclass(slots=True)
class NewHold:
    """Asks for an environment to stay at its version."""

    reason: str = ""


@dataclass(slots=True)
class NewClient:
    """Asks for a client of a project, by the address that names it."""

    email: str


@dataclass(slots=True)
class Rotation:
    """Asks for a new key; the old one opens for ``overlap`` seconds beside it, null: an hour.

    ``client`` (an address or id) is whose key; null: the developers'.
    """

    overlap: float | None = None
    client: str | None = None
