"""What Prometheus is told: whose deployments, in which format, with which figures."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from prometheus_client import REGISTRY
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from codestore.actions.queries import Placed
from codestore.api.metrics import Census
from codestore.domain.deployments import Deployment, State
from codestore.domain.marking import counted
from codestore.domain.standby import BOUNDS, Depth
from tests.api.stage import BOB, EVE, Stage
from tests.api.test_standby import NOW, live

FAMILIES = {
    "codestore_deployments": "gauge",
    "codestore_deployment_state": "gauge",
    "codestore_instances": "gauge",
    "codestore_wake_seconds": "histogram",
    "codestore_requests": "counter",
    "codestore_request_failures": "counter",
    "codestore_requests_refused": "counter",
    "codestore_request_duration_seconds": "histogram",
    "codestore_requests_in_flight": "gauge",
    "codestore_error_budget_left_ratio": "gauge",
    "codestore_availability_ratio": "gauge",
    "codestore_breaches": "gauge",
    "codestore_verified_timestamp_seconds": "gauge",
}
NASTY = ['a"b', "a\\", "a\nb", 'x"} 1\nevil{y="', "ünïcode 🙂", "", "{}", "a,b=c", "\\n", "\r\t"]


def samples(text: str, name: str) -> list[Sample]:
    families = text_string_to_metric_families(text)
    return [sample for family in families for sample in family.samples if sample.name == name]


def told(placed: Iterable[Placed]) -> str:
    return generate_latest(Census(list(placed), {})).decode()


def woken(deployment: Deployment, depth: Depth, *seconds: float) -> Deployment:
    for number, each in enumerate(seconds):
        deployment = counted(deployment, NOW + timedelta(seconds=number), depth, each)
    return deployment


async def test_every_family_is_told_in_the_text_format_of_prometheus(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    await stage.create(web, "blog")
    answer = await web.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert {name: family.type for name, family in families.items()} == FAMILIES
    assert all(family.documentation for family in families.values())
    state = samples(answer.text, "codestore_deployment_state")
    assert [(sample.labels, sample.value) for sample in state] == [
        ({"service": "blog", "environment": name, "project": "", "state": "ready"}, 1)
        for name in ("private", "demo")
    ]
    instances = samples(answer.text, "codestore_instances")
    assert [(sample.labels["environment"], sample.value) for sample in instances] == [
        ("private", 1),
        ("demo", 1),
    ]


async def test_a_service_in_a_project_has_its_projects_name(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    await stage.create(web, "blog")
    await web.post("/api/projects", json={"name": "shop"})
    change = (await web.post("/api/projects/shop/services", json={"service": "blog"})).json()
    assert (await stage.concluded(web, change))["succeeded"]
    text = (await web.get("/metrics")).text
    places = [
        (sample.labels["project"], sample.labels["environment"])
        for sample in samples(text, "codestore_instances")
    ]
    kinds = [("shop", name) for name in ("development", "staging", "production")]
    assert sorted(places) == sorted([("", "private"), ("", "demo"), *kinds])


async def test_only_the_deployments_of_your_organization_are_counted(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    await stage.create(web, "blog")
    async with stage.client(EVE) as eve:
        await stage.create(eve, "diary")
        hers = (await eve.get("/metrics")).text
    async with stage.client(BOB) as bob:
        his = (await bob.get("/metrics")).text
    for text, mine, others in ((hers, "diary", "blog"), (his, "blog", "diary")):
        assert others not in text
        assert {each.labels["service"] for each in samples(text, "codestore_instances")} == {mine}
        total = sum(each.value for each in samples(text, "codestore_deployments"))
        assert total == 2
    assert "cs_dev_" not in hers + his


async def test_the_documentation_names_the_format(stage: Stage) -> None:
    async with stage.client(None) as nobody:
        document = (await nobody.get("/openapi.json")).json()
    operation = document["paths"]["/metrics"]["get"]
    assert list(operation["responses"]["200"]["content"]) == [
        "text/plain; version=0.0.4; charset=utf-8"
    ]
    assert operation["security"]


def test_every_state_is_counted_those_without_a_deployment_too() -> None:
    found = samples(told([Placed(live(), "blog", "private")]), "codestore_deployments")
    assert {each.labels["state"]: each.value for each in found} == {
        state.value: float(state is State.READY) for state in State
    }


def test_wakes_are_a_real_histogram_in_seconds_for_each_depth() -> None:
    held = woken(live(), Depth.FROZEN, 0.0004, 0.003, 0.0031, 0.9, 11.0)
    held = replace(held, status=replace(held.status, woken_at=None))
    held = woken(held, Depth.STOPPED, 0.25)
    text = told([Placed(held, "blog", "private"), Placed(live(), "calm", "private")])
    buckets = samples(text, "codestore_wake_seconds_bucket")
    assert {each.labels["service"] for each in buckets} == {"blog"}  # the other never woke
    frozen = [each for each in buckets if each.labels["depth"] == "frozen"]
    bounds = [float(each.labels["le"]) for each in frozen]
    assert bounds == [*(bound / 1000 for bound in BOUNDS), float("inf")]
    counts = [each.value for each in frozen]
    assert counts == sorted(counts)
    by_bound = dict(zip(bounds, counts, strict=True))
    assert [by_bound[bound] for bound in (0.001, 0.003, 0.005, 1.0, 10.0, float("inf"))] == [
        1, 2, 3, 4, 4, 5,
    ]  # fmt: skip
    sums = {
        each.labels["depth"]: each.value for each in samples(text, "codestore_wake_seconds_sum")
    }
    assert sums == {"frozen": pytest.approx(11.9065), "stopped": pytest.approx(0.25)}
    total = samples(text, "codestore_wake_seconds_count")
    assert {each.labels["depth"]: each.value for each in total} == {"frozen": 5, "stopped": 1}


@pytest.mark.parametrize("name", NASTY)
def test_no_name_can_break_a_line_or_forge_a_figure(name: str) -> None:
    held = woken(live(), Depth.FROZEN, 0.004)
    text = told([Placed(held, name, name, name)])
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert not [sample for sample in found if "evil" in sample.name]
    placed = [sample for sample in found if sample.name != "codestore_deployments"]
    assert {sample.labels["service"] for sample in placed} == {name}
    assert {sample.labels["project"] for sample in placed} == {name}
    harmless = told([Placed(held, "blog", "private", "shop")])
    assert text.count("\n") == harmless.count("\n")


def test_nothing_of_ours_is_in_the_global_registry() -> None:
    names = {family.name for family in REGISTRY.collect()}
    assert not [name for name in names if name.startswith("codestore")]
