"""Services and their versions."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from codestore.cli.arguments import Detach, Folder, Notes, Service, ToEnvironment, ToVersion
from codestore.cli.changes import conclude
from codestore.cli.client import path
from codestore.cli.folder import MANIFEST, require_manifest, require_name, service_of
from codestore.cli.pack import packed
from codestore.cli.problems import CommandError, refused
from codestore.cli.registry import Commands
from codestore.cli.scaffold import Template, scaffold
from codestore.cli.session import Session
from codestore.cli.unpack import is_free, unpack
from codestore.cli.view import Lines
from codestore.cli.views import deployments as views
from codestore.cli.views import platform
from codestore.wire.asks import Roll

commands = Commands()
_SPOOL = 8 * 1024 * 1024  # bytes in memory before a temporary file is used
_HERE = Path()


@commands.add("service:create", "cs service:create blog --template graphql")
def create(
    session: Session,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Its name.")] = None,
    template: Annotated[
        Template, typer.Option(help="What a new folder starts from.")
    ] = Template.GRAPHQL,
    folder: Annotated[
        Path | None, typer.Option("--dir", help="The service's folder; ./NAME by default.")
    ] = None,
    notes: Notes = "",
    detach: Detach = False,
) -> None:
    """Make a service, live on private and demo.

    A folder that is empty or not there is made from a template; one with a codestore.yaml is
    deployed as it is.
    """
    known = service_of(folder) if folder else None
    name = session.need(name or known, "NAME", "The name of the new service?")
    folder = folder or _own_folder(name)
    made = not (folder / MANIFEST).is_file()
    if made:
        require_name(name)
        scaffold(template, folder, name)
    try:
        with packed(folder) as archive:
            change = session.client.upload(
                path("services"), {"name": name, "notes": notes or None}, archive
            )
    except CommandError:
        if made:
            session.output.note(
                f"The folder {folder} was made and is kept; "
                f"to deploy it: cs service:create {name} --dir {folder}"
            )
        raise
    conclude(session, change, views.service, detach=detach)


@commands.add("push", "cs push -r 'Posts have tags'", alias="service:push")
def push(
    session: Session, folder: Folder = _HERE, notes: Notes = "", detach: Detach = False
) -> None:
    """Deploy the folder to private, as a new version."""
    require_manifest(folder)
    name = session.need_service(None, folder)
    query = {"notes": notes or None}
    try:
        with packed(folder) as archive:
            change = session.client.upload(path("services", name, "versions"), query, archive)
    except CommandError as error:
        if error.problem.code == "service_not_found":
            error.problem.hint = f"cs service:create {name} --dir {folder}"
        raise
    conclude(session, change, views.release, detach=detach)


@commands.add("promote", "cs promote blog", alias="service:promote")
def promote(
    session: Session, service: Service = None, folder: Folder = _HERE, detach: Detach = False
) -> None:
    """Put the version on private on demo, in public."""
    name = session.need_service(service, folder)
    change = session.client.post(path("services", name, "promote"))
    conclude(session, change, views.release, detach=detach)


@commands.add("pull", "cs pull blog --version 0.0.2 --dir old-blog", alias="service:pull")
def pull(
    session: Session,
    service: Service = None,
    folder: Annotated[
        Path | None, typer.Option("--dir", help="Where to put it; ./SERVICE by default.")
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="A number, or latest; the newest by default.")
    ] = None,
) -> None:
    """Fetch the source of a version."""
    name = session.need_service(service)
    folder = folder or _own_folder(name)
    if not is_free(folder):
        session.confirm(f"{folder} is not empty: files in it may be written over.")
    with tempfile.SpooledTemporaryFile(_SPOOL) as archive:
        query = {"version": version}
        headers = session.client.download(path("services", name, "source"), query, archive)
        unpack(archive, folder)
    answer = {
        "service": name,
        "version": headers.get("x-codestore-version"),
        "digest": headers.get("x-codestore-digest"),
        "folder": str(folder),
    }
    session.output.answer(answer, platform.pulled)


@commands.add("service:list", "cs service:list")
def list_(session: Session) -> None:
    """List the services of your organization."""
    session.output.answer(session.client.items(path("services")), views.services)


@commands.add("service:info", "cs service:info blog -o json")
def info(session: Session, service: Service = None) -> None:
    """Show a service, with its URLs and key."""
    name = session.need_service(service)
    session.output.answer(session.client.get(path("services", name)), views.service)


@commands.add("service:roll", "cs service:roll blog --env private --version 0.0.1")
def roll(
    session: Session,
    service: Service = None,
    environment: ToEnvironment = None,
    version: ToVersion = None,
    detach: Detach = False,
) -> None:
    """Put another version on private or demo."""
    name = session.need_service(service)
    wish = Roll(
        session.need(environment, "--env", "In which environment (private, demo)?"),
        session.need(version, "--version", "Which version (a number, or latest)?"),
    )
    change = session.client.post(path("services", name, "roll"), wish)
    conclude(session, change, views.release, detach=detach)


@commands.add("service:remove", "cs service:remove blog --yes")
def remove(session: Session, service: Service = None, detach: Detach = False) -> None:
    """Remove a service with all its data."""
    name = session.need(service, "SERVICE", "Which service?")
    session.confirm(f"Both databases of {name}, private and demo, and all data in them will go.")
    change = session.client.delete(path("services", name))
    gone = Lines([f"The service {name} is gone, with its databases."])
    conclude(session, change, views.service if detach else lambda _: gone, detach=detach)


@commands.add("version:list", "cs version:list blog")
def list_versions(session: Session, service: Service = None) -> None:
    """List the versions of a service, oldest first."""
    name = session.need_service(service)
    session.output.answer(session.client.items(path("services", name, "versions")), views.versions)


def _own_folder(name: str) -> Path:
    """Return ``./NAME``, when a name is one that a folder may have."""
    if Path(name).name != name or name.startswith("."):
        raise refused(
            "bad_name",
            "Not a service name",
            f"{name!r} cannot name a folder either.",
            "Use 2 to 40 of a-z, 0-9 and -, starting with a letter.",
        )
    return Path(name)
