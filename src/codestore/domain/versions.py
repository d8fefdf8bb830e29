"""Version numbers (semver) and the rules by which a push gets one."""

import re
from dataclasses import dataclass, field
from datetime import datetime

from codestore.domain.faults import conflict, invalid
from codestore.domain.manifest import Manifest
from codestore.domain.names import shown

_SEMVER = re.compile(r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})")


@dataclass(frozen=True, slots=True, order=True)
class Number:
    """A version number ``major.minor.patch``; ordered as semver orders releases."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> "Number":
        """Read ``1.2.3``; raise a Fault for anything else."""
        match = _SEMVER.fullmatch(text)
        if match is None:
            raise invalid(
                "bad_version",
                "Not a version number",
                f'"{shown(text)}" is not a version number.',
                hint="Use three numbers, as in 1.4.2.",
            )
        return cls(*(int(part) for part in match.groups()))

    def bumped(self) -> "Number":
        """Return the next patch number."""
        return Number(self.major, self.minor, self.patch + 1)

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


FIRST = Number(0, 0, 1)


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration file of a version, by path, with its checksum."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Seal:
    """What is frozen under one digest: code, dependencies, manifest, API schema, migrations.

    ``digest`` is the SHA-256 of the sealed bundle, hex, without a prefix. ``content`` is the
    digest of the source alone, so that two versions of the same source can be recognised.
    """

    digest: str
    content: str
    manifest: Manifest
    lock: str | None = None
    schema: str | None = None
    migrations: tuple[Migration, ...] = ()
    files: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Version:
    """An immutable build of a service. ``declared`` is the number its manifest asked for."""

    id: str
    service: str
    number: str
    declared: str | None
    notes: str
    seal: Seal
    pushed_by: str
    pushed_at: datetime
    published_at: datetime | None = None

    @property
    def digest(self) -> str:
        """The digest under which this version is the same everywhere."""
        return self.seal.digest


@dataclass(frozen=True, slots=True)
class History:
    """What a service has had so far, as far as numbering is concerned."""

    newest: Number | None = None
    declared: str | None = None
    taken: frozenset[str] = field(default_factory=frozenset)


def next_number(declared: str | None, history: History) -> Number:
    """Choose the number of a push.

    An unchanged (or missing) declaration raises the patch number; a new, higher one is taken as
    it is. A number that exists already, or one that goes backwards, is refused with a Fault.
    """
    if history.newest is None:
        return Number.parse(declared) if declared else FIRST
    if declared is None or declared == history.declared:
        return history.newest.bumped()
    wanted = Number.parse(declared)
    if wanted > history.newest:
        return wanted
    hint = f"Set version: {history.newest.bumped()} in codestore.yaml, or leave it as it was."
    if str(wanted) in history.taken:
        raise conflict(
            "version_taken",
            "Version exists",
            f"Version {wanted} was already pushed with other content and cannot change.",
            hint,
        )
    raise conflict(
        "version_backwards",
        "Version goes backwards",
        f"Version {wanted} is lower than the newest, {history.newest}.",
        hint,
    )
