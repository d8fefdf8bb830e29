"""``cs env:verify``: what is asked, the matrix, progress, and the code to exit with."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from codestore.cli.client import Client, Query
from codestore.cli.commands import environments
from codestore.cli.problems import unreachable
from tests.cli import samples
from tests.cli.conftest import Cs
from tests.cli.stage import Stage, listing

WHERE = "/api/verifications"
ALL = (samples.VERIFIED, samples.BREACHED, samples.UNPROVED, samples.UNVERIFIED)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "LOOKS", 0.001)


def asked(*found: object) -> list[object]:
    return [replace(each, state="asked") for each in found]  # type: ignore[type-var]


@pytest.mark.parametrize("form", ["table", "json", "yaml"])
def test_the_last_ones_print_what_they_always_printed(
    cs: Cs, stage: Stage, golden: Callable[[str, str], None], form: str
) -> None:
    stage.on("GET", WHERE, listing(*ALL))
    run = cs("env:verify", "--last", "-o", form)
    assert (run.code, run.err) == (1, "")
    golden(f"env-verify.{form}", run.out)


def test_every_attempt_is_listed(cs: Cs, stage: Stage, golden: Callable[[str, str], None]) -> None:
    stage.on("GET", WHERE, listing(samples.BREACHED))
    golden("env-verify-verbose.table", cs("env:verify", "--last", "--verbose").out)


@pytest.mark.parametrize(
    ("arguments", "query"),
    [
        ("", {}),
        ("shop/production", {"project": ["shop"], "environment": ["production"]}),
        ("blog/private", {"service": ["blog"], "environment": ["private"]}),
        ("blog/demo", {"service": ["blog"], "environment": ["demo"]}),
        ("-p shop -s blog", {"project": ["shop"], "service": ["blog"]}),
    ],
)
def test_what_is_meant_is_asked_for(
    cs: Cs, stage: Stage, arguments: str, query: dict[str, list[str]]
) -> None:
    stage.on("POST", WHERE, listing(*asked(samples.VERIFIED)))
    stage.on("GET", WHERE, listing(samples.VERIFIED))
    run = cs("env:verify", *arguments.split())
    assert run.code == 0
    assert [each.query for each in stage.requests] == [query, query]


def test_it_is_waited_for_and_each_is_told_when_it_is_over(cs: Cs, stage: Stage) -> None:
    one, other = samples.VERIFIED, replace(samples.VERIFIED, deployment="x", environment="demo")
    stage.on("POST", WHERE, listing(*asked(one, other)))
    looks = (asked(one, other), [one, *asked(other)], [one, other])
    stage.on("GET", WHERE, *(listing(*look) for look in looks))
    run = cs("env:verify", "-o", "json")
    assert run.code == 0
    assert [line.split() for line in run.err.splitlines()] == [
        ["blog/private", "all", "refused"],
        ["blog/demo", "all", "refused"],
    ]
    assert [each["environment"] for each in json.loads(run.out)] == ["private", "demo"]


def test_a_platform_that_is_started_anew_meanwhile_is_waited_for(
    cs: Cs, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.on("POST", WHERE, listing(*asked(samples.VERIFIED)))
    stage.on("GET", WHERE, listing(*asked(samples.VERIFIED)), listing(samples.VERIFIED))
    get, tries = Client.get, []

    def away(self: Client, where: str, query: Query | None = None) -> object:
        tries.append(where)
        if len(tries) in (2, 3):
            raise unreachable("it is started anew")
        return get(self, where, query)

    monkeypatch.setattr(Client, "get", away)
    assert cs("env:verify").code == 0
    assert len(tries) == 4


def test_one_that_goes_meanwhile_is_not_waited_for(cs: Cs, stage: Stage) -> None:
    other = replace(samples.VERIFIED, deployment="x")
    stage.on("POST", WHERE, listing(*asked(samples.VERIFIED, other)))
    stage.on("GET", WHERE, listing(samples.VERIFIED))
    assert cs("env:verify").code == 0


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (samples.VERIFIED, 0),
        (samples.UNVERIFIED, 0),
        (samples.BREACHED, 1),
        (samples.UNPROVED, 1),
    ],
)
def test_it_exits_with_1_unless_all_is_well(cs: Cs, stage: Stage, found: object, code: int) -> None:
    stage.on("GET", WHERE, listing(found))
    assert cs("env:verify", "--last").code == code


@pytest.mark.parametrize("given", ["shop", "shop/", "/staging"])
def test_what_is_no_environment_is_wrong_usage(cs: Cs, given: str) -> None:
    assert cs("env:verify", given).code == 2
