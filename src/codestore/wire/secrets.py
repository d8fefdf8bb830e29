"""Secrets as they cross HTTP. A value goes in, and comes out only when it is to be revealed."""

from dataclasses import dataclass, field
from datetime import datetime

from codestore.wire import DeploymentView


@dataclass(slots=True)
class SourceView:
    """Where a secret is set: names, null where the scope does not narrow that."""

    level: str
    project: str | None
    environment: str | None
    service: str | None


@dataclass(slots=True)
class SecretView:
    """A secret; ``value`` is null unless it was to be revealed."""

    key: str
    value: str | None
    source: SourceView
    set_by: str
    set_at: datetime


@dataclass(slots=True)
class RivalView:
    """What one scope says of a key: who set it there, and whether it wins."""

    source: SourceView
    set: bool
    winner: bool
    set_by: str | None
    set_at: datetime | None


@dataclass(slots=True)
class ExplanationView:
    """Where a key is looked for, the nearest first.

    ``applied``: what runs has the winning value (null: not known, or not one deployment);
    ``needed``: its manifest names the key.
    """

    key: str
    chain: list[RivalView]
    applied: bool | None
    needed: bool


@dataclass(slots=True)
class SecretChange:
    """A secret that was set or taken away, and the deployments that start anew with it."""

    key: str
    source: SourceView
    set: bool
    deployments: list[DeploymentView] = field(default_factory=list)


@dataclass(slots=True)
class NewSecret:
    """Asks for a secret at a scope, in names or ids."""

    key: str
    value: str = field(repr=False)
    project: str | None = None
    environment: str | None = None
    service: str | None = None


@dataclass(slots=True)
class Rekeying:
    """Asks for new keys: a new master key, a new data key of your organization, or both."""

    master: bool = True
    data: bool = True


@dataclass(slots=True)
class RekeyView:
    """What was sealed anew: data keys under the new master key, and secrets under the new one."""

    data_keys: int
    secrets: int
