"""What Prometheus is told of requests and promises: rates, errors, durations, budgets."""

import time
from collections.abc import Mapping
from dataclasses import replace

import httpx
import pytest

from codestore.actions.queries import Placed
from codestore.api.metrics import exposition
from codestore.domain.canary import Tally
from codestore.domain.deployments import Deployment
from codestore.domain.environments import Kind
from codestore.domain.looks import Look, spread
from codestore.domain.promise import Budget, month_of
from codestore.ports import Counters
from tests.api.stage import EVE, Stage
from tests.api.test_metrics import NASTY, samples
from tests.api.test_sla import NOW, SECOND, include
from tests.api.test_standby import live

INF = float("inf")
COUNTED = Counters(
    requests=12,
    failures=2,
    active=3,
    answers={"2xx": 8, "4xx": 2, "5xx": 2},
    durations=((0.005, 4), (1.0, 11), (INF, 12)),
    total=7.25,
    refused={"too_many_requests": 40, "too_busy": 5},
)
PLACE = {"service": "blog", "environment": "private", "project": ""}


def told(counted: Mapping[str, Counters], budgets: Mapping[str, Budget] | None = None) -> str:
    placed = [Placed(live(), "blog", "private")]
    return exposition(placed, counted, budgets or {}, {}).decode()


def test_requests_are_counted_by_class_of_status() -> None:
    found = samples(told({live().hash: COUNTED}), "codestore_requests_total")
    assert [(each.labels, each.value) for each in found] == [
        ({**PLACE, "code": "2xx"}, 8),
        ({**PLACE, "code": "4xx"}, 2),
        ({**PLACE, "code": "5xx"}, 2),
    ]


def test_failures_and_what_is_under_way() -> None:
    text = told({live().hash: COUNTED})
    for name, value in (
        ("codestore_request_failures_total", 2),
        ("codestore_requests_in_flight", 3),
    ):
        (found,) = samples(text, name)
        assert (found.labels, found.value) == (PLACE, value)


def test_refusals_are_counted_by_what_was_said() -> None:
    found = samples(told({live().hash: COUNTED}), "codestore_requests_refused_total")
    assert [(each.labels, each.value) for each in found] == [
        ({**PLACE, "reason": "too_many_requests"}, 40),
        ({**PLACE, "reason": "too_busy"}, 5),
    ]
    alone = told({live().hash: Counters(refused={"too_busy": 1})})
    assert len(samples(alone, "codestore_requests_refused_total")) == 1


def test_durations_are_a_histogram_in_seconds() -> None:
    text = told({live().hash: COUNTED})
    buckets = samples(text, "codestore_request_duration_seconds_bucket")
    assert [(each.labels["le"], each.value) for each in buckets] == [
        ("0.005", 4),
        ("1.0", 11),
        ("+Inf", 12),
    ]
    (total,) = samples(text, "codestore_request_duration_seconds_sum")
    (count,) = samples(text, "codestore_request_duration_seconds_count")
    assert (total.value, count.value) == (7.25, 12)


def test_what_was_never_called_has_no_sample() -> None:
    for counted in ({}, {live().hash: Counters()}):
        text = told(counted)
        assert "codestore_request_failures_total{" not in text
        assert "# TYPE codestore_request_failures_total counter" in text


def test_a_first_request_that_is_still_under_way_is_told() -> None:
    text = told({live().hash: Counters(active=1)})
    assert [each.value for each in samples(text, "codestore_requests_in_flight")] == [1]
    assert samples(text, "codestore_request_duration_seconds_bucket") == []


def test_budgets_are_told_of_what_is_promised_and_of_nothing_else() -> None:
    text = told({}, {live().id: Budget(0.999, Tally(10_000, 5))})
    (left,) = samples(text, "codestore_error_budget_left_ratio")
    (available,) = samples(text, "codestore_availability_ratio")
    assert left.labels == available.labels == PLACE
    assert (left.value, available.value) == (pytest.approx(0.5), pytest.approx(0.9995))
    for name in ("codestore_error_budget_left_ratio", "codestore_availability_ratio"):
        assert samples(told({}), name) == []


def test_without_a_request_there_is_no_availability_and_all_of_the_budget() -> None:
    text = told({}, {live().id: Budget(0.999, Tally(0, 0))})
    assert [each.value for each in samples(text, "codestore_error_budget_left_ratio")] == [1]
    assert samples(text, "codestore_availability_ratio") == []


@pytest.mark.parametrize("name", NASTY)
def test_no_name_can_forge_a_figure_of_requests(name: str) -> None:
    placed = [Placed(live(), name, name, name)]
    budgets = {live().id: Budget(0.999, Tally(9, 9))}
    text = exposition(placed, {live().hash: COUNTED}, budgets, {}).decode()
    assert text.count("\n") == told({live().hash: COUNTED}, budgets).count("\n")
    found = samples(text, "codestore_requests_total")
    assert {each.labels["service"] for each in found} == {name}


async def test_everything_is_read_from_the_gateway_and_from_what_was_counted(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    shop = await include(stage, web, "blog", "shop")
    async with stage.world.doors.store.begin() as records:
        (private,) = await records.find(Deployment, service=shop.service, kind="private")
        before = month_of(NOW) - SECOND
        hours = spread(shop.id, Tally(1000, 1), NOW, NOW + SECOND)
        hours += spread(shop.id, Tally(7, 7), before, before)
        await records.tallies.add(hours, Look(NOW, "test"), {})
    stage.world.traffic.counted = {private.hash: COUNTED, shop.hash: replace(COUNTED, failures=7)}
    text = (await web.get("/metrics")).text
    failures = {
        each.labels["environment"]: each.value
        for each in samples(text, "codestore_request_failures_total")
    }
    assert failures == {"private": 2, "production": 7}
    (available,) = samples(text, "codestore_availability_ratio")
    assert available.value == pytest.approx(0.999)
    assert (available.labels["environment"], available.labels["project"]) == ("production", "shop")
    async with stage.client(EVE) as eve:
        assert "blog" not in (await eve.get("/metrics")).text


async def test_while_the_gateway_is_away_everything_else_is_told(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    await include(stage, web, "blog", "shop")
    stage.world.traffic.away = True
    answer = await web.get("/metrics")
    assert answer.status_code == 200
    assert samples(answer.text, "codestore_instances")
    assert samples(answer.text, "codestore_error_budget_left_ratio")
    assert samples(answer.text, "codestore_requests_in_flight") == []


def test_two_thousand_deployments_are_told_in_less_than_a_second() -> None:
    held, placed, counted, budgets = live(), [], {}, {}
    bounds = (*(n / 100 for n in range(13)), INF)
    one = replace(COUNTED, durations=tuple((bound, 9) for bound in bounds))
    for number in range(2000):
        kind = Kind.PRODUCTION if number % 5 == 0 else Kind.STAGING
        each = replace(held, id=f"dep-{number}", hash=f"{number:032x}", kind=kind)
        placed.append(Placed(each, f"service-{number}", kind.value, f"project-{number % 50}"))
        counted[each.hash] = one
        if kind is Kind.PRODUCTION:
            budgets[each.id] = Budget(0.999, Tally(1000, 1))
    times = []
    for _ in range(3):
        start = time.perf_counter()
        text = exposition(placed, counted, budgets, {}).decode()
        times.append(time.perf_counter() - start)
    assert text.count("\n") > 45_000
    assert min(times) < 1, times
