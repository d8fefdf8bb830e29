"""Logging in by the platform's OpenID provider: a code is entered in a browser, elsewhere even."""

import time
from typing import Final

from codestore.cli.client import Client, path
from codestore.cli.problems import CommandError, refused
from codestore.cli.session import Session
from codestore.cli.view import Document
from codestore.wire.people import NewDeviceLogin

_SLOWER: Final = 5.0  # seconds, as RFC 8628 (3.5) has it
_SHORTEST: Final = 0.05  # seconds between two questions
_LONGEST: Final = 60.0
_NO_PROVIDER: Final = "provider_not_found"


def by_provider(session: Session, url: str) -> str | None:
    """Return a fresh token from the provider; ``None`` when the platform has none."""
    client = Client(url.rstrip("/"), "")
    try:
        asked: Document = client.post(path("login", "device"))
    except CommandError as error:
        if error.problem.code == _NO_PROVIDER:
            return None
        raise
    session.output.note(f"Open {asked['complete_uri'] or asked['uri']}")
    session.output.note(f"and enter the code {asked['user_code']}")
    return _awaited(session, client, asked)


def _awaited(session: Session, client: Client, asked: Document) -> str:
    """Ask until somebody has entered the code, or it has expired."""
    wish = NewDeviceLogin(asked["device_code"], session.machine)
    interval = float(asked["interval"])
    ends = time.monotonic() + float(asked["expires_in"])
    while time.monotonic() < ends:
        time.sleep(min(max(interval, _SHORTEST), _LONGEST))
        answer: Document = client.post(path("login", "device", "token"), wish)
        if answer["logged_in"] is not None:
            return str(answer["logged_in"]["token"]["token"])
        interval += _SLOWER if answer["slower"] else 0
    raise refused("code_expired", "Not logged in", "Nobody entered the code in time.", "cs login")
