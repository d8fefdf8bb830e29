"""Environments, and what the next turn would do in them."""

import time
from collections.abc import Callable
from typing import Annotated, Any

import typer

from codestore.cli import changes
from codestore.cli.arguments import OfEnvironment, OfProject, OfService
from codestore.cli.client import Query, path
from codestore.cli.output import Form
from codestore.cli.problems import CommandError, ExitCode, wrong_usage
from codestore.cli.registry import Commands
from codestore.cli.session import Session
from codestore.cli.view import Document
from codestore.cli.views import deployments as views
from codestore.cli.views import platform
from codestore.cli.views import verifications as views_of_verifications
from codestore.domain.environments import SERVICE_KINDS

commands = Commands()
Environment = Annotated[
    str | None, typer.Argument(metavar="PROJECT/ENV|SERVICE/ENV", help="As in blog/private.")
]
LOOKS = 0.5
"""Seconds between two looks at what is being verified; more where a look takes long."""


@commands.add("env:list", "cs env:list")
def list_(session: Session) -> None:
    """List the environments that you can see."""
    session.output.answer(session.client.items(path("environments")), views.environments)


@commands.add("env:show", "cs env:show shop/production")
def show(
    session: Session,
    environment: Environment = None,
) -> None:
    """Show an environment and what is deployed there."""
    given = session.need(environment, "PROJECT/ENV", "Which environment (as in shop/staging)?")
    owner, name = _parts(given)
    session.output.answer(session.client.get(path("environments", owner, name)), views.environment)


@commands.add("env:verify", "cs env:verify shop/production")
def verify(
    session: Session,
    environment: Environment = None,
    service: OfService = None,
    project: OfProject = None,
    last: Annotated[bool, typer.Option("--last", help="Show what was found last.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="List what was tried.")] = False,
) -> None:
    """Try the walls of environments from inside.

    Each deployment tries other deployments' databases, files, sockets, ports, passwords and URLs,
    and the platform's own; also every night, and after an upgrade of the platform. Exits with 1
    when something was reached, or when nothing is proved.
    """
    query = {"service": service, "project": project, "environment": None}
    if environment is not None:
        owner, query["environment"] = _parts(environment)
        query["service" if query["environment"] in SERVICE_KINDS else "project"] = owner
    where = path("verifications")
    found = session.client.get(where, query)["items"] if last else _verified(session, query)
    session.output.answer(found, views_of_verifications.matrix)
    if session.output.form is Form.TABLE and found:
        for line in views_of_verifications.legend(found):
            session.output.aside(line)
        if verbose:
            session.output.aside("")
            session.output.answer(found, views_of_verifications.attempts)
    if any(each["verdict"] in ("reached", "unproved") for each in found):
        raise typer.Exit(ExitCode.FAILED)


def _verified(session: Session, query: Query) -> list[Document]:
    """Ask for verifications and wait for them; say of each when it is over."""
    where = path("verifications")
    asked = {each["deployment"] for each in session.client.post(where, query=query)["items"]}
    waiting = set(asked)
    while True:
        began = time.monotonic()
        items = _in_sight(lambda: session.client.get(where, query)["items"])
        found: list[Document] = [each for each in items if each["deployment"] in asked]
        for each in found:
            if each["deployment"] in waiting and each["state"] == "done":
                waiting.discard(each["deployment"])
                session.output.note(views_of_verifications.line(each))
        if not any(each["state"] == "asked" for each in found):
            return found
        time.sleep(max(LOOKS, time.monotonic() - began))


def _in_sight(look: Callable[[], Any]) -> Any:
    """Look, also while the platform is started anew: what was asked for goes on then."""
    until = time.monotonic() + changes.PATIENCE.out_of_sight
    while True:
        try:
            return look()
        except CommandError as error:
            if error.exit_code is not ExitCode.UNREACHABLE or time.monotonic() > until:
                raise
        time.sleep(LOOKS)


def _parts(environment: str) -> tuple[str, str]:
    owner, slash, name = environment.partition("/")
    if not (owner and slash and name):
        raise wrong_usage(
            f"{environment!r} is not an environment.", "As in shop/staging, blog/private"
        )
    return owner, name


@commands.add("plan", "cs plan -s blog")
def plan(
    session: Session,
    service: OfService = None,
    project: OfProject = None,
    environment: OfEnvironment = None,
) -> None:
    """Tell what the next turn would do.

    Changes nothing; exits with 3 when a step is due.
    """
    query = {"service": service, "project": project, "environment": environment}
    found = session.client.get(path("plan"), query)["items"]
    session.output.answer(found, platform.plans)
    if any(each["steps"] for each in found):
        raise typer.Exit(ExitCode.WOULD_CHANGE)
