"""What commands print, in every form."""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
from ruamel.yaml import YAML

from codestore.cli.view import moment
from codestore.wire.people import OrganizationView, Verification
from tests.cli import samples
from tests.cli.conftest import Cs
from tests.cli.stage import Answer, Stage, listing, stream, told

Golden = Callable[[str, str], None]
READS: dict[str, tuple[str, Answer]] = {
    "status": ("/api/status", told(samples.STATUS)),
    "whoami": ("/api/whoami", told(samples.PROFILE)),
    "user:list": ("/api/users", listing(samples.USER)),
    "token:list": ("/api/tokens", listing(samples.TOKEN)),
    "organization:list": (
        "/api/organizations",
        listing(OrganizationView("local", samples.AT), OrganizationView("acme", samples.AT)),
    ),
    "audit": ("/api/audit", listing(*samples.ENTRIES)),
    "audit:verify": (
        "/api/audit/verification",
        told(Verification(True, 2, "cd" * 32, None, None)),
    ),
    "service:list": (
        "/api/services",
        listing(samples.service(), samples.service("deploying"), samples.sleeping_service()),
    ),
    "service:info blog": ("/api/services/blog", told(samples.service())),
    "service:info wiki": ("/api/services/wiki", told(samples.sleeping_service())),
    "version:list blog": (
        "/api/services/blog/versions",
        listing(samples.version("0.0.1", latest=True), samples.version("0.0.2")),
    ),
    "project:list": ("/api/projects", listing(samples.project(), samples.project(empty=True))),
    "project:info shop": ("/api/projects/shop", told(samples.project())),
    "project:service:list shop": ("/api/projects/shop/services", listing(samples.inclusion())),
    "project:service:info shop blog": (
        "/api/projects/shop/services/blog",
        told(samples.inclusion()),
    ),
    "env:list": (
        "/api/environments",
        listing(samples.environment([]), samples.sleepless([])),
    ),
    "env:show blog/private": (
        "/api/environments/blog/private",
        told(samples.environment([samples.sleeper()])),
    ),
    "env:show shop/production": (
        "/api/environments/shop/production",
        told(samples.sleepless([samples.deployment("production")])),
    ),
    "rollout:status shop blog --env production": (
        "/api/environments/shop/production/services/blog/rollout",
        told(samples.rollout()),
    ),
    "rollout:status shop calm --env production": (
        "/api/environments/shop/production/services/calm/rollout",
        told(samples.calm()),
    ),
    "env:show shop/staging": (
        "/api/environments/shop/staging",
        told(samples.sleepless([samples.stayer(), samples.rollout().deployment])),
    ),
    "events": (
        "/api/events",
        listing(samples.event("asked"), samples.event("step_done"), *samples.NIGHT),
    ),
    "logs -s blog": ("/api/logs", listing(samples.LOG)),
}


def _file(command: str, form: str) -> str:
    return f"{command.translate(str.maketrans(': /', '---'))}.{form}"


@pytest.mark.parametrize("command", READS)
@pytest.mark.parametrize("form", ["table", "json", "yaml"])
def test_a_read_prints_what_it_always_printed(
    cs: Cs, stage: Stage, golden: Golden, command: str, form: str
) -> None:
    path, answer = READS[command]
    stage.on("GET", path, answer)
    run = cs(*command.split(), "-o", form)
    assert (run.code, run.err) == (0, "")
    golden(_file(command, form), run.out)


def test_json_and_yaml_say_the_same(cs: Cs, stage: Stage) -> None:
    stage.on("GET", "/api/services/blog", told(samples.service()))
    as_json = json.loads(cs("service:info", "blog", "-o", "json").out)
    as_yaml = YAML(typ="safe").load(cs("service:info", "blog", "-o", "yaml").out)
    assert as_json == as_yaml
    assert as_json["environments"]["private"]["key"] == "key-of-the-developer"


@pytest.mark.parametrize(
    "command", ["service:list", "project:list", "env:list", "events", "version:list blog"]
)
def test_an_empty_list_is_an_array_for_scripts_and_never_a_bare_heading(
    cs: Cs, stage: Stage, command: str
) -> None:
    stage.on("GET", READS[command][0], listing())
    assert cs(*command.split(), "-o", "json").out == "[]\n"
    assert "NAME  " not in cs(*command.split()).out


def test_a_list_of_many_pages_is_one_list(cs: Cs, stage: Stage) -> None:
    page = {"items": [asdict(samples.project())], "next": "prj-1"}
    stage.on("GET", "/api/projects", told(page), listing(samples.project()))
    assert len(json.loads(cs("project:list", "-o", "json").out)) == 2
    assert [each.query.get("after") for each in stage.requests] == [None, ["prj-1"]]


def test_a_plan_with_a_step_exits_with_3_and_without_one_with_0(
    cs: Cs, stage: Stage, golden: Golden
) -> None:
    stage.on("GET", "/api/plan", listing(samples.PLAN, samples.NO_PLAN), listing(samples.NO_PLAN))
    due = cs("plan", "-s", "blog", "-e", "private")
    assert due.code == 3
    golden("plan.table", due.out)
    assert stage.requests[0].query == {"service": ["blog"], "environment": ["private"]}
    nothing = cs("plan")
    assert (nothing.code, nothing.out) == (
        0,
        "Nothing to do: everything is as it is wanted.\n",
    )


@pytest.mark.parametrize(
    ("arguments", "query"),
    [
        ("-s blog", {"service": ["blog"], "environment": ["private"], "count": ["20"]}),
        ("-s blog -e demo -n 5", {"service": ["blog"], "environment": ["demo"], "count": ["5"]}),
        ("-p shop", {"project": ["shop"], "count": ["20"]}),
        ("-p shop -e staging", {"project": ["shop"], "environment": ["staging"], "count": ["20"]}),
    ],
)
def test_logs_are_of_private_unless_something_else_is_named(
    cs: Cs, stage: Stage, arguments: str, query: dict[str, Any]
) -> None:
    stage.on("GET", "/api/logs", listing())
    assert cs("logs", *arguments.split()).code == 0
    assert stage.requests[0].query == query


def test_what_a_service_prints_cannot_steer_the_terminal(cs: Cs, stage: Stage) -> None:
    stage.on("GET", "/api/logs", listing(samples.LOG))
    assert "\x1b" not in cs("logs", "-s", "blog").out


def test_following_prints_each_piece_and_says_when_the_stream_ends(cs: Cs, stage: Stage) -> None:
    stage.on("GET", "/api/logs/stream", stream(("line", samples.LOG), ("line", samples.LOG)))
    run = cs("logs", "-s", "blog", "-f", "-o", "json")
    assert run.code == 4
    lines = [json.loads(line) for line in run.out.splitlines()]
    assert [line["service"] for line in lines] == ["blog", "blog"]


def test_following_events_goes_on_where_the_list_ended(cs: Cs, stage: Stage) -> None:
    stage.on("GET", "/api/events", listing(samples.event("asked", sequence=41)))
    stage.on("GET", "/api/events/stream", stream(("event", samples.event("live"))))
    run = cs("events", "-f", "-n", "1")
    assert [line.split()[4] for line in run.out.splitlines()] == ["asked", "live"]
    assert stage.asked("GET", "/api/events/stream")[0].query == {"after": ["41"]}


def test_a_time_is_told_to_the_second_and_without_a_zone_in_utc() -> None:
    assert moment("2026-03-08T02:59:01.5Z") == "2026-03-08 02:59:01"
    assert moment("2026-03-08T03:59:01+01:00") == "2026-03-08 02:59:01"
    assert moment(None) == "–"


@pytest.mark.usefixtures("new_york")
def test_in_another_zone_a_time_names_it_for_refusals_are_in_utc() -> None:
    assert moment("2026-03-08T02:59:01Z") == "2026-03-07 21:59:01-05:00"
    assert moment("2026-07-08T02:59:01Z") == "2026-07-07 22:59:01-04:00"
