"""The databases of deployments."""

from codestore.cli.arguments import Detach, Owner, Service, ToEnvironment
from codestore.cli.changes import conclude
from codestore.cli.commands.rollouts import place_of
from codestore.cli.registry import Commands
from codestore.cli.session import Session
from codestore.cli.view import Lines

commands = Commands()


@commands.add("db:rotate", "cs db:rotate shop blog --env production")
def rotate(
    session: Session,
    project: Owner = None,
    service: Service = None,
    environment: ToEnvironment = None,
    detach: Detach = False,
) -> None:
    """Replace the password of a database.

    The same version is rolled out anew, with the new password; no request fails. When the last
    instance with the old one is gone, that opens nothing any more.
    """
    place = place_of(session, project, service, environment)
    change = session.client.post(place.path("database", "password"))
    change["undo"] = "there is no way back to a password that is gone"
    done = Lines([f"The database of {place.service} in {place.environment} has a new password."])
    conclude(session, change, lambda _: done, detach=detach)
