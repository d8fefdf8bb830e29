"""Who you are to which platform."""

import sys

import typer

from codestore.cli.problems import wrong_usage
from codestore.cli.profile import Profile, forget_profile, read_profile, write_profile
from codestore.cli.registry import Commands
from codestore.cli.session import Session, connect
from codestore.cli.view import Lines
from codestore.cli.views import platform as views

commands = Commands()


@commands.add("login", "cs login --url https://codestore.example.org --token TOKEN")
def login(session: Session) -> None:
    """Keep an address and a token that work."""
    held = read_profile(session.data)
    url = session.options.url or (held.url if held else None)
    url = session.need(url, "--url", "Where is the platform?")
    client = connect(url, session.options.token or _asked_token(session))
    profile = client.get("/api/whoami")
    file = write_profile(session.data, Profile(client.url, client.token))
    session.output.answer(profile, views.profile)
    session.output.note(f"Kept in {file}.")


@commands.add("logout", "cs logout")
def logout(session: Session) -> None:
    """Forget the address and the token."""
    forgotten = forget_profile(session.data)
    line = "Forgotten. Back again: cs login --url URL --token TOKEN" if forgotten else "Not there."
    session.output.answer({"forgotten": forgotten}, lambda _: Lines([line]))


@commands.add("whoami", "cs whoami")
def whoami(session: Session) -> None:
    """Tell who you are to the platform."""
    session.output.answer(session.client.get("/api/whoami"), views.profile)


def _asked_token(session: Session) -> str:
    """Ask for the token without showing it."""
    if not session.can_ask or not sys.stdin.isatty():
        raise wrong_usage("The token is missing.", "Name it: --token TOKEN, or CODESTORE_TOKEN")
    return str(typer.prompt("Token", hide_input=True, err=True))
