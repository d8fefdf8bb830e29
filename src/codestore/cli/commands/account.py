"""Who you are to which platform: logging in and out, your tokens, your password."""

import sys
from typing import Annotated

import typer

from codestore.cli.client import Client, path
from codestore.cli.devices import by_provider
from codestore.cli.problems import CommandError, ExitCode, wrong_usage
from codestore.cli.profile import Profile, forget_profile, read_profile, write_profile
from codestore.cli.registry import Commands
from codestore.cli.session import Session, connect
from codestore.cli.view import Document, Lines
from codestore.cli.views import people as views
from codestore.domain.roles import HOME
from codestore.wire.people import NewLogin, NewPassword, NewToken

commands = Commands()
Account = Annotated[
    str | None, typer.Argument(metavar="[ORGANIZATION/]NAME", help="Your local account.")
]


@commands.add("login", "cs login engines/ada --url https://codestore.example.org")
def login(session: Session, account: Account = None) -> None:
    """Log in, and keep the address and a token.

    With an account your password is asked for, or read from a pipe. Without one you are sent to
    the OpenID provider, if the platform has one; else a token is asked for. --token is one too.
    """
    held = read_profile(session.data)
    url = session.options.url or (held.url if held else None)
    url = session.need(url, "--url", "Where is the platform?")
    if account is not None:
        token = _token_of(session, url, account)
    else:
        token = session.options.token or by_provider(session, url) or _asked_token(session)
    client = connect(url, token)
    profile = client.get("/api/whoami")
    file = write_profile(session.data, Profile(client.url, client.token))
    session.output.answer(profile, views.profile)
    session.output.note(f"Kept in {file}.")


@commands.add("logout", "cs logout")
def logout(session: Session) -> None:
    """End this machine's token and forget it.

    The address is forgotten too. The token that a platform keeps in its own folder stays: it goes
    with the folder.
    """
    ended = _end_token(session)
    forgotten = forget_profile(session.data)
    line = "Forgotten. Back again: cs login NAME --url URL" if forgotten else "Not there."
    session.output.answer({"forgotten": forgotten, "ended": ended}, lambda _: Lines([line]))


@commands.add("whoami", "cs whoami")
def whoami(session: Session) -> None:
    """Tell who you are to the platform."""
    session.output.answer(session.client.get("/api/whoami"), views.profile)


@commands.add("password", "cs password")
def password(session: Session) -> None:
    """Set your password.

    It is asked for; in a pipe, the first line is the one so far (empty: none) and the second the
    new one.
    """
    before = session.secret("Password so far (empty: none)")
    fresh = session.secret("New password")
    if session.can_ask and session.secret("And again") != fresh:
        raise wrong_usage("The two are not the same.", "cs password")
    session.client.put(path("password"), NewPassword(fresh, before or None))
    session.output.answer({"changed": True}, lambda _: Lines(["It is set."]))


@commands.add("token:add", "cs token:add ci --days 30 -o json")
def token_add(
    session: Session,
    label: Annotated[str | None, typer.Argument(metavar="NAME", help="What it is for.")] = None,
    days: Annotated[int, typer.Option(min=1, max=365, help="How long it lives.")] = 90,
) -> None:
    """Make another token of yours.

    For a script, say. It is shown this once.
    """
    label = session.need(label, "NAME", "What is it for?")
    session.output.answer(session.client.post(path("tokens"), NewToken(label, days)), views.token)


@commands.add("token:list", "cs token:list")
def token_list(session: Session) -> None:
    """List your tokens."""
    session.output.answer(session.client.items(path("tokens")), views.tokens)


@commands.add("token:revoke", "cs token:revoke tok-1f0c2d3e4a5b")
def token_revoke(
    session: Session,
    id_: Annotated[str | None, typer.Argument(metavar="ID", help="As listed.")] = None,
) -> None:
    """End one of your tokens at once."""
    id_ = session.need(id_, "ID", "Which token?")
    session.client.delete(path("tokens", id_))
    line = Lines([f"{id_} opens nothing any more."])
    session.output.answer({"token": id_, "revoked": True}, lambda _: line)


def _token_of(session: Session, url: str, account: str) -> str:
    """Return a fresh token for the password of an account."""
    organization, _, name = account.rpartition("/")
    wish = NewLogin(organization or HOME, name, session.secret("Password"), session.machine)
    answer: Document = Client(url.rstrip("/"), "").post(path("login"), wish)
    return str(answer["token"]["token"])


def _end_token(session: Session) -> bool:
    """End the profile's token; one that is refused or cannot be reached is forgotten only."""
    held = read_profile(session.data)
    if held is None:
        return False
    try:
        answer: Document = connect(held.url, held.token).post(path("logout"))
    except CommandError as error:
        if error.exit_code not in (ExitCode.UNREACHABLE, ExitCode.NOT_ALLOWED):
            raise
        if error.exit_code is ExitCode.UNREACHABLE:
            session.output.note("The platform was not reached: the token lives until it expires.")
        return False
    return bool(answer["ended"])


def _asked_token(session: Session) -> str:
    """Ask for the token without showing it."""
    if not session.can_ask or not sys.stdin.isatty():
        raise wrong_usage("The token is missing.", "Name it: --token TOKEN, or CODESTORE_TOKEN")
    return str(typer.prompt("Token", hide_input=True, err=True))
