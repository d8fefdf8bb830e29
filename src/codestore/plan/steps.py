"""The steps a plan can hold: a closed set, each with a key and a line for people."""

from dataclasses import dataclass
from datetime import datetime

from codestore.domain.faults import Letter
from codestore.domain.routing import Endpoint, Split
from codestore.domain.versions import Migration
from codestore.plan.standby_steps import StandbyStep


@dataclass(frozen=True, slots=True)
class Prepare:
    """Verify the sealed bundle and make it runnable."""

    digest: str

    @property
    def key(self) -> str:
        """Name the step; the same step has the same key in every plan."""
        return f"prepare:{self.digest}"

    def describe(self) -> str:
        """Tell people what is done."""
        return f"verify and prepare {self.digest[:12]}"


@dataclass(frozen=True, slots=True)
class CreateDatabase:
    """Create the deployment's database and role."""

    name: str

    @property
    def key(self) -> str:
        """Name the step."""
        return f"database:{self.name}"

    def describe(self) -> str:
        """Tell people what is done."""
        return f"create database {self.name}"


@dataclass(frozen=True, slots=True)
class OpenLogin:
    """Let instances connect to the database by a new password."""

    name: str
    login: int

    @property
    def key(self) -> str:
        """Name the step."""
        return f"open-login:{self.login}"

    def describe(self) -> str:
        """Tell people what is done."""
        return "open the database to a new password"


@dataclass(frozen=True, slots=True)
class CloseLogins:
    """Let nobody connect by an older password any more."""

    name: str
    but: int

    @property
    def key(self) -> str:
        """Name the step."""
        return f"close-logins:{self.but}"

    def describe(self) -> str:
        """Tell people what is done."""
        return "close the database to the old password"


@dataclass(frozen=True, slots=True)
class Migrate:
    """Run the version's migrations on the deployment's database."""

    digest: str
    files: tuple[Migration, ...] = ()

    @property
    def key(self) -> str:
        """Name the step."""
        return f"migrate:{self.digest}"

    def describe(self) -> str:
        """Tell people what is done."""
        return "run the migrations"


@dataclass(frozen=True, slots=True)
class Start:
    """Start an instance; it answers nobody yet."""

    revision: int
    ordinal: int

    @property
    def key(self) -> str:
        """Name the step."""
        return f"start:{self.revision}.{self.ordinal}"

    def describe(self) -> str:
        """Tell people what is done."""
        return f"start instance {self.revision}.{self.ordinal}"


@dataclass(frozen=True, slots=True)
class Prove:
    """Ask a new instance whether it works, before anybody else does."""

    instance: str
    revision: int

    @property
    def key(self) -> str:
        """Name the step."""
        return f"prove:{self.instance}"

    def describe(self) -> str:
        """Tell people what is done."""
        return f"check the health of {self.instance}"


@dataclass(frozen=True, slots=True)
class Admit:
    """Let an instance take requests."""

    instance: str

    @property
    def key(self) -> str:
        """Name the step."""
        return f"admit:{self.instance}"

    def describe(self) -> str:
        """Tell people what is done."""
        return f"let {self.instance} take requests"


@dataclass(frozen=True, slots=True)
class Publish:
    """Tell the gateway where requests go, or why they cannot be answered."""

    endpoints: tuple[Endpoint, ...]
    revision: int
    unavailable: str | None = None
    split: Split | None = None

    @property
    def key(self) -> str:
        """Name the step."""
        return "publish"

    def describe(self) -> str:
        """Tell people what is done."""
        if self.split is not None:
            return f"route {self.split.percent} % of the requests to the new version"
        return "route requests" if self.unavailable is None else "answer 503 meanwhile"


@dataclass(frozen=True, slots=True)
class Drain:
    """Let an instance finish what it has; ``failing`` says what is wrong with it, if anything.

    ``started`` is when it began, of one that fails.
    """

    instance: str
    failing: str | None = None
    started: datetime | None = None

    @property
    def key(self) -> str:
        """Name the step."""
        return f"drain:{self.instance}"

    def describe(self) -> str:
        """Tell people what is done."""
        return f"drain {self.instance}"


@dataclass(frozen=True, slots=True)
class Stop:
    """End an instance now, or forget one that ended; ``ended`` says how it did by itself.

    ``started`` is when it began, of one that ended by itself.
    """

    instance: str
    ended: str | None = None
    started: datetime | None = None

    @property
    def key(self) -> str:
        """Name the step."""
        return f"stop:{self.instance}"

    def describe(self) -> str:
        """Tell people what is done."""
        return f"stop {self.instance}"


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The wanted revision cannot become live: say why, with the last lines it printed."""

    letter: Letter
    instance: str

    @property
    def key(self) -> str:
        """Name the step."""
        return f"give-up:{self.letter.code}"

    def describe(self) -> str:
        """Tell people what is done."""
        return f"give up: {self.letter.detail}"


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Take the URL away."""

    hash: str

    @property
    def key(self) -> str:
        """Name the step."""
        return "withdraw"

    def describe(self) -> str:
        """Tell people what is done."""
        return "withdraw the URL"


@dataclass(frozen=True, slots=True)
class Forget:
    """Let the driver forget the deployment: addresses, logs, folders."""

    deployment: str

    @property
    def key(self) -> str:
        """Name the step."""
        return "forget"

    def describe(self) -> str:
        """Tell people what is done."""
        return "remove what ran it"


@dataclass(frozen=True, slots=True)
class DropDatabase:
    """Drop the deployment's database and role, with all data."""

    name: str

    @property
    def key(self) -> str:
        """Name the step."""
        return f"drop:{self.name}"

    def describe(self) -> str:
        """Tell people what is done."""
        return f"drop database {self.name}"


Step = (
    Prepare
    | CreateDatabase
    | OpenLogin
    | CloseLogins
    | Migrate
    | Start
    | Prove
    | Admit
    | Publish
    | Drain
    | Stop
    | GiveUp
    | Withdraw
    | Forget
    | DropDatabase
    | StandbyStep
)
