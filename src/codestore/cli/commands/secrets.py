"""Secrets: values come from a file, a pipe or a prompt, and never from the command line."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from codestore.cli.arguments import Detach, OfEnvironment, OfProject, OfService
from codestore.cli.changes import conclude
from codestore.cli.client import Query, path
from codestore.cli.folder import service_of
from codestore.cli.problems import refused, wrong_usage
from codestore.cli.registry import Commands
from codestore.cli.session import Session
from codestore.cli.view import Document
from codestore.cli.views import secrets as views
from codestore.wire.secrets import NewSecret, Rekeying

commands = Commands()
Key = Annotated[str | None, typer.Option("-k", "--key", help="Its name, as in API_TOKEN.")]
KeyWord = Annotated[str | None, typer.Argument(metavar="KEY", help="Its name.")]
OnTheLine = Annotated[str | None, typer.Option("-v", "--value", hidden=True)]
FromFile = Annotated[
    Path | None, typer.Option("--from-file", help="The value is what this file holds, as it is.")
]
Reveal = Annotated[bool, typer.Option("--reveal", help="Show values; that it was done is told.")]
MasterOnly = Annotated[bool, typer.Option("--master", help="A new master key only.")]
DataOnly = Annotated[bool, typer.Option("--data-key", help="A new key of your organization only.")]
_MOST = 1 << 20  # characters that are read of a value; the platform takes less


@commands.add("secret:add", "cs secret:add -p shop -e production -k API_TOKEN < token.txt")
def add(  # noqa: PLR0913 - one for each option
    session: Session,
    project: OfProject = None,
    environment: OfEnvironment = None,
    service: OfService = None,
    key: Key = None,
    value: OnTheLine = None,
    file: FromFile = None,
    detach: Detach = False,
) -> None:
    """Set a secret.

    For a project, an environment in it, or a service there.

    With a service alone, for its own private and demo. The value is read from a pipe, a file, or
    asked for. Whatever gets it starts anew, without dropping a request.
    """
    wish = _wish(session, (project, environment, service), key, value, file)
    change = session.client.post(path("secrets"), wish)
    conclude(session, change, views.changed, detach=detach)


@commands.add("secret:update", "cs secret:update -s blog -e private -k API_TOKEN")
def update(  # noqa: PLR0913 - one for each option
    session: Session,
    project: OfProject = None,
    environment: OfEnvironment = None,
    service: OfService = None,
    key: Key = None,
    value: OnTheLine = None,
    file: FromFile = None,
    detach: Detach = False,
) -> None:
    """Change a secret where it is set.

    Whatever gets it starts anew.
    """
    wish = _wish(session, (project, environment, service), key, value, file)
    change = session.client.put(path("secrets"), wish)
    conclude(session, change, views.changed, detach=detach)


@commands.add("secret:remove", "cs secret:remove -p shop -k API_TOKEN")
def remove(
    session: Session,
    project: OfProject = None,
    environment: OfEnvironment = None,
    service: OfService = None,
    key: Key = None,
    detach: Detach = False,
) -> None:
    """Take a secret away from where it is set.

    One that is set wider comes through again.
    """
    query = _query(project, environment, service)
    key = session.need(key, "-k KEY", "Which secret?")
    session.confirm(f"The value of {key} is lost there.")
    change = session.client.delete(path("secrets", key), query)
    conclude(session, change, views.changed, detach=detach)


@commands.add("secret:list", "cs secret:list -p shop -e production -s blog")
def list_(
    session: Session,
    project: OfProject = None,
    environment: OfEnvironment = None,
    service: OfService = None,
    reveal: Reveal = False,
) -> None:
    """List secrets, each with where it is set.

    All that hold there are told of, those that are set wider too.
    """
    query = _query(project, environment, service)
    if reveal:
        found = session.client.post(path("secrets", "reveal"), query=query)
    else:
        found = session.client.get(path("secrets"), query)
    session.output.answer(found["items"], views.secrets)


@commands.add("secret:explain", "cs secret:explain API_TOKEN -p shop -e production -s blog")
def explain(
    session: Session,
    key: KeyWord = None,
    project: OfProject = None,
    environment: OfEnvironment = None,
    service: OfService = None,
) -> None:
    """Show where a secret comes from.

    Where it is looked for, which one wins, who set it there and when.
    """
    query = _query(project, environment, service)
    key = session.need(key, "KEY", "Which secret?")
    session.output.answer(session.client.get(path("secrets", key, "explain"), query), views.chain)


@commands.add("secret:rekey", "cs secret:rekey")
def rekey(session: Session, master: MasterOnly = False, data_key: DataOnly = False) -> None:
    """Seal all secrets under new keys.

    Under a new key of your organization, wrapped by a new master key.

    Broken off, it goes on where it was when it is asked for again. A master key that the
    environment says is changed there: see docs/decisions/0007-secrets.md.
    """
    both = master == data_key
    done = session.client.post(path("secrets", "rekey"), Rekeying(master or both, data_key or both))
    session.output.answer(done, views.rekeyed)


def _query(project: str | None, environment: str | None, service: str | None) -> Query:
    """Return the scope that is meant: without project and service that of this folder."""
    if project is None and service is None:
        service = service_of(Path.cwd())
    if project is None and service is None:
        raise wrong_usage("A secret belongs to a project or a service.", "Name it: -p or -s")
    return {"project": project, "environment": environment, "service": service}


def _wish(
    session: Session,
    scope: tuple[str | None, str | None, str | None],
    key: str | None,
    on_the_line: str | None,
    file: Path | None,
) -> NewSecret:
    if on_the_line is not None:
        raise wrong_usage(
            "A value on the command line is seen by everybody on this machine, and kept in the "
            "shell's history.",
            "Pipe it in, name a file (--from-file), or leave it out to be asked.",
        )
    where: Document = dict(_query(*scope))
    key = session.need(key, "-k KEY", "Which secret?")
    return NewSecret(key, _value(session, file), **where)


def _value(session: Session, file: Path | None) -> str:
    """Read a value; of a pipe without the end of its last line, which ``echo`` puts there."""
    try:
        if file is not None:
            with file.open(encoding="utf-8", newline="") as source:
                return source.read(_MOST)
        if session.can_ask:
            typed = typer.prompt(
                "Value", "", True, confirmation_prompt=True, show_default=False, err=True
            )
            return str(typed)
        if sys.stdin.isatty():
            raise wrong_usage("The value is missing.", "Pipe it in, or name a file: --from-file")
        return sys.stdin.buffer.read(_MOST).decode().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise refused("unreadable", "The value cannot be read", f"{file}: {reason}.") from error
    except UnicodeDecodeError as error:
        detail = "A value is text in UTF-8."
        hint = "Encode what is not text, as in base64, and decode it in the service."
        raise refused("bad_secret_value", "Value refused", detail, hint) from error
