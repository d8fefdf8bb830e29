"""Projects: applications that reuse services."""

from typing import Annotated

import typer

from codestore.cli.arguments import Project
from codestore.cli.client import path
from codestore.cli.registry import Commands
from codestore.cli.session import Session
from codestore.cli.view import Lines
from codestore.cli.views import deployments as views
from codestore.wire.asks import NewProject

commands = Commands()


@commands.add("project:create", "cs project:create shop -d 'Where we sell'")
def create(
    session: Session,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Its name.")] = None,
    description: Annotated[str, typer.Option("-d", "--description", help="What it is.")] = "",
) -> None:
    """Make a project with its three environments."""
    name = session.need(name, "NAME", "The name of the new project?")
    project = session.client.post(path("projects"), NewProject(name, description))
    session.output.answer(project, views.project)
    session.output.aside(f"Undo: cs project:delete {name} --yes")


@commands.add("project:list", "cs project:list")
def list_(session: Session) -> None:
    """List the projects of your organization."""
    session.output.answer(session.client.items(path("projects")), views.projects)


@commands.add("project:info", "cs project:info shop -o json")
def info(session: Session, project: Project = None) -> None:
    """Show a project and everything deployed in it."""
    name = session.need(project, "PROJECT", "Which project?")
    session.output.answer(session.client.get(path("projects", name)), views.project)


@commands.add("project:delete", "cs project:delete shop --yes")
def delete(session: Session, project: Project = None) -> None:
    """Delete a project with no services inside."""
    name = session.need(project, "PROJECT", "Which project?")
    session.confirm(f"The project {name}, its three environments and its keys will go.")
    session.client.delete(path("projects", name))
    gone = Lines([f"The project {name} is gone."])
    session.output.answer({"project": name, "deleted": True}, lambda _: gone)
