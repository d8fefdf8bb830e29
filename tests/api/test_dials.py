"""What is shown of a canary, of the scale and of limits; without a world."""

from dataclasses import replace
from datetime import timedelta

import pytest

from codestore.actions.queries import Seen
from codestore.api import views
from codestore.api.dials import limits_view, scale_view
from codestore.domain.canary import Canary, Progress
from codestore.domain.deployments import Deployment, Wish, doomed, retargeted
from codestore.domain.environments import POLICIES, Environment, Kind
from codestore.domain.marking import mark_live
from codestore.domain.overrides import Limited, Override
from codestore.domain.services import Service
from codestore.wire import DeploymentView
from codestore.wire.dials import ScaleView
from tests.api.test_standby import MANIFEST, NOW, live

LONG = Canary((5, 25, 100), 600.0, 0.5)


def views_of(deployment: Deployment, override: Override | None = None) -> DeploymentView:
    kind = deployment.kind
    manifest = replace(MANIFEST, overrides={kind: override} if override else {})
    service = Service("svc-1", "blog", "usr-1", "org-1", NOW)
    seen = Seen(deployment, service, Environment("env-1", kind, kind), None, None, manifest)
    return views.deployment_view(seen, str)


def rolling(canary: Canary | None = LONG, reached: int | None = None) -> Deployment:
    wish = Wish("ada", NOW, "promote", canary=canary)
    held = retargeted(live(Kind.PRODUCTION), "0.0.2", "d2", wish)
    progress = None if reached is None else Progress(reached, NOW)
    return replace(held, status=replace(held.status, canary=progress))


@pytest.mark.parametrize(
    ("reached", "percent", "ahead", "at"),
    [(None, 0, 5, None), (0, 5, 25, 600), (1, 25, 100, 600)],
)
def test_each_step_tells_the_next_one(
    reached: int | None, percent: int, ahead: int | None, at: float | None
) -> None:
    shown = views_of(rolling(reached=reached)).canary
    assert shown is not None
    assert (shown.percent, shown.next_percent) == (percent, ahead)
    assert shown.next_at == (None if at is None else NOW + timedelta(seconds=at))


def test_what_is_over_is_no_canary() -> None:
    assert views_of(rolling(None)).canary is None
    assert views_of(mark_live(rolling(reached=1), NOW)).canary is None
    assert views_of(doomed(rolling(reached=1), Wish("ada", NOW, "remove"))).canary is None


@pytest.mark.parametrize(
    ("scale", "override", "expected"),
    [
        (None, Override(), (2, 2, 8)),
        (5, Override(), (5, 2, 8)),
        (1, Override(), (2, 2, 8)),
        (20, Override(), (8, 2, 8)),
        (20, Override(max_instances=3), (3, 2, 3)),
        (None, Override(min_instances=4), (4, 4, 8)),
    ],
)
def test_the_load_asks_within_what_this_deployment_may_have(
    scale: int | None, override: Override, expected: tuple[int, int, int]
) -> None:
    assert scale_view(scale, POLICIES[Kind.PRODUCTION], override) == ScaleView(*expected)


def test_limits_are_of_policy_and_manifest() -> None:
    mine = Override(limits=Limited(rate=10, memory=2**26))
    told = limits_view(POLICIES[Kind.DEMO], mine)
    assert (told.rate, told.memory, told.max_requests, told.cpu) == (10, 2**26, 2000, 1.0)
    shown = views_of(live(Kind.PRODUCTION), Override(limits=Limited(cpu=0.5)))
    assert (shown.limits.cpu, shown.limits.rate) == (0.5, None)
