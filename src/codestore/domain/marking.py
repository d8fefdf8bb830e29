"""How a deployment's status moves: by named verbs only, each with a reason."""

from dataclasses import replace
from datetime import datetime, timedelta

from codestore.domain.canary import Progress, Trial
from codestore.domain.conditions import Condition, ConditionType, Truth, find, marked
from codestore.domain.deployments import (
    Deployment,
    Failure,
    Live,
    Mark,
    Remembered,
    Spec,
    as_live,
    rescaled,
)
from codestore.domain.dials import Hold, undisturbed
from codestore.domain.faults import Fault, FaultKind, Letter
from codestore.domain.secrets import MISSING
from codestore.domain.standby import Depth, Standby

PLATFORM = "codestore"  # who it is that does what nobody asked for
MARKS_KEPT = 20
REMEMBERED = 50  # versions whose secrets are kept in a deployment
CRASH_LOOP = 3  # crashes in a row; a first restart is quick enough to need no word
CALM = timedelta(minutes=10)  # without a crash
_WAKE_FAILED = "WakeFailed"


def mark_live(deployment: Deployment, now: datetime) -> Deployment:
    """The wanted revision serves: conclude the generation.

    What is live because the change after it failed keeps that failure, for people to see.
    """
    spec, status = deployment.spec, deployment.status
    live, previous = status.live, status.previous
    if live is None or live.revision != spec.revision:
        if live is None or live.login == spec.login:  # else only its password is another one
            previous = None if spec.returning else live
        live = Live(
            spec.revision,
            spec.number,
            spec.digest,
            now,
            spec.returning,
            spec.secrets,
            spec.login,
        )
    generation, text = spec.generation, f"{spec.number} serves."
    statement = Condition(ConditionType.ROLLED_OUT, Truth.TRUE, "Live", text, now, generation)
    after = replace(
        deployment,
        spec=_undisturbed(spec),
        status=replace(
            status,
            generation=generation,
            live=live,
            previous=previous,
            remembered=_remembering(status.remembered, live),
            canary=None,
            failure=None if deployment.busy else status.failure,
            attempts=0,
            retry_at=None,
            restart_at=None if deployment.busy else still_to_come(status.restart_at, now),
            crashes=0 if deployment.busy else status.crashes,
            conditions=marked(status.conditions, statement),
        ),
    )
    if not deployment.busy:
        return after
    return _awake(after, Truth.TRUE, ("Deployed", f"{spec.number} was deployed."), None, now)


def mark_failed(deployment: Deployment, fault: Fault, now: datetime) -> Deployment:
    """The wanted revision failed for good: conclude it and want the live version again."""
    spec, status = deployment.spec, deployment.status
    failure = Failure(spec.generation, spec.number, fault.letter, now)
    statement = Condition(
        ConditionType.ROLLED_OUT,
        Truth.FALSE,
        fault.letter.code,
        fault.letter.title,
        now,
        spec.generation,
    )
    back, live = _undisturbed(as_live(deployment).spec), status.live
    hold, marks = _left_by(deployment, fault.letter, now)
    if live is not None and _gives_way(spec):
        live = replace(live, returned=True)  # that was the one time
    return replace(
        deployment,
        spec=replace(back, dials=replace(back.dials, hold=hold)),
        status=replace(
            status,
            generation=spec.generation,
            live=live,
            failure=failure,
            canary=None,
            marks=marks,
            attempts=0,
            retry_at=None,
            conditions=marked(status.conditions, statement),
        ),
    )


def _gives_way(spec: Spec) -> bool:
    """Whether the change is a return that nobody asked for."""
    return spec.returning and spec.asked_by == PLATFORM


def _left_by(
    deployment: Deployment, letter: Letter, now: datetime
) -> tuple[Hold | None, tuple[Mark, ...]]:
    """Return what holds after a change that came to nothing, and the marks.

    What was not tried is not marked: nothing is started of what lacks a secret, and the troubles of
    the platform say nothing about a version.
    """
    spec, live, marks = deployment.spec, deployment.status.live, deployment.status.marks
    hold = spec.dials.hold
    came_with_it = hold is not None and hold.at == spec.asked_at
    if hold is not None and came_with_it and _gives_way(spec):
        hold = replace(hold, reason=f"failed to {spec.reason}")
    elif spec.returning and not _gives_way(spec):  # a rollback
        marks = tuple(mark for mark in marks if mark.at != spec.asked_at)
        hold = None if came_with_it else hold
    tried = letter.code != MISSING and letter.kind is not FaultKind.UNAVAILABLE
    if live is not None and live.number != spec.number and tried:
        marks = marking(marks, Mark(spec.number, letter.title, now, spec.asked_by))
    lifted = spec.lifted
    if lifted is None or hold is not None:
        return hold, marks
    # A way on lifts it when it came with a mark, as it does now: with the old one, or with this.
    if any(mark.at == lifted.at for mark in marks):
        return lifted, marks
    if tried:
        return replace(lifted, at=now), marks
    return lifted, marking(marks, Mark(spec.number, lifted.reason, lifted.at, lifted.by))


def mark_returning(deployment: Deployment, letter: Letter, now: datetime) -> Deployment:
    """The live version does badly: want the one before again, and stay there."""
    spec, status = deployment.spec, deployment.status
    live, previous = status.live, status.previous
    if live is None or previous is None:
        return deployment
    reason = f"return to {previous.number}: {live.number} {letter.detail}"
    generation, marks, secrets = spec.generation + 1, status.marks, previous.secrets
    if live.number == previous.number:  # its secrets are to blame, and not the version
        reason = f"return to the secrets before: {live.number} {letter.detail}"
    else:
        marks = marking(marks, Mark(live.number, letter.detail, now, PLATFORM))
    return replace(
        deployment,
        spec=replace(
            spec,
            generation=generation,
            revision=generation,
            number=previous.number,
            digest=previous.digest,
            asked_by=PLATFORM,
            asked_at=now,
            reason=reason,
            canary=None,
            returning=True,
            dials=replace(undisturbed(spec.dials), hold=Hold(PLATFORM, now, reason)),
            secrets=None if secrets is None else replace(secrets, revision=generation),
        ),
        status=replace(
            status,
            failure=Failure(spec.generation, live.number, letter, now),
            marks=marks,
            attempts=0,
            retry_at=None,
        ),
    )


def _remembering(remembered: tuple[Remembered, ...], live: Live) -> tuple[Remembered, ...]:
    """Return what is remembered with the secrets of what is live, of each version the last."""
    if live.secrets is None:
        return remembered
    others = (held for held in remembered if held.number != live.number)
    return (*others, Remembered(live.number, live.secrets))[-REMEMBERED:]


def mark_canary(deployment: Deployment, step: int, trial: Trial, now: datetime) -> Deployment:
    """A canary's share has reached a step; told twice, the first time counts."""
    status = deployment.status
    if status.canary is not None and status.canary.step == step:
        return deployment
    return replace(deployment, status=replace(status, canary=Progress(step, now, trial, now)))


def mark_looked(deployment: Deployment, trial: Trial, now: datetime) -> Deployment:
    """A canary's requests were counted."""
    progress = deployment.status.canary
    if progress is None:
        return deployment
    return replace(
        deployment, status=replace(deployment.status, canary=progress.looked(trial, now))
    )


def marking(marks: tuple[Mark, ...], new: Mark) -> tuple[Mark, ...]:
    """Return the marks with a new one, of one version the last, and only the newest."""
    return (*(held for held in marks if held.number != new.number), new)[-MARKS_KEPT:]


def mark_stuck(deployment: Deployment, until: datetime, now: datetime) -> Deployment:
    """A step failed that may be done another time: not before ``until``."""
    status = deployment.status
    since = stuck_since(deployment, now)
    status = replace(status, attempts=status.attempts + 1, retry_at=until, stuck_since=since)
    return replace(deployment, status=status)


def mark_going_on(deployment: Deployment) -> Deployment:
    """All that was due was done: what failed before that is forgotten."""
    status = replace(deployment.status, attempts=0, retry_at=None, stuck_since=None)
    return replace(deployment, status=status)


def stuck_since(deployment: Deployment, now: datetime) -> datetime:
    """Return since when steps fail that may be done another time; now, if they do not yet."""
    status = deployment.status
    return status.stuck_since if status.attempts and status.stuck_since is not None else now


def mark_crashed(deployment: Deployment, crash: str, now: datetime) -> Deployment:
    """Count a crash. What ran well for long starts to count anew."""
    status = deployment.status
    before = 0 if ran_well(deployment, now) else status.crashes
    status = replace(status, crashes=before + 1, crashed_at=now, crash=crash)
    return replace(deployment, status=replace(status, restart_at=None, resting=0))


def mark_resting(deployment: Deployment, count: int, until: datetime) -> Deployment:
    """So many of those that crash are not started again before a time."""
    status = replace(deployment.status, restart_at=until, resting=count)
    return replace(deployment, status=status)


def in_a_row(deployment: Deployment, started: datetime | None, now: datetime) -> bool:
    """Whether the end of an instance that began then is a crash in a row with those before.

    It is if the instance was started after the last of them. What runs beside one that crashes
    often ends of the same cause: that is one crash, however many ended.
    """
    status = deployment.status
    if status.crashed_at is None or not status.crashes or ran_well(deployment, now):
        return True
    return started is None or started >= status.crashed_at


def ran_well(deployment: Deployment, now: datetime) -> bool:
    """Whether its last crash is so long ago that it says nothing any more."""
    crashed_at = deployment.status.crashed_at
    return crashed_at is not None and now - crashed_at >= CALM


def mark_calm(deployment: Deployment) -> Deployment:
    """It ran well for long: its crashes are forgotten."""
    return replace(deployment, status=replace(deployment.status, crashes=0, restart_at=None))


def mark_available(
    deployment: Deployment, serving: int, wanted: int, failing: str | None, now: datetime
) -> Deployment:
    """State whether requests are answered by as many instances as wanted, and none crashes."""
    status = deployment.status
    truth, reason = Truth.FALSE, "InstancesMissing"
    message = f"{serving} of {wanted} instances accept requests."
    if status.crashes >= CRASH_LOOP:
        reason = "CrashLoop"
        message = f"{message} {status.crashes} crashes in a row; the last: {status.crash}."
    elif failing is not None:
        reason, message = "Unhealthy", f"{message} {failing}."
    elif serving >= wanted:
        truth, reason = Truth.TRUE, "Serving"
    generation = deployment.spec.generation
    statement = Condition(ConditionType.AVAILABLE, truth, reason, message, now, generation)
    status = replace(
        deployment.status,
        serving=serving,
        conditions=marked(deployment.status.conditions, statement),
    )
    return replace(deployment, status=status)


def mark_standby(deployment: Deployment, standby: Standby, now: datetime) -> Deployment:
    """It sleeps, or is being woken: nobody is served just now, and that is as it should be.

    How many instances its load asked for is forgotten: whoever wakes it needs one.
    """
    deployment = rescaled(deployment, None)
    if standby.waking_since is not None:
        reason, message = "Waking", "A request is waking it."
    elif standby.depth is Depth.FROZEN:
        reason, message = "Frozen", "No request came; its processes are frozen."
    else:
        reason, message = "Stopped", "No request came; no process is left of it."
    told = find(deployment.status.conditions, ConditionType.AWAKE)
    if told is not None and told.reason == _WAKE_FAILED and standby.waking_since is None:
        reason, message = told.reason, told.message  # true until the next one tries
    return _awake(deployment, Truth.FALSE, (reason, message), standby, now)


def mark_wake_failed(deployment: Deployment, letter: Letter, now: datetime) -> Deployment:
    """A request was to wake it, in vain."""
    told = (_WAKE_FAILED, letter.detail)
    return _awake(deployment, Truth.FALSE, told, deployment.status.standby, now)


def mark_awake(deployment: Deployment, now: datetime) -> Deployment:
    """A request woke it, and it came up: its crashes are forgotten."""
    after = _awake(deployment, Truth.TRUE, ("Woken", "It was woken."), None, now)
    return replace(after, status=replace(after.status, crashes=0, restart_at=None))


def _awake(
    deployment: Deployment,
    truth: Truth,
    told: tuple[str, str],
    standby: Standby | None,
    now: datetime,
) -> Deployment:
    reason, message = told
    generation = deployment.spec.generation
    statement = Condition(ConditionType.AWAKE, truth, reason, message, now, generation)
    conditions = marked(deployment.status.conditions, statement)
    status = replace(deployment.status, standby=standby, conditions=conditions)
    return replace(deployment, status=status)


def counted(deployment: Deployment, at: datetime, depth: Depth, seconds: float) -> Deployment:
    """Count a wake, once."""
    status = deployment.status
    if status.woken_at is not None and at <= status.woken_at:
        return deployment
    wakes = status.wakes.counting(depth, seconds)
    return replace(deployment, status=replace(status, wakes=wakes, woken_at=at))


def still_to_come(at: datetime | None, now: datetime) -> datetime | None:
    """Return a time that something waits for, unless there is none or it is over."""
    return at if at is not None and at > now else None


def _undisturbed(spec: Spec) -> Spec:
    """Return what is wanted once a change has ended: nothing is paused or aborted any more."""
    return replace(spec, dials=undisturbed(spec.dials), lifted=None)
