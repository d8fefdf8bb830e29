"""What was promised of production, and how it was kept."""

from typing import Annotated

import typer

from codestore.cli.arguments import OfProject
from codestore.cli.client import Query, path
from codestore.cli.output import Form
from codestore.cli.registry import Commands
from codestore.cli.session import Session
from codestore.cli.views import sla as views

commands = Commands()
OfMonth = Annotated[str | None, typer.Option("--month", help="An earlier month, as in 2026-03.")]


@commands.add("sla", "cs sla -p shop")
def sla(session: Session, project: OfProject = None, month: OfMonth = None) -> None:
    """Show how production kept its promise this month.

    A request fails when the platform or the service answers with a 5xx, or nobody does. It does
    not when its caller gives up first: a service that hangs keeps its promise until the silence
    lasts as long as its limit (idle_timeout, 300 s). Nor when an answer that has begun is cut
    short. One that is removed from a project and added again begins anew, at 100 %.

    All times are in UTC; 13 months are kept beside the present one. Below, the worst minutes, with
    what happened in them or in the minute before.
    """
    query: Query = {"project": project, "month": month}
    found = session.client.get(path("sla"), query)
    session.output.answer(found, views.promises)
    if session.output.form is Form.TABLE and found["services"]:
        session.output.aside("")
        session.output.answer(found, views.worst)
