"""The services in a project."""

from typing import Annotated

import typer

from codestore.cli.arguments import Detach, Project, Service, ToEnvironment, ToVersion
from codestore.cli.changes import conclude
from codestore.cli.client import path
from codestore.cli.registry import Commands
from codestore.cli.session import Session
from codestore.cli.view import Lines
from codestore.cli.views import deployments as views
from codestore.wire.asks import Inclusion, Promotion, Roll

commands = Commands()
Canary = Annotated[
    bool | None,
    typer.Option("--canary/--no-canary", help="A share first, or not; else as its manifest says."),
]
Force = Annotated[bool, typer.Option("--force", help="Also a version that was left behind there.")]
_WHICH = "In which environment (development, staging, production)?"


@commands.add("project:service:add", "cs project:service:add shop blog")
def add(
    session: Session, project: Project = None, service: Service = None, detach: Detach = False
) -> None:
    """Include the public version of a service.

    Three deployments, three databases: in development, staging and production.
    """
    name, service = _both(session, project, service)
    change = session.client.post(path("projects", name, "services"), Inclusion(service))
    conclude(session, change, views.inclusion, detach=detach)


@commands.add("project:service:list", "cs project:service:list shop")
def list_(session: Session, project: Project = None) -> None:
    """List the services in a project."""
    name = session.need(project, "PROJECT", "Which project?")
    session.output.answer(
        session.client.items(path("projects", name, "services")), views.inclusions
    )


@commands.add("project:service:info", "cs project:service:info shop blog")
def info(session: Session, project: Project = None, service: Service = None) -> None:
    """Show a service in a project, with its key."""
    where = path("projects", *_with_services(*_both(session, project, service)))
    session.output.answer(session.client.get(where), views.inclusion)


@commands.add("project:service:promote", "cs project:service:promote shop blog --to staging")
def promote(  # noqa: PLR0913 - one parameter per option
    session: Session,
    project: Project = None,
    service: Service = None,
    to: Annotated[str | None, typer.Option("--to", help="In this environment.")] = None,
    canary: Canary = None,
    force: Force = False,
    detach: Detach = False,
) -> None:
    """Move a version one environment on.

    Development takes the one on demo, staging development's, production staging's. As a canary
    it gets a share of the requests first, and goes back by itself if too many of them fail; a
    manifest that says how (environments.production.canary) asks for that without --canary.
    """
    both = _both(session, project, service)
    wish = Promotion(session.need(to, "--to", _WHICH), canary, force)
    change = session.client.post(path("projects", *_with_services(*both), "promote"), wish)
    conclude(session, change, views.release, detach=detach)


@commands.add(
    "project:service:roll", "cs project:service:roll shop blog --env production --version 0.0.1"
)
def roll(
    session: Session,
    project: Project = None,
    service: Service = None,
    environment: ToEnvironment = None,
    version: ToVersion = None,
    detach: Detach = False,
) -> None:
    """Put any published version in an environment.

    Back to one that is lower, or that served before: the environment is held there (cs unhold),
    and the version that is left is marked. On again: what was held by that is held no more.
    """
    both = _both(session, project, service)
    wish = Roll(
        session.need(environment, "--env", _WHICH),
        session.need(version, "--version", "Which version (a number, or latest)?"),
    )
    change = session.client.post(path("projects", *_with_services(*both), "roll"), wish)
    conclude(session, change, views.release, detach=detach)


@commands.add("project:service:remove", "cs project:service:remove shop blog --yes")
def remove(
    session: Session, project: Project = None, service: Service = None, detach: Detach = False
) -> None:
    """Remove a service from a project, with its data."""
    name, service = _both(session, project, service)
    session.confirm(
        f"The databases of {service} in {name} (development, staging and production), "
        "and all data in them, will go."
    )
    change = session.client.delete(path("projects", *_with_services(name, service)))
    gone = Lines([f"{service} is not in {name} any more, and its data there is gone."])
    conclude(session, change, views.inclusion if detach else lambda _: gone, detach=detach)


def _both(session: Session, project: str | None, service: str | None) -> tuple[str, str]:
    return session.need(project, "PROJECT", "Which project?"), session.need_service(service)


def _with_services(project: str, service: str) -> tuple[str, str, str]:
    return project, "services", service
