"""More instances: started with all they need before, proved in private, admitted; never lost."""

from datetime import datetime

from codestore.domain.faults import FaultKind, Letter
from codestore.domain.instances import Instance, InstanceState
from codestore.plan.desired import Wanted
from codestore.plan.instances import COMING, is_late, staying
from codestore.plan.model import Observed, Planned
from codestore.plan.standby_steps import Disarm, Thaw
from codestore.plan.steps import (
    Admit,
    CreateDatabase,
    GiveUp,
    Migrate,
    OpenLogin,
    Prepare,
    Prove,
    Start,
    Stop,
)


def growing(
    wanted: Wanted, observed: Observed, own: list[Instance], *, rolling: bool, resting: int = 0
) -> list[Planned]:
    """Start what is missing, with everything it needs before it; those that rest come later."""
    missing = wanted.count - len(staying(own)) if rolling else _missing(own, wanted)
    missing -= resting
    if missing <= 0:
        return []
    why = "a new version is wanted" if rolling else "an instance is missing"
    due: list[Planned] = []
    if rolling or not observed.artifact:
        due.append(Planned(Prepare(wanted.digest), why))
    if wanted.database is not None and not observed.database:
        due.append(Planned(CreateDatabase(wanted.database), "it has none yet"))
    elif wanted.database is not None and wanted.login not in observed.logins:
        due.append(Planned(OpenLogin(wanted.database, wanted.login), why))
    if wanted.migrate and rolling:
        step = Migrate(wanted.digest, wanted.migrations)
        due.append(Planned(step, "this version has not migrated it yet"))
    taken = {i.ordinal for i in own}
    free = [n for n in range(wanted.count + len(taken)) if n not in taken]
    return due + [Planned(Start(wanted.revision, n), why) for n in free[:missing]]


def _missing(own: list[Instance], wanted: Wanted) -> int:
    """Return how many are to be started; in place of sick ones, one after the other.

    What ails all of them is seldom cured by a new start, and nobody is to be without any: a sick
    one leaves when another serves in its place. Until it has left, no further one is started: if
    this process ends again and again just before that, they must not become more and more.
    """
    here = staying(own)
    missing = max(0, wanted.count - len(here))
    well = [i for i in here if i.failing is None]
    coming = any(i.state in COMING for i in well)
    replacing = len(well) < len(here) <= wanted.count and not coming
    return min(wanted.count - len(well), missing + replacing)


def settling(
    own: list[Instance], wanted: Wanted, observed: Observed, *, rolling: bool
) -> list[Planned]:
    """Bring instances that are ready into service.

    In a rollout nobody is admitted before all have proved themselves: a bad version never gets
    a request, not even from its luckiest instance.
    """
    ready = [i for i in own if i.state is InstanceState.READY]
    up = len(ready) + sum(i.state is InstanceState.SERVING for i in own)
    if rolling and up < wanted.count:
        return []
    due = [Planned(Thaw(i.name), "it is wanted") for i in own if i.state is InstanceState.FROZEN]
    due += proving(ready, observed)
    if observed.view.armed is not None and up:  # no caller is to start another one of its own
        due.append(Planned(Disarm(), "an instance is there"))
    due += [Planned(Admit(i.name), "it works") for i in ready]
    return due


def proving(ready: list[Instance], observed: Observed) -> list[Planned]:
    """Ask those for whom no request has been led to them yet: a canary proved itself before."""
    route = observed.route
    split = route.split if route is not None else None
    proved = {each.address for each in split.endpoints} if split is not None else set()
    return [
        Planned(Prove(i.name, i.revision), "it says that it is ready")
        for i in ready
        if i.private is None or i.private not in proved
    ]


def clearing(own: list[Instance], wanted: Wanted, now: datetime) -> list[Planned]:
    """Clear instances of the live version that ended by themselves, or never came up."""
    late = f"it was not ready within {wanted.start_timeout:g} s"
    endings = [
        (i, late if is_late(i, wanted, now) else None if i.dismissed else i.ending)
        for i in own
        if i.state is InstanceState.ENDED or is_late(i, wanted, now)
    ]
    return [
        Planned(Stop(i.name, ending, None if ending is None else i.started), "it does not run")
        for i, ending in endings
    ]


def lost(
    own: list[Instance], wanted: Wanted, now: datetime, *, asked: bool = False
) -> GiveUp | None:
    """Say why the new revision cannot become live, if that is so.

    ``asked``: as a canary, it has been asked by users already.
    """
    for instance in own:
        if instance.state is InstanceState.ENDED:
            when = "as a canary" if asked else "before it was ready"
            detail = f"{instance.name} ended {when}: {instance.ending}."
            return GiveUp(_no_start("start_failed", detail, asked=asked), instance.name)
        if is_late(instance, wanted, now):
            detail = f"{instance.name} was not ready within {wanted.start_timeout:g} s."
            return GiveUp(_no_start("start_timeout", detail), instance.name)
    return None


def _no_start(code: str, detail: str, *, asked: bool = False) -> Letter:
    title = "The canary ended" if asked else "The new version does not start"
    hint = "Mend it and push again; cs logs shows all that it printed."
    return Letter(FaultKind.FAILED, code, title, detail, hint)
