"""People: who you are, users and organizations, tokens, and what people changed."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(slots=True)
class Profile:
    """Who you are."""

    id: str
    name: str
    organization: str
    role: str


@dataclass(slots=True)
class UserView:
    """A user. ``password`` is the one that was drawn, told once; null ever after."""

    id: str
    name: str
    organization: str
    role: str
    email: str
    password: str | None = None


@dataclass(slots=True)
class OrganizationView:
    """An organization; ``owner`` is its first, told when it is made."""

    name: str
    created_at: datetime | None = None
    owner: UserView | None = None


@dataclass(slots=True)
class TokenView:
    """A personal token. ``token`` itself is told once, null ever after.

    ``expires_at`` is null for the one in the platform's own folder.
    """

    id: str
    label: str
    created_at: datetime
    expires_at: datetime | None
    token: str | None = None


@dataclass(slots=True)
class LoggedIn:
    """Who logged in, with a fresh token."""

    profile: Profile
    token: TokenView


@dataclass(slots=True)
class DeviceView:
    """What to do to log in by the OpenID provider: open ``uri`` and enter ``user_code``.

    ``complete_uri`` has the code in it already, if there is one. ``interval`` and ``expires_in``
    are in seconds: how often to ask, and for how long.
    """

    device_code: str
    user_code: str
    uri: str
    complete_uri: str | None
    expires_in: float
    interval: float


@dataclass(slots=True)
class DeviceLogin:
    """Who logged in; null while nobody did. ``slower``: ask every 5 seconds less often."""

    logged_in: LoggedIn | None
    slower: bool


@dataclass(slots=True)
class LoggedOut:
    """Whether the token was ended; the one in the platform's own folder is not."""

    ended: bool


@dataclass(slots=True)
class EntryView:
    """One change in the audit log, sealed together with the seal before it."""

    sequence: int
    at: datetime
    by: str
    act: str
    subject: str
    detail: str
    seal: str


@dataclass(slots=True)
class Verification:
    """Whether the audit log is whole: ``entries`` hold, the last of them with ``seal``.

    ``broken_at`` is the first that does not (null: all do); ``noted`` tells whether a seal that
    was given is in it (null: none was given).
    """

    whole: bool
    entries: int
    seal: str
    broken_at: int | None
    noted: bool | None


@dataclass(slots=True)
class NewLogin:
    """Asks for a token, with the password of a local account; ``label`` is what it is called."""

    organization: str
    name: str
    password: str
    label: str = "login"


@dataclass(slots=True)
class NewDeviceLogin:
    """Asks for a token, with the code that somebody entered at the OpenID provider."""

    device_code: str
    label: str = "login"


@dataclass(slots=True)
class NewToken:
    """Asks for another token that lives so many days."""

    label: str
    days: int = 90


@dataclass(slots=True)
class NewPassword:
    """Asks for another password of your own; ``before`` is the one so far, if there is one."""

    password: str
    before: str | None = None


@dataclass(slots=True)
class NewUser:
    """Asks for a user of your organization; by ``email`` an OpenID provider knows them."""

    name: str
    role: str = "maker"
    email: str = ""


@dataclass(slots=True)
class NewRole:
    """Asks for another role of a user."""

    role: str


@dataclass(slots=True)
class NewOrganization:
    """Asks for an organization with its first owner."""

    name: str
    owner: str
