"""The platform of this machine: start it, end it, ask how it is."""

import os
import subprocess
import sys
from typing import Annotated

import typer

from codestore.cli.platform import Launch, platform_command, running, start_detached
from codestore.cli.registry import Commands
from codestore.cli.session import Session
from codestore.cli.view import seconds
from codestore.cli.views import platform as views

commands = Commands()
_DATABASE_URL = "CODESTORE_DATABASE_URL"


@commands.add("up", "cs up --detach")
def up(
    session: Session,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Where to listen; else as the last time, else 7080."),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Whom to listen to; else as the last time, else 127.0.0.1.")
    ] = None,
    database_url: Annotated[
        str | None, typer.Option(envvar=_DATABASE_URL, help="A PostgreSQL server of yours.")
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return when the platform answers.")
    ] = False,
) -> None:
    """Start the platform on this machine.

    API, console and gateway answer on one port.
    """
    data = session.data
    if (found := running(data)) is not None:
        session.output.note(f"A platform runs in {data} already.")
        session.output.answer(found, views.status)
        return
    if database_url is not None:
        # To the process that is started, and not by its arguments: those are for all to see.
        os.putenv(_DATABASE_URL, database_url)
    launch = Launch(data, host, port)
    if not detach:
        os.execv(sys.executable, launch.command)  # noqa: S606 - a list, no shell
    found, took = start_detached(launch)
    session.output.answer(found, views.status)
    session.output.note(f"{found['url']} is ready in {seconds(took)}.")


@commands.add("down", "cs down")
def down(session: Session) -> None:
    """End the platform; its data stays."""
    ended = subprocess.run(platform_command("down", session.data), check=False)
    if ended.returncode == 0:
        session.output.note(f"No platform runs in {session.data} any more.")
    raise typer.Exit(ended.returncode)


@commands.add("status", "cs status -o json")
def status(session: Session) -> None:
    """Tell how the platform is."""
    session.output.answer(session.client.get("/api/status"), views.status)
