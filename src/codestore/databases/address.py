"""Where a PostgreSQL server is, and the URLs that lead to its databases."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from psycopg.conninfo import conninfo_to_dict

from codestore.domain.secret import Secret

DEFAULT_PORT = "5432"


@dataclass(frozen=True, slots=True)
class Address:
    """A host name, or the folder of a Unix socket; ``options`` are those of TLS."""

    host: str
    port: str = DEFAULT_PORT
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, url: Secret) -> "Address":
        """Read the address in a ``postgresql://`` URL. Raises psycopg.Error for anything else."""
        parts = {key: str(value) for key, value in conninfo_to_dict(url.reveal()).items()}
        options = {key: value for key, value in parts.items() if key.startswith("ssl")}
        return cls(parts.get("host", "localhost"), parts.get("port", DEFAULT_PORT), options)

    def url(self, user: str, password: Secret, database: str) -> Secret:
        """Return the URL of a database, every part of it encoded."""
        query = dict(self.options)
        place = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        if self.host.startswith("/") or "," in self.host:
            query, place = {"host": self.host, "port": self.port, **query}, ""
        login = f"{_quoted(user)}:{_quoted(password.reveal())}"
        tail = f"?{urlencode(query, quote_via=quote, safe='')}" if query else ""
        return Secret(f"postgresql://{login}@{place}/{_quoted(database)}{tail}")


def _quoted(text: str) -> str:
    return quote(text, safe="")
