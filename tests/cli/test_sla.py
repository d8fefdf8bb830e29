"""How a month of promises is shown: to people, to scripts, and when there is nothing to show."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from codestore.cli.views.sla import percent
from codestore.wire import EventView
from codestore.wire.sla import BurningView, MinuteView, PromiseView, SlaView
from tests.cli.conftest import Cs
from tests.cli.samples import event
from tests.cli.stage import Stage, refusal, told

Golden = Callable[[str, str], None]
SINCE = datetime(2026, 3, 1, tzinfo=UTC)
UNTIL = datetime(2026, 3, 9, 17, 3, 20, tzinfo=UTC)
BAD = datetime(2026, 3, 8, 2, 59, tzinfo=UTC)


def promise(service: str, requests: int, failures: int, **other: Any) -> PromiseView:
    asked = max(requests, failures)
    allowed = asked * 0.001
    given: dict[str, Any] = {
        "project": "shop",
        "service": service,
        "environment": "production",
        "deployment": f"dep-{service}",
        "promise": 0.999,
        "requests": requests,
        "failures": failures,
        "availability": 1 - failures / asked if asked else None,
        "allowed": allowed,
        "budget_left": 1 - failures / allowed if asked else 1.0,
        "burning": None,
    }
    return PromiseView(**(given | other))


def minute(service: str, at: datetime, requests: int, failures: int, *events: Any) -> MinuteView:
    held = f"dep-{service}"
    return MinuteView(at, "shop", service, "production", held, requests, failures, list(events))


def happened(kind: str, message: str, seconds: float) -> EventView:
    at = BAD + timedelta(seconds=seconds)
    return event(kind, "production", message=message, step=None, at=at)


FULL = SlaView(
    month="2026-03",
    since=SINCE,
    until=UNTIL,
    services=[
        promise("blog", 1_234_567, 617),
        promise(
            "cart",
            40_000,
            90,
            burning=BurningView("fast", BAD, "The error budget burns fast: 50 of 3,100 …"),
        ),
        promise("wiki", 0, 0),
    ],
    worst=[
        minute(
            "cart",
            BAD,
            412,
            50,
            happened("asked", "promote 0.0.3 from staging", -31),
            happened("instance_ended", "2.0 ended: exit code 1\nTraceback: …", 2),
            happened("degraded", "1 of 2 instances accept requests", 2.5),
        ),
        minute("cart", BAD + timedelta(minutes=1), 388, 40),
        minute("blog", BAD + timedelta(days=1), 0, 1),
    ],
)
EMPTY = SlaView("2026-03", SINCE, UNTIL, [], [])
QUIET = SlaView("2026-03", SINCE, UNTIL, [promise("wiki", 0, 0)], [])
GOOD = SlaView("2026-03", SINCE, UNTIL, [promise("wiki", 0, 0), promise("blog", 9, 0)], [])


@pytest.mark.parametrize("form", ["table", "json", "yaml"])
def test_a_month_is_shown_as_it_always_was(cs: Cs, stage: Stage, golden: Golden, form: str) -> None:
    stage.on("GET", "/api/sla", told(FULL))
    run = cs("sla", "-p", "shop", "-o", form)
    assert (run.code, run.err) == (0, "")
    golden(f"sla--p-shop.{form}", run.out)
    assert stage.requests[0].query == {"project": ["shop"]}


@pytest.mark.usefixtures("new_york")
def test_minutes_are_told_in_the_zone_of_the_months_whatever_the_readers_is(
    cs: Cs, stage: Stage, golden: Golden
) -> None:
    stage.on("GET", "/api/sla", told(FULL))
    golden("sla--p-shop.table", cs("sla", "-p", "shop").out)


def test_json_is_the_whole_document(cs: Cs, stage: Stage) -> None:
    stage.on("GET", "/api/sla", told(FULL))
    run = cs("sla", "-o", "json")
    document = json.loads(run.out)
    assert set(document) == {"month", "since", "until", "services", "worst"}
    assert document["services"][2]["availability"] is None
    assert [each["kind"] for each in document["worst"][0]["events"]] == [
        "asked",
        "instance_ended",
        "degraded",
    ]
    assert stage.requests[0].query == {}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (EMPTY, "Nothing is in production yet: cs project:service:promote"),
        (QUIET, "No request came."),
        (GOOD, "No request failed."),
    ],
)
def test_where_there_is_nothing_to_show_it_says_so(
    cs: Cs, stage: Stage, document: SlaView, said: str
) -> None:
    stage.on("GET", "/api/sla", told(document))
    run = cs("sla")
    assert run.code == 0
    assert said in run.out.splitlines()[-1]
    assert "WORST" not in run.out
    assert ("no request yet" in run.out) is (document is not EMPTY)


@pytest.mark.parametrize(
    ("failures", "said"),
    [
        (0, "100%"),
        (1, "90%"),
        (10, "0%"),
        (11, "none: spent 1.1 times"),
        (999, "none: spent 99.9 times"),
        (10_000, "none: spent 1,000 times"),
    ],
)
def test_what_is_left_of_a_budget_and_how_often_it_is_spent(
    cs: Cs, stage: Stage, failures: int, said: str
) -> None:
    kept = [promise("blog", 10_000, failures)]
    stage.on("GET", "/api/sla", told(SlaView("2026-03", SINCE, UNTIL, kept, [])))
    assert f"  {said}" in cs("sla").out.splitlines()[1]


def test_another_month_can_be_asked_for(cs: Cs, stage: Stage) -> None:
    stage.on("GET", "/api/sla", told(EMPTY))
    assert cs("sla", "--month", "2026-02", "-p", "shop").code == 0
    assert stage.requests[0].query == {"project": ["shop"], "month": ["2026-02"]}


def test_a_refusal_is_a_letter(cs: Cs, stage: Stage) -> None:
    stage.on("GET", "/api/sla", refusal(404, "project_not_found"))
    run = cs("sla", "-p", "nothing")
    assert (run.code, run.out) == (1, "")
    assert "project_not_found" in run.err


def test_help_has_an_example(cs: Cs) -> None:
    run = cs("sla", "--help")
    assert run.code == 0
    assert "cs sla -p shop" in run.out


def test_what_happened_cannot_steer_the_terminal(cs: Cs, stage: Stage) -> None:
    bad = minute("cart", BAD, 9, 9, happened("failed", "\x1b[31mboom", 0))
    stage.on("GET", "/api/sla", told(SlaView("2026-03", SINCE, UNTIL, FULL.services, [bad])))
    run = cs("sla")
    assert "\x1b" not in run.out
    assert "boom" in run.out


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (1.0, "100%"),
        (0.999, "99.9%"),
        (0.9999999, "99.999%"),
        (0.9995, "99.95%"),
        (0.99749, "99.749%"),
        (0.997499, "99.749%"),
        (0.5, "50%"),
        (0.0, "0%"),
        (0.001, "0.1%"),
    ],
)
def test_a_share_is_never_told_better_than_it_is(share: float, said: str) -> None:
    assert percent(share) == said
