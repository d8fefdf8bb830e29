"""The list of commands: each is a function of a :class:`Session` and of its own arguments."""

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from codestore.cli.output import Form
from codestore.cli.problems import CommandError
from codestore.cli.session import Options, Session
from codestore.cli.values import LightCommand, LightGroup

Function = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Command:
    """A command: its name, what it does, and an example of it."""

    name: str
    help: str
    example: str
    function: Function
    hidden: bool = False

    @property
    def summary(self) -> str:
        """What it does, in a line."""
        return self.help.partition("\n")[0]


class Commands:
    """The commands of one file, in the order of the help."""

    def __init__(self) -> None:
        self.members: list[Command] = []

    def add(
        self, name: str, example: str, *, alias: str | None = None
    ) -> Callable[[Function], Function]:
        """Add a function as a command; ``alias`` is a second name, not listed in the help."""

        def added(function: Function) -> Function:
            text = inspect.getdoc(function) or ""
            self.members.append(Command(name, text, example, function))
            if alias is not None:
                self.members.append(Command(alias, text, example, function, hidden=True))
            return function

        return added


def build_app(commands: Iterable[Command]) -> typer.Typer:
    """Return the application that runs these commands."""
    app = typer.Typer(
        name="cs",
        cls=LightGroup,
        help="Every service in the environments it needs: private, demo and a project's three.",
        epilog="cs COMMAND --help shows an example. cs service create is cs service:create.",
        no_args_is_help=True,
        add_completion=False,
        # Rich draws nicer help, and takes longer to load than the command to run.
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for each in commands:
        text = f"{each.help}\n\n\b\nExample:\n  {each.example}"
        run = _with_common_options(each.function)
        app.command(each.name, cls=LightCommand, help=text, hidden=each.hidden)(run)
    return app


def _common_options(
    *,
    output: Annotated[
        Form, typer.Option("-o", "--output", help="How to print the answer.")
    ] = Form.TABLE,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Never ask.")] = False,
    url: Annotated[
        str | None, typer.Option(envvar="CODESTORE_URL", help="Where the platform is.")
    ] = None,
    token: Annotated[
        str | None, typer.Option(envvar="CODESTORE_TOKEN", help="Who you are to it.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(envvar="CODESTORE_DATA", help="The platform's data folder, with the profile."),
    ] = None,
) -> Options:
    """Say how every command's own options become :class:`Options`."""
    return Options(output, yes, url, token, data)


_COMMON = inspect.signature(_common_options).parameters


def _with_common_options(function: Function) -> Function:
    """Return the function for Typer: it takes the common options where this takes a session."""
    _, *own = inspect.signature(function).parameters.values()

    def run(**given: Any) -> None:
        session = Session(_common_options(**{name: given.pop(name) for name in _COMMON}))
        with _letters(session):
            function(session, **given)

    parameters = [
        *(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own),
        *_COMMON.values(),
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


@contextmanager
def _letters(session: Session) -> Iterator[None]:
    """Turn an error into a letter and an exit code."""
    try:
        yield
    except CommandError as error:
        session.output.problem(error.problem)
        raise typer.Exit(error.exit_code) from error
