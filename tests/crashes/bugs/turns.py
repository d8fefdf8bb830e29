"""Mistakes in a turn: what is done and written in which order, and how a process starts."""

from tests.crashes.bugs.bug import Bug

BURYING = "reconcile/burying.py"
CYCLE = "reconcile/cycle.py"
EXECUTOR = "reconcile/executor.py"
HOUSEKEEPING = "reconcile/housekeeping.py"
RESTORING = "reconcile/restoring.py"

TURNS: tuple[Bug, ...] = (
    Bug(
        "an abort outlives its change",
        CYCLE,
        "        dials = undisturbed(dials)\n",
        "        pass\n",
    ),
    Bug(
        "recorded before it is done",
        CYCLE,
        """    outcomes, untold = await execute(plan.due, subject, wanted, doors)
    return await record(subject, plan, outcomes, untold, doors)
""",
        """    from codestore.plan.outcomes import Done
    done = [Done(due.step, 0.0) for due in plan.due]
    turn = await record(subject, plan, list(done), [], doors)
    await execute(plan.due, subject, wanted, doors)
    return turn
""",
    ),
    Bug(
        "told in a second transaction",
        CYCLE,
        "        await records.emit(*untold, *told)",
        """    async with doors.store.begin() as records:
        await records.emit(*untold, *told)""",
    ),
    Bug(
        "a newer wish is overwritten by a turn",
        CYCLE,
        "asked_anew = current.spec.generation != subject.deployment.spec.generation",
        "asked_anew = False",
    ),
    Bug(
        "the verdict on an old wish is told with the new one",
        CYCLE,
        "news = [each for each in news if each[0] not in _OF_THE_WISH]",
        "pass",
    ),
    Bug(
        "a sleep is told of that is not written down",
        CYCLE,
        "    EventKind.STANDBY,\n",
        "",
    ),
    Bug(
        "a dial is overwritten by a turn",
        CYCLE,
        "after = _with_turned(subject.deployment, current, after)",
        "pass",
    ),
    Bug(
        "a wake is forgotten when people ask anew",
        CYCLE,
        "        woken_at=after.status.woken_at,\n",
        "",
    ),
    Bug(
        "nobody looks again",
        CYCLE,
        "return Turn(again=bool(plan.due) or changed, at=plan.next_look)",
        "return Turn(again=bool(plan.due) or changed)",
    ),
    Bug(
        "an instance that a caller started behind a removal stays",
        CYCLE,
        "        await doors.driver.remove(id_)\n",
        "        pass\n",
    ),
    Bug(
        "a version is public before it is",
        CYCLE,
        "if after.kind is not Kind.DEMO or live",
        "if live",
    ),
    Bug(
        "a public version is not told to be",
        CYCLE,
        "        await _publish_version(records, subject.version, after, now)\n",
        "",
    ),
    Bug(
        "it goes on after a failure",
        EXECUTOR,
        """        if any(isinstance(outcome, Failed) for outcome in ended):
            break
""",
        "",
    ),
    Bug(
        "what may pass is final",
        EXECUTOR,
        "final = fault.letter.kind is not FaultKind.UNAVAILABLE",
        "final = True",
    ),
    Bug(
        "a migration that failed is taken for done",
        EXECUTOR,
        "    if not result.succeeded:\n",
        "    if False:\n",
    ),
    Bug(
        "the code of the wanted version runs as the old one",
        EXECUTOR,
        """seal = subject.of(revision).seal
    artifact""",
        """seal = subject.version.seal
    artifact""",
    ),
    Bug(
        "a wake is not measured as traffic",
        CYCLE,
        "doors.traffic.touch(after.hash)  #",
        "pass  #",
    ),
    Bug(
        "a restart takes a canary's share away",
        RESTORING,
        "    split = remembered(subject.deployment, wanted, view)\n",
        "    split = None\n",
    ),
    Bug(
        "sleepers are forgotten at a restart",
        RESTORING,
        "    await _arm_sleepers(subjects, doors)\n",
        "",
    ),
    Bug(
        "nobody is told of the end",
        BURYING,
        "await records.emit(*untold, gone)",
        "_ = gone",
    ),
    Bug(
        "a service outlives its last place",
        BURYING,
        "if left == {deployment.id}:",
        "if not left:",
    ),
    Bug(
        "a service goes with its first place",
        BURYING,
        "if left == {deployment.id}:",
        "if left:",
    ),
    Bug(
        "bundles of versions that run nowhere are lost",
        HOUSEKEEPING,
        "await doors.builder.collect([version.digest for version in versions], runnable)",
        "await doors.builder.collect(runnable, runnable)",
    ),
)
