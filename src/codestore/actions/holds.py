"""Staying at a version: environments that are held, and versions that were left behind there.

A hold says that nothing moves an environment on but a person who names the version. A mark says
that a version was tried there and left. A rollback makes both; moving on ends what it made.
"""

from dataclasses import replace

from codestore.actions.office import Office
from codestore.actions.places import Found, Place, find_place
from codestore.domain.deployments import Deployment, Mark, Wish, retargeted
from codestore.domain.dials import Hold
from codestore.domain.environments import project_kind
from codestore.domain.events import Event, EventKind, event_of
from codestore.domain.faults import conflict, invalid
from codestore.domain.marking import marking
from codestore.domain.services import User
from codestore.domain.versions import Number, Version

REASON_LIMIT = 500  # characters
NO_REASON = "no reason was given"


async def hold(office: Office, user: User, place: Place, reason: str) -> Found:
    """Keep an environment at its version; also while a change is under way, which goes on.

    Held already it stays as it is, unless another reason is given: then this hold takes its place.
    """
    project_kind(place.environment)
    reason = _checked(reason)
    async with office.store.begin() as records:
        found = await find_place(records, user, place)
    async with office.change(found.deployment) as records:
        found = await find_place(records, user, place)
        _require_staying(found)
        held = found.deployment.spec.dials.hold
        if held is not None and reason in ("", held.reason):
            return found
        fresh = Hold(user.name, office.clock.now(), reason or NO_REASON)
        after = with_hold(found.deployment, fresh)
        await records.put(after)
        await records.emit(held_event(after, fresh))
        await office.audit(records, user, "hold", found.path, fresh.reason)
    return replace(found, deployment=after)


async def unhold(office: Office, user: User, place: Place) -> Found:
    """Let an environment move on again; what is marked there stays marked."""
    project_kind(place.environment)
    async with office.store.begin() as records:
        found = await find_place(records, user, place)
    async with office.change(found.deployment) as records:
        found = await find_place(records, user, place)
        held = found.deployment.spec.dials.hold
        if held is None:
            return found
        after = with_hold(found.deployment, None)
        text = f"{user.name} let it move on; it was held by {held.by}: {held.reason}"
        await records.put(after)
        await records.emit(event_of(after, EventKind.RELEASED, text, office.clock.now()))
        await office.audit(records, user, "unhold", found.path)
    return replace(found, deployment=after)


def with_hold(deployment: Deployment, fresh: Hold | None) -> Deployment:
    """Return the deployment with this hold, or with none."""
    dials = replace(deployment.spec.dials, hold=fresh)
    return replace(deployment, spec=replace(deployment.spec, dials=dials))


def held_event(after: Deployment, fresh: Hold) -> Event:
    """Return the event that tells of a hold."""
    return event_of(after, EventKind.HELD, f"held by {fresh.by}: {fresh.reason}", fresh.at)


def require_free(found: Found, number: str, *, force: bool) -> None:
    """Refuse a promotion to where is held, or of a version that was left behind there.

    ``force`` passes over a mark. A hold is somebody's word: it is lifted, not passed over.
    """
    deployment = found.deployment
    held = deployment.spec.dials.hold
    if held is not None:
        raise conflict(
            "held",
            "The environment is held",
            f"{deployment.kind} is held by {held.by} since {held.at:%Y-%m-%d %H:%M:%S} UTC: "
            f"{held.reason}.",
            f"cs unhold {found.arguments}",
        )
    mark = next((each for each in deployment.status.marks if each.number == number), None)
    if mark is None or force:
        return
    words = found.arguments.replace("--env", "--to")
    raise conflict(
        "marked",
        "The version was left behind",
        f"{number} is marked in {deployment.kind} since {mark.at:%Y-%m-%d %H:%M:%S} UTC, by "
        f"{mark.by}: {mark.reason}.",
        f"To try it again all the same: cs project:service:promote {words} --force",
    )


def rolled(target: Deployment, version: Version, wish: Wish) -> tuple[Deployment, list[Event]]:
    """Return the deployment with the version that a person named, and what there is to tell.

    Back: it is held there, and what serves is marked. On: what a way back holds is held no more,
    unless the way on fails; what a person holds by hand stays held. The version that is named loses
    its own mark.
    """
    left, held = left_behind(target, version.number), target.spec.dials.hold
    wish = replace(wish, returning=left is not None)
    after = unmarked(retargeted(target, version.number, version.digest, wish), version.number)
    fresh = None
    if left is not None:
        reason = f"rolled back from {left} to {version.number}"
        after = _with_mark(after, Mark(left, reason, wish.at, wish.by))
        fresh = Hold(wish.by, wish.at, reason)
    if held is not None and not _came_with_a_mark(target, held):
        return after, []
    after = with_hold(after, fresh)
    after = replace(after, spec=replace(after.spec, lifted=held))
    if fresh is not None:
        return after, [held_event(after, fresh)]
    if held is None:
        return after, []
    text = f"{wish.by} moved on to {version.number}; it was held by {held.by}: {held.reason}"
    return after, [event_of(after, EventKind.RELEASED, text, wish.at)]


def left_behind(target: Deployment, number: str) -> str | None:
    """Return the version that a roll to ``number`` would leave behind, if that is a way back.

    It is one to a version lower than what serves, or to the one that served before.
    """
    live, previous = target.status.live, target.status.previous
    if live is None:
        return None
    before = previous is not None and previous.number == number
    back = before or Number.parse(number) < Number.parse(live.number)
    return live.number if back else None


def unmarked(deployment: Deployment, number: str) -> Deployment:
    """Return the deployment without a mark on this version: a person wants it all the same."""
    marks = tuple(each for each in deployment.status.marks if each.number != number)
    return replace(deployment, status=replace(deployment.status, marks=marks))


def _with_mark(deployment: Deployment, mark: Mark) -> Deployment:
    marks = marking(deployment.status.marks, mark)
    return replace(deployment, status=replace(deployment.status, marks=marks))


def _came_with_a_mark(target: Deployment, held: Hold) -> bool:
    """Whether a way back made this hold, and nobody by hand: it left a version behind then."""
    return any(mark.at == held.at for mark in target.status.marks)


def _require_staying(found: Found) -> None:
    if found.deployment.spec.removed:
        raise conflict(
            "removing",
            "It is being removed",
            f"{found.service.name} is being removed from {found.deployment.kind}.",
        )


def _checked(reason: str) -> str:
    reason = reason.strip()
    if len(reason) > REASON_LIMIT or not reason.isprintable():
        raise invalid(
            "bad_reason",
            "Reason refused",
            f"A reason is one line of plain text, of at most {REASON_LIMIT} characters.",
        )
    return reason
