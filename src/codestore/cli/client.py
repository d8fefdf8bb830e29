"""The platform's HTTP API, as a client.

Over the standard library's ``http.client``: a command line lives for a tenth of a second, and a
larger client takes longer than that to import.
"""

import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import IO, Any
from urllib.parse import quote, urlencode, urlsplit

from codestore.cli.messages import Message, read_messages
from codestore.cli.problems import CommandError, answered, unreachable, wrong_usage
from codestore.wire.asks import (
    Inclusion,
    NewClient,
    NewHold,
    NewProject,
    Promotion,
    Roll,
    Rotation,
)
from codestore.wire.people import (
    NewDeviceLogin,
    NewLogin,
    NewOrganization,
    NewPassword,
    NewRole,
    NewToken,
    NewUser,
)
from codestore.wire.secrets import NewSecret, Rekeying

_READ = 30.0  # seconds for an answer to a question
_CHANGE = 300.0  # seconds for one to a wish: a push is checked and sealed before it is accepted
_SILENCE = 45.0  # seconds without a byte of a stream; it is kept alive every 15
_PAGE = 500
_BLOCK = 1 << 18
_ENDINGS = (OSError, http.client.HTTPException)

Query = Mapping[str, str | int | Sequence[str] | None]
Wish = (
    NewProject
    | Inclusion
    | Promotion
    | Roll
    | NewHold
    | NewSecret
    | Rekeying
    | NewClient
    | Rotation
    | NewLogin
    | NewDeviceLogin
    | NewToken
    | NewPassword
    | NewUser
    | NewRole
    | NewOrganization
)


def path(*segments: str) -> str:
    """Return ``/api/…``; a name that would lead to another path is refused."""
    for segment in segments:
        if segment in ("", ".", ".."):
            raise wrong_usage(f"{segment!r} is not a name.", "Give the name or the id.")
    return "/api/" + "/".join(quote(segment, safe="") for segment in segments)


@dataclass(frozen=True, slots=True)
class Client:
    """Asks the platform at ``url``. Every method raises :class:`CommandError`."""

    url: str
    token: str
    patience: float = _READ

    def get(self, where: str, query: Query | None = None) -> Any:
        """Return the JSON of a resource."""
        return self._json("GET", where, query)

    def items(self, where: str) -> list[Any]:
        """Return a whole list, page by page."""
        found: list[Any] = []
        after: str | None = None
        while True:
            page = self.get(where, {"limit": _PAGE, "after": after})
            found += page["items"]
            after = page.get("next")
            if after is None:
                return found

    def post(self, where: str, wish: Wish | None = None, query: Query | None = None) -> Any:
        """Ask for a change."""
        return self._wish("POST", where, wish, query)

    def put(self, where: str, wish: Wish) -> Any:
        """Ask for something else in the place of what is there."""
        return self._wish("PUT", where, wish)

    def delete(self, where: str, query: Query | None = None) -> Any:
        """Ask for an end."""
        return self._json("DELETE", where, query)

    def upload(self, where: str, query: Query, archive: IO[bytes]) -> Any:
        """Ask for a change with an archive as the body."""
        size = archive.seek(0, 2)
        archive.seek(0)
        headers = {"Content-Type": "application/gzip", "Content-Length": str(size)}
        return self._json("POST", where, query, archive, headers)

    def download(self, where: str, query: Query, target: IO[bytes]) -> dict[str, str]:
        """Write a resource to ``target``; return the headers of the answer, in lower case."""
        with self._answer("GET", where, query) as answer:
            while piece := self._read(answer, _BLOCK):
                target.write(piece)
            return {name.lower(): value for name, value in answer.getheaders()}

    def stream(self, where: str, query: Query, last_id: str | None = None) -> Iterator[Message]:
        """Yield server-sent messages until the stream ends, or breaks: it does not tell which."""
        headers = {"Accept": "text/event-stream"}
        if last_id is not None:
            headers["Last-Event-ID"] = last_id
        with self._answer("GET", where, query, None, headers, _SILENCE) as answer:
            try:
                yield from read_messages(answer)
            except _ENDINGS:
                return

    def _wish(self, method: str, where: str, wish: Wish | None, query: Query | None = None) -> Any:
        body = None if wish is None else json.dumps(asdict(wish)).encode()
        headers = {} if wish is None else {"Content-Type": "application/json"}
        return self._json(method, where, query, body, headers)

    def _json(
        self,
        method: str,
        where: str,
        query: Query | None = None,
        body: bytes | IO[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        with self._answer(method, where, query, body, headers) as answer:
            text = self._read(answer)
        try:
            return json.loads(text) if text else None
        except ValueError as error:
            raise unreachable(
                f"What answers at {self.url} is not a codestore platform.", "Check --url."
            ) from error

    @contextmanager
    def _answer(
        self,
        method: str,
        where: str,
        query: Query | None,
        body: bytes | IO[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        patience: float | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request; lend the answer, which is a success."""
        usual = self.patience if method == "GET" else _CHANGE
        connection = _connection(self.url, patience or usual)
        authorization = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        target = urlsplit(self.url).path + where + _query(query or {})
        try:
            with self._reaching():
                _send(connection, (method, target), body, {**authorization, **(headers or {})})
                answer = connection.getresponse()
                if not 200 <= answer.status < 300:
                    raise _refusal(answer)
            yield answer
        finally:
            connection.close()

    def _read(self, answer: http.client.HTTPResponse, size: int | None = None) -> bytes:
        with self._reaching():
            return answer.read(size)

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """Tell of any failure of the network as one kind of error."""
        try:
            yield
        except _ENDINGS as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise unreachable(f"{self.url}: {reason}") from error


def _connection(url: str, patience: float) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    kinds: dict[str, type[http.client.HTTPConnection]] = {
        "http": http.client.HTTPConnection,
        "https": http.client.HTTPSConnection,
    }
    try:
        kind, host, port = kinds[parts.scheme], parts.hostname or "", parts.port
    except (KeyError, ValueError) as error:
        raise wrong_usage(f"{url!r} is not an address.", "As in http://127.0.0.1:7080") from error
    return kind(host, port, timeout=patience, blocksize=_BLOCK)


def _send(
    connection: http.client.HTTPConnection,
    line: tuple[str, str],
    body: bytes | IO[bytes] | None,
    headers: Mapping[str, str],
) -> None:
    connection.connect()
    try:
        connection.request(*line, body, headers)
    except (BrokenPipeError, ConnectionResetError):
        return  # an upload may be refused before it is over; the answer says why


def _query(query: Query) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    return f"?{urlencode(given, doseq=True)}" if given else ""


def _refusal(answer: http.client.HTTPResponse) -> CommandError:
    try:
        body = json.loads(answer.read())
    except ValueError:
        body = None
    return answered(answer.status, answer.reason, body)
