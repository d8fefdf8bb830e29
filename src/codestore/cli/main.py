"""The start: words become a command, the command runs, its exit code is ours."""

import sys
from collections.abc import Sequence
from itertools import chain
from typing import Annotated

import typer

from codestore import __version__
from codestore.cli.commands import (
    account,
    audit,
    databases,
    environments,
    host,
    inclusions,
    keys,
    people,
    projects,
    rollouts,
    secrets,
    services,
    sla,
    watching,
)
from codestore.cli.output import Output
from codestore.cli.problems import ExitCode
from codestore.cli.registry import build_app
from codestore.cli.view import Lines
from codestore.cli.words import family, joined

COMMANDS = tuple(
    chain.from_iterable(
        commands.members
        for commands in (
            host.commands,
            account.commands,
            services.commands,
            projects.commands,
            inclusions.commands,
            keys.commands,
            rollouts.commands,
            secrets.commands,
            environments.commands,
            databases.commands,
            watching.commands,
            sla.commands,
            people.commands,
            audit.commands,
        )
    )
)
NAMES = frozenset(command.name for command in COMMANDS)


def _version(asked: bool) -> None:
    if asked:
        Output().answer(__version__, lambda version: Lines([version]))
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command line; ends the process."""
    given = joined(sys.argv[1:] if arguments is None else arguments, NAMES)
    if family_ := family(given, NAMES):
        _show(family_)
        sys.exit(ExitCode.DONE if {"-h", "--help"} & set(given) else ExitCode.USAGE)
    # To have them all takes longer than to run one; without a name, they are listed or guessed at.
    named = [each for each in COMMANDS if given and each.name == given[0]]
    app = build_app(named or COMMANDS)
    app.callback()(_options)
    app(given, prog_name="cs")


def _show(family_: str) -> None:
    """List the commands of a family, as for ``cs service --help``."""
    members = [each for each in COMMANDS if each.name.startswith(f"{family_}:")]
    Output().answer(
        members, lambda found: Lines([f"cs {each.name:<24} {each.summary}" for each in found])
    )
