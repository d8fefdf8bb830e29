"""Keys: of a project's clients, and what replaces one."""

import re
from typing import Annotated

import typer

from codestore.cli.arguments import OfProject, OfService, Project
from codestore.cli.client import path
from codestore.cli.problems import wrong_usage
from codestore.cli.registry import Commands
from codestore.cli.session import Session
from codestore.cli.view import Lines
from codestore.cli.views import keys as views
from codestore.wire.asks import NewClient, Rotation

commands = Commands()
Email = Annotated[str | None, typer.Option("--email", help="The address that names the client.")]
_SPAN = re.compile(r"(\d+)(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


@commands.add("project:client:add", "cs project:client:add shop --email ada@example.org")
def add(session: Session, project: Project = None, email: Email = None) -> None:
    """Give a third party a key to production.

    The key is shown this once: hand it over, and keep no copy.
    """
    name = session.need(project, "PROJECT", "Which project?")
    email = session.need(email, "--email", "The client's e-mail address?")
    issued = session.client.post(path("projects", name, "clients"), NewClient(email))
    session.output.answer(issued, views.issued)
    session.output.aside(f"Undo: cs project:client:remove {name} --email {email} --yes")


@commands.add("project:client:list", "cs project:client:list shop")
def list_(session: Session, project: Project = None) -> None:
    """List the clients of a project."""
    name = session.need(project, "PROJECT", "Which project?")
    session.output.answer(session.client.items(path("projects", name, "clients")), views.clients)


@commands.add("project:client:remove", "cs project:client:remove shop --email ada@example.org")
def remove(session: Session, project: Project = None, email: Email = None) -> None:
    """Revoke the keys of a client, at once."""
    name = session.need(project, "PROJECT", "Which project?")
    email = session.need(email, "--email", "The client's e-mail address (or its id)?")
    session.confirm(f"{email} cannot call production of {name} any more.")
    session.client.delete(path("projects", name, "clients", email))
    gone = Lines([f"{email} is no client of {name} any more; its keys open nothing."])
    session.output.answer({"email": email, "project": name, "removed": True}, lambda _: gone)


@commands.add("key:rotate", "cs key:rotate -p shop --overlap 1h")
def rotate(
    session: Session,
    project: OfProject = None,
    service: OfService = None,
    client: Annotated[
        str | None, typer.Option("--client", help="Of this client (its address) of the project.")
    ] = None,
    overlap: Annotated[
        str, typer.Option("--overlap", help="How long the old key opens, too: 0s, 90s, 1h, 2d.")
    ] = "1h",
) -> None:
    """Replace a key by a new one.

    For a while both open, so that callers can change over; with 0s every old one ends at once.
    """
    if client is not None and project is None:
        raise wrong_usage("A client is one of a project.", "Name it: -p PROJECT")
    if project is not None and service is not None:
        raise wrong_usage("A key is a project's or a service's.", "Name one: -p or -s")
    wish = Rotation(_span(overlap), client)
    where = ("projects", project) if project else ("services", session.need_service(service))
    session.output.answer(session.client.post(path(*where, "keys"), wish), views.issued)


def _span(text: str) -> float:
    found = _SPAN.fullmatch(text)
    if found is None:
        raise wrong_usage(f"{text!r} is not a time.", "As in --overlap 0s, 90s, 30m, 1h, 2d")
    return float(int(found[1]) * _SECONDS[found[2]])
