"""Following a change to its end. Nothing is called done before the platform said ``end``."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import typer

from codestore.cli.client import Client
from codestore.cli.messages import Message
from codestore.cli.problems import CommandError, ExitCode, problem_of, unreachable
from codestore.cli.session import Session
from codestore.cli.steps import Steps
from codestore.cli.view import Document, View


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a platform may be out of sight, as when it is started anew, in seconds."""

    out_of_sight: float = 60.0
    first_pause: float = 0.1
    longest_pause: float = 2.0


PATIENCE = Patience()


def conclude(
    session: Session, change: Document, view: Callable[[Document], View], *, detach: bool
) -> None:
    """Wait until a change is live and print it; with ``detach``, print it as it is now."""
    document = change["document"]
    if change["waits"] and not detach:
        conclusion = followed(session, change["waits"])
        if not conclusion["succeeded"]:
            _tell_failure(session, conclusion)
        document = refreshed(document, conclusion["deployments"])
    session.output.answer(document, view)
    if detach:
        going_on(session, change["waits"])
    undo = change["undo"] or "there is no earlier version to go back to"
    session.output.aside(f"Undo: {undo}")


def going_on(session: Session, waits: list[Document]) -> None:
    """Say how to follow what is not waited for."""
    session.output.aside(f"Going on; follow it: {_how_to_follow(waits)}")


def refreshed(document: Any, deployments: dict[str, Document]) -> Any:
    """Return a document in which each deployment is as it was told last."""
    if isinstance(document, dict):
        if document.get("id") in deployments:
            return deployments[document["id"]]
        return {key: refreshed(value, deployments) for key, value in document.items()}
    if isinstance(document, list):
        return [refreshed(value, deployments) for value in document]
    return document


def followed(session: Session, waits: list[Document], *, told: bool = True) -> Document:
    """Show the steps of a change until it is concluded; return the conclusion.

    Not ``told``: the steps are those of a change that somebody else asked for.
    """
    names = {wait["deployment"]: wait["environment"] for wait in waits}
    with _interruptible(session, waits), Steps(session.output, names) as steps:
        for message in _messages(session.client, waits, steps):
            if message.event == "event" and told:
                steps.show(json.loads(message.data))
            elif message.event == "end":
                conclusion: Document = json.loads(message.data)
                return conclusion
    raise AssertionError("messages end by an exception only")


def _messages(client: Client, waits: list[Document], steps: Steps) -> Iterator[Message]:
    """Yield messages, through interruptions: the platform may restart, the change goes on."""
    query = {"wait": [f"{wait['deployment']}:{wait['generation']}" for wait in waits]}
    last_id: str | None = None
    pause, seen = PATIENCE.first_pause, time.monotonic()
    while True:
        reason = "the stream broke"
        try:
            for message in client.stream("/api/watch", query, last_id):
                pause, seen = PATIENCE.first_pause, time.monotonic()
                last_id = message.id or last_id
                yield message
        except CommandError as error:
            if error.exit_code is not ExitCode.UNREACHABLE:
                raise
            reason = error.problem.detail
        if time.monotonic() - seen > PATIENCE.out_of_sight:
            raise unreachable(
                f"Lost sight of the change ({reason}); whether it is done is not known.",
                _how_to_follow(waits),
            )
        if pause == PATIENCE.first_pause:
            steps.say("The platform does not answer; looking again…")
        time.sleep(pause)
        pause = min(pause * 2, PATIENCE.longest_pause)


@contextmanager
def _interruptible(session: Session, waits: list[Document]) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        session.output.note("Not watching any more; the change goes on.")
        session.output.note(f"Follow it: {_how_to_follow(waits)}")
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def _tell_failure(session: Session, conclusion: Document) -> None:
    """Print what went wrong, as one problem, and end."""
    told = conclusion["problems"] or [{"title": "The change failed", "detail": "See cs events."}]
    session.output.problem(problem_of(_merged(told)))
    raise typer.Exit(ExitCode.FAILED)


def _merged(told: list[Document]) -> Document:
    """Make one problem of those of several environments; ``where`` names them all."""
    if len(told) == 1:
        return told[0]
    where = ", ".join(str(problem.get("where", "")) for problem in told)
    details = [f"{problem.get('where', '')}: {problem['detail']}" for problem in told]
    return {**told[0], "where": where, "detail": "\n".join(details)}


def _how_to_follow(waits: list[Document]) -> str:
    environments = {wait["environment"] for wait in waits}
    only = f" -e {environments.pop()}" if len(environments) == 1 else ""
    return f"cs events{only} -f"
