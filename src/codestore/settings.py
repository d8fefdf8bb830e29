"""The only reader of the environment and of the folder that a platform lives in.

Everything a platform keeps is below one folder; sockets move to the temporary folder when its
path is too long for them.
"""

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs

from codestore.domain.roles import HOME
from codestore.domain.secret import Secret

DEFAULT_PORT = 7080
DEFAULT_HOST = "127.0.0.1"
DATABASE_URL = "CODESTORE_DATABASE_URL"
SERVICE_PATH = "CODESTORE_SERVICE_PATH"
READY_VERSIONS = "CODESTORE_READY_VERSIONS"
MASTER_KEY = "CODESTORE_MASTER_KEY"
MASTER_KEY_BEFORE = "CODESTORE_MASTER_KEY_BEFORE"
API_RATE = "CODESTORE_API_RATE"
HOSTS = "CODESTORE_HOSTS"
OPENID_ISSUER = "CODESTORE_OIDC_ISSUER"
OPENID_CLIENT = "CODESTORE_OIDC_CLIENT_ID"
OPENID_SECRET = "CODESTORE_OIDC_CLIENT_SECRET"  # noqa: S105 - where it is, not what
OPENID_ORGANIZATION = "CODESTORE_OIDC_ORGANIZATION"
_POSTGRES = 5432  # the port, unless one is named
_LONGEST_RUN = 50  # characters; the longest socket below it has about 50 more, of 107
_SERVICE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_FOR_BUILDS = ("PATH", "HOME", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR")
_FOR_BUILDS_PREFIXES = ("UV_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "XDG_")


@dataclass(frozen=True, slots=True)
class Choice:
    """What was said at the last start, kept so that the next one is the same.

    ``ready_versions`` of each service stay runnable although they run nowhere. ``api_rate`` is how
    many requests per second a token may make of the API; ``hosts`` are names, parted by commas, by
    which the platform is called besides its address.
    """

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    database_url: bool = False
    ready_versions: int = 10
    api_rate: int = 50
    hosts: str = ""


@dataclass(frozen=True, slots=True)
class OpenId:
    """The OpenID provider whose people may log in, and the organization that they belong to."""

    issuer: str
    client_id: str
    client_secret: Secret | None
    organization: str


@dataclass(frozen=True, slots=True)
class Settings:
    """Where things are. ``database_url`` is ``None`` for the embedded server.

    ``master_keys`` are those of secrets that the environment says: the one to use, the one before.
    ``openid`` is ``None`` when people log in to local accounts only.
    """

    data: Path
    host: str
    port: int
    database_url: str | None
    service_path: str
    ready_versions: int
    api_rate: float
    hosts: tuple[str, ...]
    build_environment: Mapping[str, str]
    master_keys: tuple[Secret | None, Secret | None] = (None, None)
    openid: OpenId | None = None

    @property
    def url(self) -> str:
        """The platform's own address, with no trailing slash."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104 - compared, not bound
        return f"http://{host}:{self.port}"

    @property
    def local_ports(self) -> tuple[int, ...]:
        """The ports of this host's loopback that services need: the gateway's, a database's."""
        named = urlsplit(self.database_url or "")
        local = named.hostname in ("localhost", "127.0.0.1")
        return (self.port, named.port or _POSTGRES) if local else (self.port,)

    @property
    def run(self) -> Path:
        """Where sockets are; short enough for them."""
        return run_folder(self.data)

    @property
    def logs(self) -> Path:
        """Logs of the platform's own processes."""
        return self.data / "logs"

    @property
    def service_logs(self) -> Path:
        """Logs of deployments."""
        return self.data / "logs" / "services"

    @property
    def work(self) -> Path:
        """Working folders of deployments."""
        return self.data / "work"

    @property
    def artifacts(self) -> Path:
        """Sealed bundles and what was made of them."""
        return self.data / "artifacts"

    @property
    def build_cache(self) -> Path:
        """What builds have downloaded; shared by the platforms of a user, and by nobody else."""
        return platformdirs.user_cache_path("codestore") / "builds"

    @property
    def uploads(self) -> Path:
        """Archives while they are received."""
        return self.data / "uploads"

    @property
    def postgres(self) -> Path:
        """The embedded server's data."""
        return self.data / "postgres"

    @property
    def profile(self) -> Path:
        """How ``cs`` reaches this platform."""
        return self.data / "profile.json"

    @property
    def master_key(self) -> Path:
        """The vault's master key."""
        return self.data / "master.key"

    @property
    def keyring(self) -> Path:
        """The master keys of secrets, unless the environment says one."""
        return self.data / "keyring.json"


def default_data() -> Path:
    """Return the usual data folder: the system's for root, else the user's."""
    if os.geteuid() == 0:
        return Path("/var/lib/codestore")
    return platformdirs.user_data_path("codestore")


def run_folder(data: Path) -> Path:
    """Return where the sockets of a platform are."""
    near = data / "run"
    if len(str(near)) <= _LONGEST_RUN:
        return near
    digest = hashlib.sha256(str(data).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir(), f"codestore-{os.geteuid()}-{digest}")


def let_pass(data: Path) -> None:
    """Let the ordinary user that PostgreSQL runs as (never root) reach a data folder of root's.

    Only the right to pass through is given, and only on the folder itself and on those above it
    in the temporary folder, where ``mktemp`` makes them private. Others stay as they are: the
    start then names the one that is in the way.
    """
    temporary = Path(tempfile.gettempdir()).resolve()
    for folder in (data.resolve(), *data.resolve().parents):
        ours = folder == data.resolve() or temporary in folder.parents
        mode = folder.stat().st_mode
        if ours and not mode & stat.S_IXOTH:
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXGRP | stat.S_IXOTH)


def choose(data: Path, host: str | None, port: int | None) -> Choice:
    """Combine what is said now with what was said at the last start, and keep it.

    Raises ``ValueError`` for a number that is none.
    """
    file = data / "settings.json"
    choice = Choice(**json.loads(file.read_text())) if file.exists() else Choice()
    choice = replace(
        choice,
        host=host or choice.host,
        port=port or choice.port,
        database_url=bool(os.environ.get(DATABASE_URL)) or choice.database_url,
        ready_versions=_whole(READY_VERSIONS, choice.ready_versions),
        api_rate=_whole(API_RATE, choice.api_rate, most=1_000_000),
        hosts=os.environ.get(HOSTS, choice.hosts),
    )
    fresh = file.with_name(f"{file.name}.{os.getpid()}")
    fresh.write_text(json.dumps(asdict(choice)))
    fresh.replace(file)
    return choice


def _whole(name: str, before: int, most: int = 10_000) -> int:
    said = os.environ.get(name)
    if not said:
        return before
    if not said.isdecimal() or not 1 <= int(said) <= most:
        raise ValueError(f"{name} must be a whole number from 1 to {most}, not {said!r}")
    return int(said)


def read_settings(data: Path) -> Settings:
    """Read the settings of a platform whose start has been chosen."""
    choice = Choice(**json.loads((data / "settings.json").read_text()))
    environment = {
        name: value
        for name, value in os.environ.items()
        if name in _FOR_BUILDS or name.upper().startswith(_FOR_BUILDS_PREFIXES)
    }
    return Settings(
        data=data,
        host=choice.host,
        port=choice.port,
        database_url=os.environ.get(DATABASE_URL) or None,
        service_path=os.environ.get(SERVICE_PATH) or _SERVICE_PATH,
        ready_versions=choice.ready_versions,
        api_rate=choice.api_rate,
        hosts=tuple(name.strip() for name in choice.hosts.split(",") if name.strip()),
        build_environment=environment,
        master_keys=(_secret(MASTER_KEY), _secret(MASTER_KEY_BEFORE)),
        openid=_openid(),
    )


def _secret(name: str) -> Secret | None:
    said = os.environ.get(name)
    return Secret(said) if said else None


def _openid() -> OpenId | None:
    issuer, client = os.environ.get(OPENID_ISSUER), os.environ.get(OPENID_CLIENT)
    if not issuer or not client:
        return None
    organization = os.environ.get(OPENID_ORGANIZATION) or HOME
    return OpenId(issuer, client, _secret(OPENID_SECRET), organization)


def inherited_environment() -> dict[str, str]:
    """Return the environment for the platform's own processes."""
    return dict(os.environ)
