"""What people changed, and whether that log is whole."""

from typing import Annotated

import typer

from codestore.cli.client import path
from codestore.cli.problems import ExitCode
from codestore.cli.registry import Commands
from codestore.cli.session import Session
from codestore.cli.views import people as views

commands = Commands()


@commands.add("audit", "cs audit -n 100")
def audit(
    session: Session,
    count: Annotated[
        int, typer.Option("-n", "--count", min=1, max=500, help="How many of the newest.")
    ] = 50,
) -> None:
    """List what people changed, and who."""
    found = session.client.get(path("audit"), {"limit": count})["items"]
    session.output.answer(found, views.entries)


@commands.add("audit:verify", "cs audit:verify --seal SEAL")
def verify(
    session: Session,
    seal: Annotated[
        str | None, typer.Option(help="One that was shown earlier; it must be there still.")
    ] = None,
) -> None:
    """Check that nobody changed the log.

    Exits with 1 when somebody did. Note the seal it shows: with --seal it also tells whether the
    newest entries were cut off since.
    """
    found = session.client.get(path("audit", "verification"), {"noted": seal})
    session.output.answer(found, views.verification)
    if not found["whole"]:
        raise typer.Exit(ExitCode.FAILED)
