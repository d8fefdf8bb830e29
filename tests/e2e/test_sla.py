"""What production promises is counted by the real Envoy, and nothing of it is lost on the way."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.services import Small
from tests.e2e.services import until as asked_until
from tests.support.platform import KEY, Platform

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("sla"), pytest.mark.timeout(240)]
PATIENCE = 100.0  # seconds: a look is due every 15, a judgement every 60
APP = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        last = scope["path"].rpartition("/")[2]
        status = int(last) if last.isdigit() else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"said"})
"""


def until(holds: Callable[[], Any]) -> Any:
    """Ask until it holds; looks are taken when they are due."""
    return asked_until(holds, PATIENCE, longest=1.0)


@dataclass
class Production:
    """The deployment in production of a service whose last path segment is its status."""

    platform: Platform
    project: str
    url: str
    key: str
    sent: int = 0
    failed: int = 0

    def ask(self, *statuses: int) -> None:
        """Send requests, each answered as it says."""
        with httpx.Client(headers={KEY: self.key}, timeout=20, verify=False) as web:
            for status in statuses:
                assert web.get(f"{self.url}/{status}").status_code == status
                self.sent, self.failed = self.sent + 1, self.failed + (status >= 500)

    def sla(self) -> Any:
        return self.platform.cs("sla", "-p", self.project)

    def kept(self) -> Any:
        (found,) = self.sla()["services"]
        return found

    def counted(self) -> Any:
        """Whether all that was sent is told, and not more; return what is told."""
        kept = self.kept()
        assert kept["requests"] <= self.sent
        assert kept["failures"] <= self.failed
        whole = (kept["requests"], kept["failures"]) == (self.sent, self.failed)
        return kept if whole else None


@pytest.fixture(scope="module")
def own() -> Iterator[Platform]:
    """A platform that may be killed."""
    made = Platform(hurried=True)
    try:
        made.up()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def shop(own: Platform) -> Production:
    small = Small(own, "cart")
    small.write(app=APP)
    own.cs("service:create", "cart", "--dir", str(small.folder))
    own.cs("project:create", "shop")
    assert own.cs("sla")["services"] == []
    included = own.cs("project:service:add", "shop", "cart")
    place = included["environments"]["production"]
    return Production(own, "shop", place["url"], place["key"])


def test_failures_are_counted_and_404s_are_none(shop: Production) -> None:
    if not shop.sent:
        assert shop.kept()["availability"] is None
    asked, failed = shop.sent, shop.failed
    shop.ask(*[200] * 30, *[500] * 3, *[404] * 10, 503)
    kept = until(shop.counted)
    assert (kept["requests"] - asked, kept["failures"] - failed) == (44, 4)
    assert kept["availability"] == pytest.approx(1 - shop.failed / shop.sent)
    assert kept["budget_left"] < 0
    assert 4 <= sum(each["failures"] for each in shop.sla()["worst"]) <= shop.failed
    # What is refused is not counted: nobody was asked for an answer.
    assert httpx.get(f"{shop.url}/500", headers={KEY: "wrong"}, verify=False).status_code == 403


def test_metrics_tell_rates_errors_and_durations(shop: Production) -> None:
    """Of counters only the difference says something: the first look may begin at any number."""
    before = figures(shop)
    shop.ask(*[200] * 5, *[404] * 3, *[500] * 2)

    def told() -> Any:
        grown = {name: value - before.get(name, 0) for name, value in figures(shop).items()}
        assert grown["codestore_requests_total 2xx"] == 5
        assert grown["codestore_requests_total 4xx"] == 3
        assert grown["codestore_requests_total 5xx"] == 2
        assert grown["codestore_request_failures_total"] == 2
        assert grown["codestore_request_duration_seconds_sum"] >= 0
        # Envoy adds up durations now and then: those from before may come late.
        return grown["codestore_request_duration_seconds_count"] >= 10

    until(told)
    until(shop.counted)
    now = figures(shop)
    assert now["codestore_requests_in_flight"] == 0
    assert now["codestore_availability_ratio"] == pytest.approx(1 - shop.failed / shop.sent)
    assert now["codestore_error_budget_left_ratio"] < 0


def test_what_was_served_while_no_control_process_ran_is_counted_once(shop: Production) -> None:
    for kill in range(3):
        shop.ask(*[200] * 20, *[500] * 5)
        if kill:
            until(shop.counted)  # by then it has looked: the next kill is after a look
        os.kill(shop.platform.status()["processes"]["control"], signal.SIGKILL)
        shop.ask(*[200] * 7, *[500] * 3)
    until(lambda: shop.platform.run("status").returncode == 0)
    assert until(shop.counted)
    time.sleep(31)  # two looks more, which find nothing new
    assert shop.counted()


def test_a_budget_that_burns_is_told(shop: Production) -> None:
    shop.ask(*[500] * 5)
    burning = until(lambda: shop.kept()["burning"])
    assert burning["pace"] == "fast"
    found = shop.platform.cs("events", "-p", "shop", "-e", "production", "-n", "50")
    told = [event for event in found if event["kind"] == "budget_burning"]
    assert len(told) == 1
    assert told[0]["message"] == burning["message"]
    assert "The error budget burns fast: " in burning["message"]


def test_down_and_up_again_loses_nothing(shop: Production) -> None:
    """Envoy ends too, and its counters with it: they are looked at a last time."""
    shop.ask(*[200] * 9, *[500] * 2)
    shop.platform.cs("down")
    shop.platform.cs("up", "--detach")
    until(lambda: shop.platform.run("status").returncode == 0)
    assert until(shop.counted)
    until(lambda: shop.kept()["deployment"] and _ready(shop))
    shop.ask(200, 500)
    assert until(shop.counted)


def test_people_see_a_table(shop: Production) -> None:
    shop.ask(500)
    until(shop.counted)
    lines = shop.platform.run("sla").stdout.splitlines()
    assert lines[0].split()[:4] == ["MONTH", "(UTC)", "PROJECT", "SERVICE"]
    assert lines[1].split()[1:3] == ["shop", "cart"]
    assert lines[3].startswith("WORST MINUTES (UTC)")


def _ready(shop: Production) -> bool:
    found = shop.platform.cs("project:info", "shop")["environments"]["production"]["services"]
    return all(each["state"] == "ready" for each in found.values())


def figures(shop: Production) -> dict[str, float]:
    """Return what /metrics tells of production, by name (and class of status)."""
    token = json.loads((shop.platform.data / "profile.json").read_text())["token"]
    answer = httpx.get(
        f"http://127.0.0.1:{shop.platform.port}/metrics",
        headers={"authorization": f"Bearer {token}"},
        timeout=20,
        verify=False,
    )
    assert answer.status_code == 200
    found = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            if sample.labels.get("environment") == "production":
                found[f"{sample.name} {sample.labels.get('code', '')}".strip()] = sample.value
    return found
