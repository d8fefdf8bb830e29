"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Service = Annotated[
    str | None, typer.Argument(metavar="[SERVICE]", help="Its name; else this folder's.")
]
Project = Annotated[str | None, typer.Argument(metavar="PROJECT", help="Its name or id.")]
Folder = Annotated[Path, typer.Option("--dir", help="The service's folder.")]
Notes = Annotated[str, typer.Option("-r", "--notes", help="Release notes.")]
Detach = Annotated[bool, typer.Option("--detach", help="Do not wait until it is live.")]
Follow = Annotated[bool, typer.Option("-f", "--follow", help="Go on as more happens.")]
Count = Annotated[int, typer.Option("-n", "--count", min=1, help="How many of the newest.")]
OfService = Annotated[str | None, typer.Option("-s", "--service", help="Of this service.")]
OfProject = Annotated[str | None, typer.Option("-p", "--project", help="Of this project.")]
OfEnvironment = Annotated[
    str | None, typer.Option("-e", "--environment", help="Of this environment.")
]
ToEnvironment = Annotated[str | None, typer.Option("--env", help="In this environment.")]
ToVersion = Annotated[str | None, typer.Option("--version", help="A number, or latest.")]

Owner = Annotated[
    str | None,
    typer.Argument(metavar="[PROJECT]", help="Its project; for private and demo the service."),
]
Reason = Annotated[str, typer.Option("--reason", help="Why, for whoever wants to move it on.")]
