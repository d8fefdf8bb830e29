"""Mistakes of the planner: what is due, in which order, and when."""

from tests.crashes.bugs.bug import Bug

CANARY = "plan/canary.py"
DESIRED = "plan/desired.py"
FOLD = "plan/fold.py"
GROWING = "plan/growing.py"
INSTANCES = "plan/instances.py"
KEEPING = "plan/keeping.py"
LEAVING = "plan/leaving.py"
MARKING = "domain/marking.py"
RETURNING = "plan/returning.py"
ROLLOUT = "plan/rollout.py"
STANDBY = "plan/standby.py"

PLANS: tuple[Bug, ...] = (
    Bug(
        "admitted without a proof",
        GROWING,
        "    due += proving(ready, observed)\n",
        "",
    ),
    Bug(
        "admitted before all are there",
        GROWING,
        """    if rolling and up < wanted.count:
        return []
""",
        "",
    ),
    Bug(
        "a caller starts one of the version before",
        GROWING,
        '        due.append(Planned(Disarm(), "an instance is there"))\n',
        "        pass\n",
    ),
    Bug(
        "migrated before there is a database",
        GROWING,
        """    if wanted.database is not None and not observed.database:
        due.append(Planned(CreateDatabase(wanted.database), "it has none yet"))
    elif wanted.database is not None and wanted.login not in observed.logins:
        due.append(Planned(OpenLogin(wanted.database, wanted.login), why))
    if wanted.migrate and rolling:
        step = Migrate(wanted.digest, wanted.migrations)
        due.append(Planned(step, "this version has not migrated it yet"))
""",
        """    if wanted.migrate and rolling:
        step = Migrate(wanted.digest, wanted.migrations)
        due.append(Planned(step, "this version has not migrated it yet"))
    if wanted.database is not None and not observed.database:
        due.append(Planned(CreateDatabase(wanted.database), "it has none yet"))
    elif wanted.database is not None and wanted.login not in observed.logins:
        due.append(Planned(OpenLogin(wanted.database, wanted.login), why))
""",
    ),
    Bug(
        "started without a migration",
        GROWING,
        "if wanted.migrate and rolling:",
        "if False:",
    ),
    Bug(
        "a start that never ends is waited for",
        INSTANCES,
        "return instance.state is InstanceState.STARTING and late",
        "return False",
    ),
    Bug(
        "one that ended is not cleared",
        GROWING,
        "if i.state is InstanceState.ENDED or is_late(i, wanted, now)",
        "if is_late(i, wanted, now)",
    ),
    Bug(
        "the old are stopped",
        LEAVING,
        """    why = "another version is to serve"
    return [
        Planned(Drain(i.name), why)""",
        """    why = "another version is to serve"
    return [
        Planned(Stop(i.name), why)""",
    ),
    Bug(
        "scaled down by a stop",
        LEAVING,
        'Planned(Drain(i.name) if i.state in TAKING else Stop(i.name), "fewer are wanted")',
        'Planned(Stop(i.name), "fewer are wanted")',
    ),
    Bug(
        "nobody may finish",
        LEAVING,
        "    if now >= until:\n",
        "    if True:\n",
    ),
    Bug(
        "a canary's instance is stopped",
        LEAVING,
        '            due.append(Planned(Drain(instance.name), "it is not wanted any more"))\n',
        '            due.append(Planned(Stop(instance.name), "it is not wanted any more"))\n',
    ),
    Bug(
        "counted with the instances of the version before",
        ROLLOUT,
        """    percent = canary.share(deployment, wanted, observed, now)
    arrived = serving(own) >= wanted.count
""",
        """    percent = canary.share(deployment, wanted, observed, now)
    arrived = serving(observed.view.instances) >= wanted.count
""",
    ),
    Bug(
        "success is told before the route has moved",
        ROLLOUT,
        "routes = [] if coming else routing(",
        "routes = [] if _moves(due) else routing(",
    ),
    Bug(
        "a split stays in the route",
        ROLLOUT,
        "    split = None if arrived else canary.present(wanted, observed)\n",
        "    split = canary.present(wanted, observed)\n",
    ),
    Bug(
        "nobody looks after what serves meanwhile",
        ROLLOUT,
        "    due, looks = ([], []) if arrived else _meanwhile(deployment, wanted, observed, now)\n",
        "    due, looks = [], []\n",
    ),
    Bug(
        "an abort is not heard",
        ROLLOUT,
        "    if by is not None:\n",
        "    if False:\n",
    ),
    Bug(
        "the old are never cleared",
        ROLLOUT,
        "        due += cleanup\n",
        "",
    ),
    Bug(
        "a change that failed is tried for ever",
        ROLLOUT,
        "if rolling and status.failure is not None and not deployment.busy:",
        "if False:",
    ),
    Bug(
        "crashes are never forgotten",
        ROLLOUT,
        """    if deployment.status.crashes and deployment.status.crashed_at is not None:
        looks.append(deployment.status.crashed_at + CALM)
""",
        "",
    ),
    Bug(
        "a database is left behind",
        ROLLOUT,
        '    due.append(Planned(DropDatabase(deployment.database), "its data goes with it"))\n',
        "",
    ),
    Bug(
        "sockets and logs are left behind",
        ROLLOUT,
        '    due.append(Planned(Forget(deployment.id), "nothing runs any more"))\n',
        "",
    ),
    Bug(
        "a URL is left behind",
        ROLLOUT,
        '        due.append(Planned(Withdraw(deployment.hash), "it is to be removed"))\n',
        "        pass\n",
    ),
    Bug(
        "data goes while instances run",
        ROLLOUT,
        """    if running:
        return Plan(tuple(due))
""",
        """    if running:
        due.insert(0, Planned(DropDatabase(deployment.database), "it is to be removed"))
        return Plan(tuple(due))
""",
    ),
    Bug(
        "a canary begins anew",
        CANARY,
        "    if status.canary is None:\n",
        "    if status.canary is None or observed.route is None or observed.route.split is None:\n",
    ),
    Bug(
        "a canary does not wait",
        CANARY,
        "    over = now >= held_until(deployment, canary) and not",
        "    over = not",
    ),
    Bug(
        "a pause is not heard",
        CANARY,
        "    stays = deployment.spec.dials.paused\n",
        "    stays = False\n",
    ),
    Bug(
        "a canary that is paused begins",
        CANARY,
        "        return 0 if stays else canary.steps[0]\n",
        "        return canary.steps[0]\n",
    ),
    Bug(
        "a canary is let in after its first step",
        CANARY,
        "    step = status.canary.step + (over and not stays)\n",
        "    step = status.canary.step + len(canary.steps) * (over and not stays)\n",
    ),
    Bug(
        "a canary does not wait with its last step",
        CANARY,
        "    over = now >= held_until(deployment, canary) and",
        "    over = (status.canary.step or now >= held_until(deployment, canary)) and",
    ),
    Bug(
        "a canary is let in when the old ones end",
        CANARY,
        "    crashes = status.crashes >= CRASH_LOOP and status.resting >= before.count\n",
        "    crashes = True\n",
    ),
    Bug(
        "failures of a canary are not seen",
        CANARY,
        "    if (bad := failed(canary, trial, base)) is not None:\n",
        "    if (bad := None) is not None:\n",
    ),
    Bug(
        "a return from where it is held",
        RETURNING,
        " or deployment.spec.dials.hold is not None:",
        ":",
    ),
    Bug(
        "a return from what is old",
        RETURNING,
        "now - live.since >= YOUNG",
        "False",
    ),
    Bug(
        "another password makes it young",
        RETURNING,
        "    if previous.login != live.login:",
        "    if False:",
    ),
    Bug(
        "a return that failed is tried again",
        MARKING,
        "        live = replace(live, returned=True)",
        "        live = replace(live)",
    ),
    Bug(
        "a return to what could not come back",
        RETURNING,
        "    if any(mark.number == previous.number for mark in deployment.status.marks):\n",
        "    if False:\n",
    ),
    Bug(
        "held for a return that failed",
        MARKING,
        'reason=f"failed to {spec.reason}"',
        "reason=spec.reason",
    ),
    Bug(
        "a version is marked for the troubles of the platform",
        MARKING,
        " and letter.kind is not FaultKind.UNAVAILABLE",
        "",
    ),
    Bug(
        "no return from what is sick",
        RETURNING,
        "    if serving and len(sick) == len(serving):\n",
        "    if False:\n",
    ),
    Bug(
        "it is live again and again",
        FOLD,
        """        if after.busy:
            news""",
        """        if True:
            news""",
    ),
    Bug(
        "a failure is told twice",
        FOLD,
        "(EventKind.FAILED, message, fault.letter)]",
        "(EventKind.FAILED, message, fault.letter)] * 2",
    ),
    Bug(
        "a migration is not written down",
        FOLD,
        "            return _migrated(deployment, step), []\n",
        "            return deployment, []\n",
    ),
    Bug(
        "files of migrations are not written down",
        FOLD,
        "        applied=(*status.applied, *fresh),\n",
        "",
    ),
    Bug(
        "no pause between two tries",
        FOLD,
        "mark_stuck(deployment, now + retry_delay(status.attempts, deployment.id), now)",
        "mark_stuck(deployment, now, now)",
    ),
    Bug(
        "patience counts from the wish",
        FOLD,
        "now - stuck_since(deployment, now) >= PATIENCE",
        "now - deployment.spec.asked_at >= PATIENCE",
    ),
    Bug(
        "trouble that outlasts a change is not told",
        FOLD,
        "    return _degraded(after) if over and awake and since_then else []\n",
        "    return []\n",
    ),
    Bug(
        "a crash that nobody counts",
        FOLD,
        "            after = _crashed(deployment, ending, started, now)\n",
        "            after = deployment\n",
    ),
    Bug(
        "what ends together is as many crashes",
        FOLD,
        "    if not in_a_row(deployment, started, now):\n",
        "    if False:\n",
    ),
    Bug(
        "what crashes again and again is started at once",
        ROLLOUT,
        "    resting = status.resting if until is not None else 0\n",
        "    resting = 0\n",
    ),
    Bug(
        "one that crashes holds all others up",
        ROLLOUT,
        "    resting = status.resting if until is not None else 0\n",
        "    resting = wanted.count if until is not None else 0\n",
    ),
    Bug(
        "frozen where nobody can wait",
        STANDBY,
        "        due += publishing(wanted, observed, (observed.view.held,), wanted.revision)\n",
        "",
    ),
    Bug(
        "a sleeper that nobody can wake",
        STANDBY,
        "        due.append(Planned(Arm(wanted.revision), why))\n",
        "",
    ),
    Bug(
        "those who wait in vain wait for ever",
        STANDBY,
        'return [*due, Planned(Refuse(letter), "they have waited in vain")]',
        "return due",
    ),
    Bug(
        "one that was woken meanwhile is stopped",
        STANDBY,
        "return _still([Planned(StopFrozen(i.name), why) for i in frozen], standby)",
        "return _still([Planned(Stop(i.name), why) for i in frozen], standby)",
    ),
    Bug(
        "what runs is armed at a restart",
        STANDBY,
        "return stopped and settled and current and not view.instances and view.armed is None",
        "return stopped and settled and current",
    ),
    Bug(
        "what serves is not kept runnable",
        KEEPING,
        "digests |= {held.digest for held in (status.live, status.previous) if held is not None}",
        "digests.discard(deployment.spec.digest)",
    ),
    Bug(
        "more than its policy allows",
        DESIRED,
        "min(max(scale, low), high)",
        "max(scale, low)",
    ),
    Bug(
        "the load is not heard",
        DESIRED,
        "count=low if scale is None else",
        "count=low if True else",
    ),
    Bug(
        "an old migration tool is asked about later files",
        DESIRED,
        "return not seal.migrations or not set(seal.migrations) <= set(status.applied)",
        "return True",
    ),
)
