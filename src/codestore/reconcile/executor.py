"""Doing a plan: one ``match`` over the steps, one door for each, stopping at the first failure."""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import assert_never

from codestore.domain.environments import POLICIES, DatabaseLimits
from codestore.domain.events import Event, EventKind, event_of
from codestore.domain.faults import Fault, FaultKind, failed
from codestore.domain.instances import Workload
from codestore.domain.manifest import Run, RunKind
from codestore.domain.secret import Secret
from codestore.plan.desired import Wanted, routed
from codestore.plan.fold import gave_up, with_lines
from codestore.plan.model import Planned
from codestore.plan.outcomes import Done, Failed, Outcome
from codestore.plan.standby_steps import (
    Arm,
    Disarm,
    Freeze,
    Hold,
    Refuse,
    StandbyStep,
    StopFrozen,
    Thaw,
)
from codestore.plan.steps import (
    Admit,
    CloseLogins,
    CreateDatabase,
    Drain,
    DropDatabase,
    Forget,
    GiveUp,
    Migrate,
    OpenLogin,
    Prepare,
    Prove,
    Publish,
    Start,
    Step,
    Stop,
    Withdraw,
)
from codestore.reconcile.doors import Doors
from codestore.reconcile.letting_in import publish
from codestore.reconcile.subject import Subject, database_password, workload

MIGRATION_TIMEOUT = 600.0  # seconds
TAIL = 10  # log lines that go into a fault
LOOKED_AT = 1000  # log lines of the whole deployment in which they are looked for
EACH_ITS_OWN = (Start, Prove, Admit, Drain, Stop)
"""Steps that concern one instance only: several of a kind need not wait for one another."""
AT_ONCE = 0.1
"""Seconds within which a step is told of when it is over, not before: nobody would see it run
(Nielsen, Usability Engineering, 1993), and each telling has everybody who listens read anew."""


async def execute(
    due: Sequence[Planned], subject: Subject, wanted: Wanted, doors: Doors
) -> tuple[list[Outcome], list[Event]]:
    """Do what is due, in order; neighbours of one kind together, each for another instance.

    A fault ends the turn; whether it is final is the fault's kind. Returns the outcomes, and the
    events that are not told yet: whoever writes the outcomes down tells them in the same breath.
    """
    outcomes: list[Outcome] = []
    untold: list[Event] = []
    for group in _together(due):
        untold += [
            _started(subject, doors, step) for step in group if not isinstance(step, StandbyStep)
        ]
        ended = await _all(
            [_attempt(step, subject, wanted, doors) for step in group], untold, doors
        )
        outcomes += ended
        untold += [_ended(subject, doors, outcome) for outcome in ended if _is_heard(outcome)]
        if any(isinstance(outcome, Failed) for outcome in ended):
            break
    return outcomes, untold


def _together(due: Sequence[Planned]) -> list[list[Step]]:
    """Group neighbours that may be done at the same time."""
    groups: list[list[Step]] = []
    for planned in due:
        step = planned.step
        if groups and isinstance(step, EACH_ITS_OWN) and type(groups[-1][-1]) is type(step):
            groups[-1].append(step)
        else:
            groups.append([step])
    return groups


async def _all(
    attempts: Sequence[Coroutine[None, None, Outcome]], untold: list[Event], doors: Doors
) -> list[Outcome]:
    """Wait for all of them; if that takes a while, people are told meanwhile.

    A defect in one cancels the others, and is raised as it is.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(attempt) for attempt in attempts]
            _, slow = await asyncio.wait(tasks, timeout=AT_ONCE)
            if slow and untold:
                with suppress(Fault):  # no step ends for that: they are told with what comes next
                    await _tell(untold, doors)
                    untold.clear()
    except BaseExceptionGroup as defects:
        raise defects.exceptions[0] from None
    return [task.result() for task in tasks]


async def _attempt(step: Step, subject: Subject, wanted: Wanted, doors: Doors) -> Outcome:
    started = doors.clock.now()
    try:
        await _perform(step, subject, wanted, doors)
    except Fault as fault:
        took = (doors.clock.now() - started).total_seconds()
        final = fault.letter.kind is not FaultKind.UNAVAILABLE
        return Failed(step, fault, final, took)
    return Done(step, (doors.clock.now() - started).total_seconds())


async def _perform(  # noqa: C901 - one arm per step, the checker proves that none is missing
    step: Step, subject: Subject, wanted: Wanted, doors: Doors
) -> None:
    id_ = subject.deployment.id
    match step:
        case Prepare(digest):
            await doors.builder.prepare(subject.sealed(digest))
        case CreateDatabase(name):
            await doors.databases.create(name, *_login(subject, doors, wanted.login))
        case OpenLogin(name, login):
            await doors.databases.open_login(name, *_login(subject, doors, login))
        case CloseLogins(name, login):
            await doors.databases.close_logins(name, login)
        case Migrate():
            await _migrate(subject, doors)
        case Start(revision, ordinal):
            await doors.driver.start(await workload_of(subject, revision, doors), ordinal)
        case Prove(instance, revision):
            await _prove(subject, instance, revision, doors)
        case Admit(instance):
            await doors.driver.admit(id_, instance)
        case Publish(endpoints, revision, unavailable, split):
            route = routed(wanted.route, endpoints, revision, unavailable, split)
            await publish(route, subject.deployment, doors)
        case Drain(instance, _):
            await doors.driver.drain(id_, instance)
        case Stop(instance, _):
            await doors.driver.stop(id_, instance)
        case GiveUp():
            raise gave_up(step, await _tail(id_, step.instance, doors))
        case Withdraw(hash_):
            await doors.gateway.withdraw(hash_)
        case Forget():
            await doors.driver.remove(id_)
        case Hold() | Freeze() | Thaw() | StopFrozen() | Arm() | Disarm() | Refuse():
            await _rest(step, subject, wanted, doors)
        case DropDatabase(name):
            await doors.databases.drop(name)
        case _:
            assert_never(step)


def _login(subject: Subject, doors: Doors, number: int) -> tuple[Secret, int, DatabaseLimits]:
    """Return the password of a login, its number, and what may be had by it."""
    deployment = subject.deployment
    password = database_password(deployment, doors.vault, number)
    return password, number, POLICIES[deployment.kind].database


async def _rest(step: StandbyStep, subject: Subject, wanted: Wanted, doors: Doors) -> None:
    id_ = subject.deployment.id
    match step:
        case Hold(instance):
            await doors.standby.hold(id_, instance)
        case Freeze(instance):
            if not await doors.standby.freeze(id_, instance, wanted.queue):
                doors.traffic.touch(subject.deployment.hash)
        case Thaw(instance):
            await doors.standby.thaw(id_, instance)
        case StopFrozen(instance):
            await doors.standby.stop_frozen(
                await workload_of(subject, subject.deployment.spec.revision, doors), instance
            )
        case Arm():
            await doors.standby.arm(
                await workload_of(subject, subject.deployment.spec.revision, doors), wanted.queue
            )
        case Disarm():
            await doors.standby.disarm(id_)
        case Refuse(letter):
            await doors.standby.refuse(id_, letter)
        case _:
            assert_never(step)


async def workload_of(
    subject: Subject, revision: int, doors: Doors, run: Run | None = None
) -> Workload:
    """Describe what to run of a revision, whose artifact is prepared unless it is."""
    seal = subject.of(revision).seal
    artifact = await doors.builder.prepared(seal) or await doors.builder.prepare(seal)
    return workload(subject, revision, artifact, doors, run)


async def _migrate(subject: Subject, doors: Doors) -> None:
    manifest = subject.version.seal.manifest
    revision = subject.deployment.spec.revision
    run = Run(RunKind.COMMAND, manifest.migrate)
    name = f"migrate-{revision}"
    work = await workload_of(subject, revision, doors, run)
    result = await doors.tasks.run(work, name, MIGRATION_TIMEOUT)
    if not result.succeeded:
        detail = f"{' '.join(manifest.migrate)}: {result.ending}."
        raise failed(
            "migration_failed",
            "The migration failed",
            with_lines(detail, result.lines[-TAIL:]),
            "Mend the migration and push again; the version before goes on serving.",
        )


async def _prove(subject: Subject, instance: str, revision: int, doors: Doors) -> None:
    id_ = subject.deployment.id
    health = subject.of(revision).seal.manifest.health
    try:
        await doors.driver.prove(id_, instance, health)
    except Fault as fault:
        letter = fault.letter
        lines = await _tail(id_, instance, doors)
        raise failed(
            letter.code, letter.title, with_lines(letter.detail, lines), letter.hint
        ) from fault


async def _tail(id_: str, instance: str, doors: Doors) -> list[str]:
    """Return the last lines of one instance: not those of the version that goes on serving."""
    lines = await doors.logs.tail(id_, LOOKED_AT)
    return [line.text for line in lines if line.source == instance][-TAIL:]


def _is_heard(outcome: Outcome) -> bool:
    """Whether people hear of it: the steps of a sleep that went well they hear of as one."""
    return isinstance(outcome, Failed) or not isinstance(outcome.step, StandbyStep)


def _started(subject: Subject, doors: Doors, step: Step) -> Event:
    event = event_of(subject.deployment, EventKind.STEP_STARTED, step.describe(), doors.clock.now())
    return replace(event, step=step.key)


def _ended(subject: Subject, doors: Doors, outcome: Outcome) -> Event:
    kind, letter = EventKind.STEP_DONE, None
    if isinstance(outcome, Failed):
        kind, letter = EventKind.STEP_FAILED, outcome.fault.letter
    step = outcome.step
    event = event_of(subject.deployment, kind, step.describe(), doors.clock.now(), letter)
    return replace(event, step=step.key, duration=outcome.took)


async def _tell(events: Sequence[Event], doors: Doors) -> None:
    async with doors.store.begin() as records:
        await records.emit(*events)
