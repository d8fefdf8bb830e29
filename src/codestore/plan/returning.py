"""The way back without being asked: a young version that does badly gives way to the one before.

It happens once: what came back never gives way again, nor does what could not give way, and the
environment is held there.
"""

from datetime import datetime, timedelta

from codestore.domain.deployments import Deployment
from codestore.domain.faults import FaultKind, Letter
from codestore.domain.instances import InstanceState
from codestore.domain.marking import CRASH_LOOP
from codestore.plan.desired import Wanted
from codestore.plan.instances import of_revision
from codestore.plan.model import Observed

YOUNG = timedelta(minutes=20)


def returning(
    deployment: Deployment, wanted: Wanted, observed: Observed, now: datetime
) -> Letter | None:
    """Say why the version before is to come back, if it is."""
    live, previous = deployment.status.live, deployment.status.previous
    if not wanted.returns or deployment.busy or deployment.spec.dials.hold is not None:
        return None
    if live is None or previous is None or live.returned or now - live.since >= YOUNG:
        return None
    if previous.login != live.login:  # it is as old as before, and has another password
        return None
    if any(mark.number == previous.number for mark in deployment.status.marks):
        return None
    detail = _ailment(deployment, wanted, observed)
    if detail is None:
        return None
    title = f"{live.number} does badly"
    hint = "Mend it and push again; cs unhold lets the next promotion in."
    return Letter(FaultKind.FAILED, "returned", title, detail, hint)


def _ailment(deployment: Deployment, wanted: Wanted, observed: Observed) -> str | None:
    """Say what is wrong with the live version as a whole; one sick instance is not that."""
    status = deployment.status
    if status.crashes >= CRASH_LOOP:
        return f"failed {status.crashes} times in a row ({status.crash})"
    own, _ = of_revision(observed.view, wanted.revision)
    serving = [i for i in own if i.state is InstanceState.SERVING]
    sick = [i.failing for i in serving if i.failing is not None]
    if serving and len(sick) == len(serving):
        return f"is not well ({sick[0]})"
    return None
