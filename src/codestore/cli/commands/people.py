"""Who belongs to your organization, and the organizations of a platform."""

from typing import Annotated

import typer

from codestore.cli.client import path
from codestore.cli.registry import Commands
from codestore.cli.session import Session
from codestore.cli.view import Lines
from codestore.cli.views import people as views
from codestore.wire.people import NewOrganization, NewRole, NewUser

commands = Commands()
User = Annotated[str | None, typer.Argument(metavar="NAME", help="Their name.")]
_ROLES = "owner, maker or viewer."


@commands.add("user:add", "cs user:add ada --role maker")
def add(
    session: Session,
    name: User = None,
    role: Annotated[str, typer.Option(help=f"What they may do: {_ROLES}")] = "maker",
    email: Annotated[str, typer.Option(help="How your OpenID provider knows them.")] = "",
) -> None:
    """Add somebody to your organization.

    A password is drawn, and shown this once.
    A viewer looks, a maker makes services and changes projects, an owner decides about people.
    """
    name = session.need(name, "NAME", "The name of the new user?")
    user = session.client.post(path("users"), NewUser(name, role, email))
    session.output.answer(user, views.user)
    session.output.aside(f"They log in with: cs login {user['organization']}/{name} --url URL")
    session.output.aside(f"Undo: cs user:remove {name} --yes")


@commands.add("user:list", "cs user:list")
def list_(session: Session) -> None:
    """List the users of your organization."""
    session.output.answer(session.client.items(path("users")), views.users)


@commands.add("user:role", "cs user:role ada viewer")
def role(
    session: Session,
    name: User = None,
    role: Annotated[str | None, typer.Argument(metavar="ROLE", help=_ROLES)] = None,
) -> None:
    """Give somebody another role."""
    name = session.need(name, "NAME", "Whose role?")
    role = session.need(role, "ROLE", "Which role?")
    user = session.client.put(path("users", name, "role"), NewRole(role))
    session.output.answer(user, views.user)


@commands.add("user:password", "cs user:password ada --yes")
def password(session: Session, name: User = None) -> None:
    """Draw another password for somebody.

    For who forgot theirs; their tokens end.
    """
    name = session.need(name, "NAME", "Whose password?")
    session.confirm(f"The password of {name} and all tokens of theirs will go.")
    session.output.answer(session.client.post(path("users", name, "password")), views.user)


@commands.add("user:remove", "cs user:remove ada --heir bob --yes")
def remove(
    session: Session,
    name: User = None,
    heir: Annotated[str | None, typer.Option(help="Who gets what they own.")] = None,
) -> None:
    """Remove somebody.

    Their tokens end at once.
    """
    name = session.need(name, "NAME", "Who goes?")
    session.confirm(f"{name} and all tokens of theirs will go.")
    session.client.delete(path("users", name), {"heir": heir})
    gone = Lines([f"{name} is gone."])
    session.output.answer({"user": name, "removed": True}, lambda _: gone)


@commands.add("organization:add", "cs organization:add engines --owner ada")
def organization_add(
    session: Session,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Its name.")] = None,
    owner: Annotated[str | None, typer.Option(help="The name of its first owner.")] = None,
) -> None:
    """Make an organization with its first owner.

    It sees nothing of the others. For owners of the platform's own organization.
    """
    name = session.need(name, "NAME", "The name of the new organization?")
    owner = session.need(owner, "--owner", "Who is its first owner?")
    made = session.client.post(path("organizations"), NewOrganization(name, owner))
    session.output.answer(made, views.organization)
    session.output.aside(f"They log in with: cs login {name}/{owner} --url URL")


@commands.add("organization:list", "cs organization:list")
def organization_list(session: Session) -> None:
    """List the organizations of the platform."""
    session.output.answer(session.client.items(path("organizations")), views.organizations)
