"""Instances: running copies of a version, as a driver tells of them, and what it needs to run one.

No process id, socket or file path is known here: names and addresses are the driver's words.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from codestore.domain.environments import Resources
from codestore.domain.manifest import Health, Run
from codestore.domain.routing import Endpoint
from codestore.domain.secret import Secret
from codestore.domain.standby import Depth


class InstanceState(StrEnum):
    """Where an instance is in its life."""

    STARTING = "starting"
    READY = "ready"  # answers in private, not yet asked by anybody
    SERVING = "serving"  # accepts requests of users
    FROZEN = "frozen"  # in standby: it keeps its memory and does nothing
    DRAINING = "draining"  # finishes what it has
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Instance:
    """One running copy. ``ending`` says how it ended (``exit code 1``), once it has.

    ``since`` is when its state became what it is, ``started`` when it began, if that is known.

    ``address`` is its own endpoint, or ``None`` when it accepts from one shared by all instances.
    ``private`` is where it alone answers, also before it takes requests of users. ``failing``
    says what is wrong with one that serves (``/health answered 500``), if anything is;
    ``dismissed`` that it was told to leave.
    """

    name: str
    revision: int
    ordinal: int
    state: InstanceState
    since: datetime
    address: str | None = None
    ending: str | None = None
    private: str | None = None
    failing: str | None = None
    dismissed: bool = False
    started: datetime | None = None


@dataclass(frozen=True, slots=True)
class Wake:
    """A request woke a deployment: when, how long the request had waited (seconds), from what."""

    at: datetime
    seconds: float
    depth: Depth


@dataclass(frozen=True, slots=True)
class View:
    """What a driver sees of a deployment; it may be a little late.

    ``held`` is where callers can wait although no instance takes requests there itself; ``armed``
    the revision that the first of them would start. ``woke`` is the last wake that was measured.
    ``pressed`` says that the host is short of memory.
    """

    instances: tuple[Instance, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    held: Endpoint | None = None
    armed: int | None = None
    woke: Wake | None = None
    pressed: bool = False


@dataclass(frozen=True, slots=True)
class Artifact:
    """A prepared version. ``code`` and ``runtime`` are words between a builder and a driver.

    On one host they are folders, on a cluster an image and nothing.
    """

    digest: str
    code: str
    runtime: str | None = None


@dataclass(frozen=True, slots=True)
class Workload:
    """What a driver needs to run something of a version: an instance, or a task.

    ``preload``: the driver may load its libraries before an instance is wanted; ``scales``: one
    more may be wanted at any moment. ``health`` is asked of an instance as long as it serves;
    ``resources`` bound what each may use; the variables named by ``masked`` appear in no log.
    """

    deployment: str
    revision: int
    artifact: Artifact
    run: Run
    environment: Mapping[str, Secret] = field(default_factory=dict)
    drain: float = 10.0
    preload: bool = True
    scales: bool = False
    health: Health = field(default_factory=Health)
    resources: Resources = field(default_factory=Resources)
    masked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskResult:
    """How a task ended: ``ending`` in words, and its last lines."""

    succeeded: bool
    ending: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line a deployment printed, or that the platform wrote about it."""

    at: datetime
    source: str
    stream: str
    text: str
