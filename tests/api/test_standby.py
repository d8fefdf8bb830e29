"""What is told of a deployment that sleeps, and of its wakes."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from codestore.actions.queries import Seen
from codestore.api import views
from codestore.domain.deployments import Deployment, Spec, Wish, doomed, retargeted
from codestore.domain.environments import POLICIES, Environment, Kind
from codestore.domain.faults import failed
from codestore.domain.manifest import Manifest, Run, RunKind
from codestore.domain.marking import counted, mark_available, mark_failed, mark_live, mark_standby
from codestore.domain.overrides import Override
from codestore.domain.services import Service
from codestore.domain.standby import BOUNDS, Depth, Standby
from codestore.wire import DeploymentView
from tests.api.stage import Stage

NOW = datetime.fromisoformat("2026-03-01T12:30:15+00:00")
SOON = NOW + timedelta(minutes=5)
MANIFEST = Manifest("blog", Run(RunKind.ASGI, ("app:app",)))


def live(kind: Kind = Kind.PRIVATE) -> Deployment:
    spec = Spec(1, 1, "0.0.1", "d1", "ada", NOW, "create")
    born = Deployment("dep-1", "0" * 32, "svc-1", "env-1", kind, None, "blog", NOW, spec)
    return mark_available(mark_live(born, NOW), 1, 1, None, NOW)


def view(deployment: Deployment, manifest: Manifest | None = MANIFEST) -> DeploymentView:
    kind = deployment.kind
    service = Service("svc-1", "blog", "usr-1", "org-1", NOW)
    seen = Seen(deployment, service, Environment("env-1", kind, kind), None, None, manifest)
    return views.deployment_view(seen, lambda hash_: f"http://platform/{hash_}")


async def until(
    web: httpx.AsyncClient, name: str, ready: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """Look at a service's private deployment until it is as it should be."""
    async with asyncio.timeout(10):
        while True:
            answer = (await web.get(f"/api/services/{name}")).json()
            if ready(private := answer["environments"]["private"]):
                return private
            await asyncio.sleep(0.01)


async def test_a_deployment_that_nobody_calls_sleeps_and_says_so_until_it_is_woken(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    overrides = {Kind.PRIVATE: Override(standby=0.05, stop=600)}
    stage.world.builder.manifest = replace(MANIFEST, overrides=overrides)
    await stage.create(web, "blog")
    asleep = await until(web, "blog", lambda held: held["state"] == "standby")
    assert (asleep["standby_after"], asleep["stop_after"]) == (0.05, 600)
    assert asleep["reason"] == "No request came; its processes are frozen."
    assert asleep["standby"]["depth"] == "frozen"
    assert asleep["standby"]["idle_since"] <= asleep["standby"]["since"] <= asleep["since"]
    stage.world.driver.occupied.add(asleep["id"])  # it stays awake
    stage.world.driver.call(asleep["id"])
    awake = await until(web, "blog", lambda held: held["state"] == "ready")
    assert (awake["standby"], awake["reason"]) == (None, "It was woken.")
    assert awake["since"] > asleep["since"]
    kinds = [held["kind"] for held in (await web.get("/api/events?service=blog")).json()["items"]]
    assert "standby" in kinds


def test_wakes_are_told_by_depth_as_prometheus_counts_them() -> None:
    held = live()
    assert view(held).wakes == {}
    for number, seconds in enumerate((0.0004, 0.003, 0.0031, 0.9, 11.0)):
        held = counted(held, NOW + timedelta(seconds=number), Depth.FROZEN, seconds)
    told = view(held).wakes
    assert list(told) == ["frozen"]
    frozen = told["frozen"]
    assert list(frozen.buckets) == [*(str(bound) for bound in BOUNDS), "+Inf"]
    assert [frozen.buckets[name] for name in ("1", "2", "3", "5", "500", "1000", "10000")] == [
        1, 1, 2, 3, 3, 4, 4,
    ]  # fmt: skip
    assert frozen.buckets["+Inf"] == frozen.count == 5
    assert (frozen.p50_ms, frozen.p99_ms) == (5, None)
    assert frozen.total_seconds == pytest.approx(11.9065)


def test_a_quantile_behind_the_last_bound_is_null_and_no_infinity() -> None:
    told = view(counted(live(), NOW, Depth.STOPPED, 60.0))
    stopped = told.wakes["stopped"]
    assert (stopped.p50_ms, stopped.p99_ms) == (None, None)
    json.dumps(asdict(told), default=str, allow_nan=False)


@pytest.mark.parametrize(
    ("kind", "override", "expected"),
    [
        (Kind.PRIVATE, None, (300, 1800)),
        (Kind.PRIVATE, Override(standby=2, stop=10), (2, 10)),
        (Kind.DEMO, Override(standby=3600), (3600, 7200)),
        (Kind.DEMO, Override(stop=600), (300, 600)),
        (Kind.STAGING, None, (None, None)),
        (Kind.DEVELOPMENT, Override(standby=60), (60, 1800)),
        (Kind.PRODUCTION, None, (None, None)),
    ],
)
def test_what_holds_for_this_deployment_is_policy_and_manifest(
    kind: Kind, override: Override | None, expected: tuple[float | None, float | None]
) -> None:
    manifest = replace(MANIFEST, overrides={kind: override} if override else {})
    told = view(live(kind), manifest)
    assert (told.standby_after, told.stop_after) == expected


def test_without_a_version_the_policy_holds() -> None:
    told = view(live(), None)
    assert (told.standby_after, told.stop_after) == (300, POLICIES[Kind.PRIVATE].stop)


def test_a_change_under_way_is_explained_by_itself_and_not_by_what_was_before() -> None:
    asleep = mark_standby(live(), Standby(Depth.FROZEN, NOW, NOW), NOW)
    pushed = retargeted(asleep, "0.0.2", "d2", Wish("ada", SOON, "push 0.0.2"))
    told = view(pushed)
    assert (told.state, told.since, told.reason) == ("deploying", SOON, "push 0.0.2")
    woken = view(mark_available(mark_live(pushed, SOON), 1, 1, None, SOON))
    assert (woken.state, woken.standby) == ("ready", None)
    assert "frozen" not in (woken.reason or "")
    leaving = view(doomed(asleep, Wish("ada", SOON, "remove")))
    assert (leaving.state, leaving.since, leaving.reason) == ("removing", SOON, "remove")


def test_a_failed_deployment_says_why_and_since_when() -> None:
    spec = Spec(1, 1, "0.0.1", "d1", "ada", NOW, "create")
    born = Deployment("dep-1", "0" * 32, "svc-1", "env-1", Kind.PRIVATE, None, "blog", NOW, spec)
    told = view(mark_failed(born, failed("unhealthy", "It is not well", "500"), SOON))
    assert (told.state, told.reason, told.since) == ("failed", "It is not well", SOON)


async def test_an_environment_tells_its_whole_policy(stage: Stage, web: httpx.AsyncClient) -> None:
    await stage.create(web, "blog")
    told = (await web.get("/api/environments/blog/demo")).json()
    assert (told["standby"], told["stop"]) == (300, 1800)
    assert (told["queue"], told["queue_timeout"]) == (1000, 60)
