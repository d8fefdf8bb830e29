"""Changes under way, and environments that stay at their version."""

import shlex
from dataclasses import dataclass

from codestore.cli.arguments import Detach, Owner, Reason, Service, ToEnvironment
from codestore.cli.changes import followed, going_on
from codestore.cli.client import path
from codestore.cli.problems import refused, wrong_usage
from codestore.cli.registry import Commands
from codestore.cli.session import Session
from codestore.cli.view import Document
from codestore.cli.views import deployments as views
from codestore.cli.views.rollouts import rollout
from codestore.wire.asks import NewHold

commands = Commands()
_ALONE = ("private", "demo")  # a service's own environments, with no project around
_WHICH = "In which environment?"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a deployment is; ``owner`` is a project, or the service in its own environments."""

    owner: str
    service: str
    environment: str

    def path(self, *more: str) -> str:
        """Return where the API has it."""
        where = ("environments", self.owner, self.environment, "services", self.service)
        return path(*where, *more)

    @property
    def words(self) -> str:
        """Return the words that name it to a command."""
        owner = "" if self.environment in _ALONE else f"{self.owner} "
        return f"{owner}{self.service} --env {self.environment}"


@commands.add("rollout:status", "cs rollout:status shop blog --env production")
def status(
    session: Session,
    project: Owner = None,
    service: Service = None,
    environment: ToEnvironment = None,
) -> None:
    """Show how far a change has come.

    A canary with its share, when the next step comes, and what became of its requests.
    """
    place = place_of(session, project, service, environment)
    session.output.answer(session.client.get(place.path("rollout")), rollout)


@commands.add("rollout:pause", "cs rollout:pause shop blog --env production")
def pause(
    session: Session,
    project: Owner = None,
    service: Service = None,
    environment: ToEnvironment = None,
) -> None:
    """Have a canary stay at its share."""
    place = place_of(session, project, service, environment)
    session.output.answer(session.client.post(place.path("rollout", "pause")), rollout)
    session.output.aside(f"Undo: cs rollout:resume {place.words}")


@commands.add("rollout:resume", "cs rollout:resume shop blog --env production")
def resume(
    session: Session,
    project: Owner = None,
    service: Service = None,
    environment: ToEnvironment = None,
) -> None:
    """Have a canary go on."""
    place = place_of(session, project, service, environment)
    session.output.answer(session.client.post(place.path("rollout", "resume")), rollout)
    session.output.aside(f"Undo: cs rollout:pause {place.words}")


@commands.add("rollout:abort", "cs rollout:abort shop blog --env production")
def abort(
    session: Session,
    project: Owner = None,
    service: Service = None,
    environment: ToEnvironment = None,
    detach: Detach = False,
) -> None:
    """Give the change under way up.

    Whatever it is; what served goes on serving. Waits until it has ended; whoever waits for the
    change itself hears that it failed (aborted).
    """
    place = place_of(session, project, service, environment)
    change = session.client.post(place.path("rollout", "abort"))
    found = change["document"]
    if not detach:
        conclusion = followed(session, change["waits"], told=False)
        _require_given_up(conclusion, found, place)
        found = session.client.get(place.path("rollout"))
    session.output.answer(found, rollout)
    if detach:
        going_on(session, change["waits"])
    if change["undo"]:
        session.output.aside(f"Undo: {change['undo']}")


@commands.add("hold", "cs hold shop blog --env production --reason 'until the fair is over'")
def hold(
    session: Session,
    project: Owner = None,
    service: Service = None,
    environment: ToEnvironment = None,
    reason: Reason = "",
) -> None:
    """Keep a version where it is: no promotion.

    Rolling to a version that somebody names stays possible. A rollback holds by itself. Nor does
    what is held return by itself: a young version that does badly stays until somebody acts.
    """
    place = place_of(session, project, service, environment)
    held = session.client.post(place.path("hold"), NewHold(reason))
    session.output.answer(held, views.deployment)
    session.output.aside(f"Undo: cs unhold {place.words}")


@commands.add("unhold", "cs unhold shop blog --env production")
def unhold(
    session: Session,
    project: Owner = None,
    service: Service = None,
    environment: ToEnvironment = None,
) -> None:
    """Let a version that is held move on again.

    Versions that were left behind there stay marked: promoting one of them needs --force.
    """
    place = place_of(session, project, service, environment)
    held = session.client.get(place.path("rollout"))["deployment"]["hold"]
    session.output.answer(session.client.delete(place.path("hold")), views.deployment)
    if held is not None:
        reason = shlex.quote(held["reason"])
        session.output.aside(f"Undo: cs hold {place.words} --reason {reason}")


def place_of(
    session: Session, first: str | None, second: str | None, environment: str | None
) -> Place:
    """Read PROJECT SERVICE, or SERVICE where there is no project; the folder may name it, too."""
    environment = session.need(environment, "--env", _WHICH)
    if environment not in _ALONE:
        project = session.need(first, "PROJECT", "Which project?")
        return Place(project, session.need_service(second), environment)
    if second is not None:
        raise wrong_usage(
            f"{environment} belongs to a service, not to a project.",
            f"Name the service alone: {second} --env {environment}",
        )
    service = session.need_service(first)
    return Place(service, service, environment)


def _require_given_up(conclusion: Document, found: Document, place: Place) -> None:
    """Refuse to call it given up when it went live a moment before."""
    if not conclusion["succeeded"]:
        return
    before = found["from_version"]
    way_back = before is not None and before != found["to_version"]
    command = "service:roll" if place.environment in _ALONE else "project:service:roll"
    raise refused(
        "too_late",
        "It went live a moment before",
        f"{found['to_version']} serves in {place.environment}.",
        f"To go back: cs {command} {place.words} --version {before}" if way_back else "",
    )
