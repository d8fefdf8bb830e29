"""A change under way: pause a canary, let it go on, give the change up.

None of it is a change of its own: it turns the dials of the one that is under way.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from codestore.actions.office import Office
from codestore.actions.places import Found, Place, find_place
from codestore.actions.undoing import NOTHING_TO_UNDO, roll_to
from codestore.domain.dials import Dials
from codestore.domain.environments import Kind
from codestore.domain.events import EventKind, event_of
from codestore.domain.faults import conflict
from codestore.domain.services import User


@dataclass(frozen=True, slots=True)
class Abort:
    """An abort that was accepted: of which change, and the command that makes it again, if any."""

    found: Found
    undo: str


async def look(office: Office, user: User, place: Place) -> Found:
    """Return what is at a place, whether a change is under way there or not."""
    async with office.store.begin() as records:
        return await find_place(records, user, place)


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn of the dials: the act it is, and how they stand after it."""

    act: str
    turn: Callable[[Found, str], tuple[Dials, EventKind, str]]


async def pause(office: Office, user: User, place: Place) -> Found:
    """Have a canary stay at its share."""
    return await _turned(office, user, place, Turn("rollout:pause", _paused))


async def resume(office: Office, user: User, place: Place) -> Found:
    """Have a canary go on."""
    return await _turned(office, user, place, Turn("rollout:resume", _resumed))


async def abort(office: Office, user: User, place: Place) -> Abort:
    """Have the change under way given up, whatever it is; what served goes on serving."""
    found = await _turned(office, user, place, Turn("rollout:abort", _aborted))
    return Abort(found, _again(found))


async def _turned(office: Office, user: User, place: Place, turn: Turn) -> Found:
    """Turn a dial; to turn it to where it stands changes nothing, and nobody hears of it."""
    act = "decide about its changes"
    async with office.store.begin() as records:
        found = await find_place(records, user, place, act)
    async with office.change(found.deployment) as records:
        found = await find_place(records, user, place, act)
        _require_change(found)
        held = found.deployment
        dials, kind, text = turn.turn(found, user.name)
        after = replace(held, spec=replace(held.spec, dials=dials))
        if after != held:
            await records.put(after)
            await records.emit(event_of(after, kind, text, office.clock.now()))
            await office.audit(records, user, turn.act, found.path, text)
    return replace(found, deployment=after)


def _paused(found: Found, by: str) -> tuple[Dials, EventKind, str]:
    spec = found.deployment.spec
    if spec.canary is None or found.deployment.status.live is None:
        raise conflict(
            "no_canary",
            "It is no canary",
            f"The change to {spec.number} is let in all at once; only a canary can be paused.",
            f"To give it up: cs rollout:abort {found.arguments}",
        )
    text = f"{by} paused the canary of {spec.number}"
    return replace(spec.dials, paused=True), EventKind.CANARY, text


def _resumed(found: Found, by: str) -> tuple[Dials, EventKind, str]:
    spec = found.deployment.spec
    text = f"{by} let the canary of {spec.number} go on"
    return replace(spec.dials, paused=False), EventKind.CANARY, text


def _aborted(found: Found, by: str) -> tuple[Dials, EventKind, str]:
    """The first who aborts is remembered; a pause has nothing to hold up any more."""
    spec = found.deployment.spec
    text = f"{by} aborts the change to {spec.number}"
    return replace(spec.dials, aborted_by=spec.dials.aborted_by or by), EventKind.ASKED, text


def _require_change(found: Found) -> None:
    deployment = found.deployment
    if deployment.spec.removed:
        raise conflict(
            "removing",
            "It is being removed",
            f"{found.service.name} is being removed from {deployment.kind}, and that goes on.",
        )
    if not deployment.busy:
        live = deployment.status.live
        serves = f"{live.number} serves" if live is not None else "nothing serves"
        raise conflict(
            "nothing_under_way",
            "Nothing is under way",
            f"In {deployment.kind} no change of {found.service.name} is under way; {serves}.",
            f"cs rollout:status {found.arguments}",
        )


def _again(found: Found) -> str:
    """Return the command that wants the version that is given up again, although it is marked.

    A change of secrets or of a password replaces a version by itself: that one goes on serving.
    """
    spec, kind = found.deployment.spec, found.deployment.kind
    live = found.deployment.status.live
    if live is not None and live.number == spec.number:
        return NOTHING_TO_UNDO
    if found.project is None and kind is Kind.DEMO:
        return f"cs promote {found.service.name}"
    return roll_to(found, spec.number)
