"""Environments, and what the next turn would do in them."""

from typing import Annotated

import typer

from codestore.cli.arguments import OfEnvironment, OfProject, OfService
from codestore.cli.client import path
from codestore.cli.problems import ExitCode, wrong_usage
from codestore.cli.registry import Commands
from codestore.cli.session import Session
from codestore.cli.views import deployments as views
from codestore.cli.views import platform

commands = Commands()


@commands.add("env:list", "cs env:list")
def list_(session: Session) -> None:
    """List the environments that you can see."""
    session.output.answer(session.client.items(path("environments")), views.environments)


@commands.add("env:show", "cs env:show shop/production")
def show(
    session: Session,
    environment: Annotated[
        str | None, typer.Argument(metavar="PROJECT/ENV|SERVICE/ENV", help="As in blog/private.")
    ] = None,
) -> None:
    """Show an environment and what is deployed there."""
    given = session.need(environment, "PROJECT/ENV", "Which environment (as in shop/staging)?")
    owner, slash, name = given.partition("/")
    if not (owner and slash and name):
        raise wrong_usage(f"{given!r} is not an environment.", "As in shop/staging, blog/private")
    session.output.answer(session.client.get(path("environments", owner, name)), views.environment)


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
