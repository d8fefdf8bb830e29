"""What happens and what is printed: events and logs."""

import json
from collections.abc import Callable
from pathlib import Path

from codestore.cli.arguments import Count, Follow, OfEnvironment, OfProject, OfService
from codestore.cli.client import Query, path
from codestore.cli.problems import unreachable
from codestore.cli.registry import Commands
from codestore.cli.session import Session
from codestore.cli.view import Document
from codestore.cli.views import platform as views

commands = Commands()


@commands.add("logs", "cs logs -s blog -e demo -f", alias="service:logs")
def logs(
    session: Session,
    service: OfService = None,
    project: OfProject = None,
    environment: OfEnvironment = None,
    count: Count = 20,
    follow: Follow = False,
) -> None:
    """Show what was printed.

    By this folder's service on private, unless something is named.
    """
    if project is None:
        service = session.need_service(service, Path())
        environment = environment or "private"
    query: Query = {
        "service": service,
        "project": project,
        "environment": environment,
        "count": count,
    }
    if follow:
        _stream(session, path("logs", "stream"), query, views.log_line)
    else:
        session.output.answer(session.client.get(path("logs"), query)["items"], views.log_lines)


@commands.add("events", "cs events -s blog -f")
def events(
    session: Session,
    service: OfService = None,
    project: OfProject = None,
    environment: OfEnvironment = None,
    count: Count = 20,
    follow: Follow = False,
) -> None:
    """Show what happened, newest last."""
    query: Query = {"service": service, "project": project, "environment": environment}
    page = session.client.get(path("events"), {**query, "limit": count})
    if not follow:
        session.output.answer(page["items"], views.events)
        return
    for event in page["items"]:
        session.output.piece(event, views.event)
    after = page["items"][-1]["sequence"] if page["items"] else 0
    _stream(session, path("events", "stream"), {**query, "after": after}, views.event)


def _stream(session: Session, where: str, query: Query, line: Callable[[Document], str]) -> None:
    """Print messages until somebody ends it, or the platform does."""
    for message in session.client.stream(where, query):
        if message.data:
            session.output.piece(json.loads(message.data), line)
    raise unreachable("The platform ended the stream.", "Look again, or see cs status.")
