"""The steps of falling asleep and being woken."""

from dataclasses import dataclass

from codestore.domain.faults import Letter


@dataclass(frozen=True, slots=True)
class Hold:
    """Hold a socket where callers can wait for an instance that listens on a port."""

    instance: str

    @property
    def key(self) -> str:
        """Name the step."""
        return f"hold:{self.instance}"

    def describe(self) -> str:
        """Tell people what is done."""
        return f"let callers wait for {self.instance}"


@dataclass(frozen=True, slots=True)
class Freeze:
    """Freeze an instance, unless somebody is connected to it: then it is left alone."""

    instance: str

    @property
    def key(self) -> str:
        """Name the step."""
        return f"freeze:{self.instance}"

    def describe(self) -> str:
        """Tell people what is done."""
        return f"freeze {self.instance}"


@dataclass(frozen=True, slots=True)
class Thaw:
    """Let a frozen instance go on."""

    instance: str

    @property
    def key(self) -> str:
        """Name the step."""
        return f"thaw:{self.instance}"

    def describe(self) -> str:
        """Tell people what is done."""
        return f"thaw {self.instance}"


@dataclass(frozen=True, slots=True)
class StopFrozen:
    """End an instance if it is still frozen; one that was woken meanwhile is left alone."""

    instance: str

    @property
    def key(self) -> str:
        """Name the step."""
        return f"stop-frozen:{self.instance}"

    def describe(self) -> str:
        """Tell people what is done."""
        return f"stop {self.instance}, which is frozen"


@dataclass(frozen=True, slots=True)
class Arm:
    """Nothing runs: let the first caller start an instance of this revision."""

    revision: int

    @property
    def key(self) -> str:
        """Name the step."""
        return f"arm:{self.revision}"

    def describe(self) -> str:
        """Tell people what is done."""
        return "let the next request wake it"


@dataclass(frozen=True, slots=True)
class Disarm:
    """Let callers start nothing any more; those who wait go on waiting."""

    @property
    def key(self) -> str:
        """Name the step."""
        return "disarm"

    def describe(self) -> str:
        """Tell people what is done."""
        return "let no request wake the version before"


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer everybody who waits for a wake with a 503 that gives the reason."""

    letter: Letter

    @property
    def key(self) -> str:
        """Name the step."""
        return "refuse"

    def describe(self) -> str:
        """Tell people what is done."""
        return f"answer 503 to whoever waits: {self.letter.detail}"


StandbyStep = Hold | Freeze | Thaw | StopFrozen | Arm | Disarm | Refuse
