"""What people and turns may each make of a deployment, and what may have been told with it."""

from collections import Counter
from dataclasses import replace

from codestore.domain.conditions import ConditionType, find
from codestore.domain.deployments import Deployment, Live, Spec, State
from codestore.domain.dials import Dials
from codestore.domain.events import EventKind
from codestore.domain.faults import FaultKind

Kinds = Counter[EventKind]
PATIENCE = 600.0  # seconds for which what may pass is tried again
_NO_DIALS = Dials()
_STORY = ("migrated", "applied")


def _plain(spec: Spec) -> Spec:
    return replace(spec, dials=_NO_DIALS)


def _wish(before: Deployment, held: Deployment) -> Spec:
    """Return what is wanted, without the secrets that a turn says once at the beginning."""
    return replace(_plain(held.spec), secrets=None) if before.unresolved else _plain(held.spec)


def by_a_person(before: Deployment, after: Deployment, kinds: Kinds) -> None:
    """People ask for a change, each time with the next generation, or turn a dial."""
    asked = after.spec.generation - before.spec.generation
    assert asked in (0, 1)
    if asked:
        assert kinds[EventKind.ASKED] == 1, "nobody was told what was asked"
        assert after.spec.removed or not before.busy, "a change upon a change"
        old, new = before.spec.dials, after.spec.dials
        assert old.scale == new.scale, "a change changed the scale"
        told_of = kinds[EventKind.HELD] + kinds[EventKind.RELEASED]
        assert old.hold == new.hold or told_of, "a hold came or went, and nobody was told"
    else:
        assert _plain(before.spec) == _plain(after.spec)
    assert not before.spec.removed or after.spec.removed
    moved = replace(
        before.status,
        attempts=after.status.attempts,
        retry_at=after.status.retry_at,
        marks=after.status.marks,
    )
    assert moved == after.status, "a person concluded something"


def by_a_turn(before: Deployment, after: Deployment, kinds: Kinds, *, disturbed: bool) -> None:
    """A turn concludes and learns; what people want it leaves alone, but for a way back."""
    live, failed = kinds[EventKind.LIVE], kinds[EventKind.FAILED]
    concluded = after.status.generation != before.status.generation
    assert live + failed == concluded, "told, and not concluded, or the other way round"
    assert kinds[EventKind.ASKED] == 0
    assert before.spec.removed == after.spec.removed
    assert not (concluded and before.spec.removed)
    returned = kinds[EventKind.RETURNING]
    assert after.spec.generation == before.spec.generation + returned
    _dials(before, after, concluded=concluded, returned=bool(returned))
    if returned:
        _returned(before, after)
    if live:
        _live(before, after)
    elif failed:
        _failed(before, after)
    else:
        assert (before.status.live, before.status.previous) == (
            after.status.live,
            after.status.previous,
        )
        assert returned or _wish(before, before) == _wish(before, after), "a wish was changed"
        assert returned or before.status.failure == after.status.failure
    _story(before, after, kinds)
    if not disturbed:
        _degraded(before, after, kinds)
    _canary(before, after, kinds, concluded=concluded, disturbed=disturbed)


def _dials(before: Deployment, after: Deployment, *, concluded: bool, returned: bool) -> None:
    old, new = before.spec.dials, after.spec.dials
    slept = new.scale is None and after.status.standby is not None
    assert old.scale == new.scale or slept, "a turn changed the scale"
    if not returned and not (concluded and came_to_nothing(before, after)):
        _held(before, after)
    if not after.busy:
        assert not new.paused and new.aborted_by is None, "a dial of a change that is over"
    elif not concluded and not returned:
        assert (old.paused, old.aborted_by) == (new.paused, new.aborted_by)


def _held(before: Deployment, after: Deployment) -> None:
    """A hold stays, and is true; one that a change let go holds again if it came to nothing."""
    old, new, lifted = before.spec.dials.hold, after.spec.dials.hold, before.spec.lifted
    failed = after.spec.revision != before.spec.revision
    if old is not None and new is not None and gave_way(before) and failed:
        assert new == replace(old, reason=new.reason), "a turn changed a hold"
        assert new.reason != before.spec.reason, "it says that it went back, and it did not"
    elif old is None and lifted is not None and failed:
        assert new == replace(lifted, at=new.at if new else lifted.at), "a hold was lost"
        marks = [mark.at for mark in after.status.marks]
        assert new is not None and new.at in marks, "nothing that a way on may end"
    else:
        assert old == new, "a turn changed a hold"


def came_to_nothing(before: Deployment, after: Deployment) -> bool:
    """Whether a way back that a person chose failed: what came with it goes with it."""
    failed = after.status.live == before.status.live and not after.busy and before.busy
    spec, hold = before.spec, before.spec.dials.hold
    made = hold is None or after.spec.dials.hold == hold or hold.at == spec.asked_at
    return failed and spec.returning and spec.asked_by != "codestore" and made


def gave_way(before: Deployment) -> bool:
    """Whether what is under way is a return that nobody asked for."""
    return before.busy and before.spec.returning and before.spec.asked_by == "codestore"


def _once(live: Live | None) -> Live | None:
    """Return what serves after it was to give way and could not: it does not try again."""
    return None if live is None else replace(live, returned=True)


def _returned(before: Deployment, after: Deployment) -> None:
    previous, live = before.status.previous, before.status.live
    assert not before.busy and not before.spec.removed
    assert previous is not None and live is not None and not live.returned
    marks = [mark.number for mark in before.status.marks]
    assert previous.number not in marks, "back to what was left, or could not come back"
    assert before.spec.dials.hold is None, "it is held"
    assert (after.spec.number, after.spec.digest) == (previous.number, previous.digest)
    assert after.spec.returning and after.spec.revision == after.spec.generation
    hold = after.spec.dials.hold
    assert hold is not None, "it would move on"
    assert after.status.failure is not None and after.status.failure.number == live.number
    marked = live.number in [mark.number for mark in after.status.marks]
    assert marked or live.number == previous.number, "it is not marked"
    was, now = previous.secrets, after.spec.secrets
    assert was is None or (now is not None and now.id == was.id), "not the secrets of then"


def _live(before: Deployment, after: Deployment) -> None:
    spec, live = before.spec, after.status.live
    # It has arrived, so the hold it was freed from is not to come back any more.
    assert live is not None and replace(_plain(spec), lifted=None) == _plain(after.spec)
    assert after.status.generation == spec.generation
    assert (live.revision, live.number, live.digest) == (spec.revision, spec.number, spec.digest)
    assert live.returned == spec.returning and live.login == spec.login
    assert live.secrets == spec.secrets and spec.secrets is not None, "nobody said which secrets"
    assert spec.secrets.revision == spec.revision, "secrets of another revision"
    was = before.status.live
    if was is None or was.revision != spec.revision:
        same = was is not None and was.login != spec.login  # only its password is another one
        back = before.status.previous if same else was
        assert after.status.previous == (None if spec.returning else back)
    assert after.status.failure is None and after.status.crashes == 0
    new = after.status
    assert (new.attempts, new.retry_at, new.restart_at) == (0, None, None), "it waits for the old"


def _failed(before: Deployment, after: Deployment) -> None:
    spec, status, live = before.spec, after.status, before.status.live
    assert status.generation == spec.generation
    assert status.live == (_once(live) if gave_way(before) else live), "it would try again"
    assert status.failure is not None and status.failure.generation == spec.generation
    assert status.failure.letter.title and status.failure.letter.detail
    assert status.failure.number == spec.number
    troubled = status.failure.letter.kind is FaultKind.UNAVAILABLE
    if troubled:
        fresh = [m for m in status.marks if m.number == spec.number and m.at > spec.asked_at]
        assert not fresh, "a version is marked for the troubles of the platform"
        since = before.status.stuck_since or status.failure.at
        tried = (status.failure.at - since).total_seconds()
        assert tried >= PATIENCE, "what may pass was not tried again"
    if live is None:
        assert _plain(spec) == _plain(after.spec)
        return
    assert after.spec.generation == spec.generation
    back = (after.spec.revision, after.spec.number, after.spec.digest)
    assert back == (live.revision, live.number, live.digest)
    lacking = status.failure.letter.code == "secret_missing"
    untried = lacking or troubled or live.number == spec.number
    assert untried or spec.number in [mark.number for mark in status.marks]
    assert status.previous == before.status.previous


def _story(before: Deployment, after: Deployment, kinds: Kinds) -> None:
    """What was learned once stays known, and is told as often as it happened."""
    old, new = before.status, after.status
    for name in _STORY:
        was = getattr(old, name)
        assert getattr(new, name)[: len(was)] == was, f"{name}: something was forgotten"
    woken = new.wakes.frozen.count + new.wakes.stopped.count
    woken -= old.wakes.frozen.count + old.wakes.stopped.count
    assert woken == kinds[EventKind.WOKEN], "a wake was told and not counted, or not told"
    assert old.woken_at is None or (new.woken_at is not None and new.woken_at >= old.woken_at)
    known = {mark.number for mark in new.marks}
    undone = before.spec.asked_at if came_to_nothing(before, after) else None
    lost = {mark.number for mark in old.marks if mark.at != undone} - known
    assert not lost, "a mark was lost"
    ended = kinds[EventKind.INSTANCE_ENDED]
    forgotten = old.standby is not None and new.standby is None  # it was woken, and came up
    forgotten = forgotten or not ended or kinds[EventKind.LIVE] > 0
    # What ends together is one crash: a next one is of what was started since.
    counted = bool(ended) <= new.crashes <= old.crashes + bool(ended)
    assert counted or (new.crashes == 0 and forgotten), "a crash was not counted, or twice"
    depths = (old.standby and old.standby.depth, new.standby and new.standby.depth)
    fell = depths[1] is not None and depths[0] != depths[1]
    assert kinds[EventKind.STANDBY] == fell, "it sleeps deeper, and nobody was told"


def _degraded(before: Deployment, after: Deployment, kinds: Kinds) -> None:
    """People hear once that something is wrong: at once, or when the change is over that hid it."""
    told, available = kinds[EventKind.DEGRADED], ConditionType.AVAILABLE
    if before.state is State.DEGRADED:
        assert not told, "it is told again"
    elif after.state is State.DEGRADED and before.state in (State.READY, State.DEPLOYING):
        found = find(after.status.conditions, available)
        asleep = after.status.standby is not None  # nobody is meant to serve
        before_it = found is not None and found.since < before.spec.asked_at
        hidden = before.busy and (asleep or before_it)
        assert told == (not hidden), "something is wrong, and nobody is told"


def _canary(
    before: Deployment, after: Deployment, kinds: Kinds, *, concluded: bool, disturbed: bool
) -> None:
    old, new = before.status.canary, after.status.canary
    told = kinds[EventKind.CANARY]
    if concluded:
        assert new is None
        return
    if old is not None and new is not None and old.step == new.step:
        assert told == 0 and old.since == new.since  # what was counted of it may have moved
        return
    if old == new:
        assert told == 0
        return
    assert told == 1 and new is not None and before.spec.canary is not None
    step = -1 if old is None else old.step
    assert new.step == step + 1, "a step of a canary was left out, or done again"
    assert disturbed or not before.spec.dials.paused, "it was paused"
    if old is not None:
        held = (new.since - old.since).total_seconds()
        assert held >= before.spec.canary.hold, "it moved on too early"
