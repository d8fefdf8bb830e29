"""Processes are killed, the platform goes down and comes up: nothing that was said is lost."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest

from tests.e2e.services import until
from tests.support.platform import KEY, Platform

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("survival")]
PATIENCE = 30.0  # seconds, far more than anything here takes


@pytest.fixture(scope="module")
def own() -> Iterator[Platform]:
    """A platform that may be killed, with the blog in it and one post."""
    made = Platform(hurried=True)
    try:
        made.up()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def blog(own: Platform) -> dict[str, Any]:
    own.cs("service:create", "blog", "--dir", str(own.copy("blog")))
    deployment: dict[str, Any] = own.cs("service:info", "blog")["environments"]["private"]
    write = 'mutation { createPost(title: "Kept", body: "x") { title } }'
    assert graphql(deployment, write)["data"]["createPost"]["title"] == "Kept"
    return deployment


def graphql(deployment: dict[str, Any], query: str) -> Any:
    answer = httpx.post(
        f"{deployment['url']}/graphql",
        json={"query": query},
        headers={KEY: deployment["key"]},
        timeout=20,
        verify=False,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def has_the_post(deployment: dict[str, Any]) -> bool:
    titles = [post["title"] for post in graphql(deployment, "{ posts { title } }")["data"]["posts"]]
    return titles == ["Kept"]


def deployed(platform: Platform) -> Any:
    return platform.cs("service:info", "blog")["environments"]


def test_down_and_up_again_keeps_everything(own: Platform, blog: dict[str, Any]) -> None:
    before = deployed(own)
    own.cs("down")
    with pytest.raises(httpx.ConnectError):
        httpx.get(blog["url"], verify=False)
    own.cs("up", "--detach")
    assert until(lambda: has_the_post(blog))
    after = until(lambda: settled(own))
    for place in ("private", "demo"):
        for field in ("url", "key", "digest", "database", "version", "generation"):
            assert after[place][field] == before[place][field]


def settled(platform: Platform) -> Any:
    found = deployed(platform)
    return found if all(place["state"] == "ready" for place in found.values()) else None


@pytest.mark.parametrize("victim", ["control", "envoy", "postgres"])
def test_a_killed_process_comes_back_by_itself(
    own: Platform, blog: dict[str, Any], victim: str
) -> None:
    before = own.status()["processes"]
    os.kill(before[victim], signal.SIGKILL)
    assert until(lambda: has_the_post(blog))

    def replaced() -> bool:
        done = own.run("status", "-o", "json")
        if done.returncode != 0:
            return False
        now = own.status()
        return now["processes"][victim] not in (None, before[victim]) and now["state"] == "ready"

    until(replaced)
    assert own.status()["processes"]["keeper"] == before["keeper"]


def test_requests_go_on_while_the_control_process_is_killed(
    own: Platform, blog: dict[str, Any]
) -> None:
    victim = own.status()["processes"]["control"]
    os.kill(victim, signal.SIGKILL)
    with httpx.Client(headers={KEY: blog["key"]}, verify=False) as client:
        query = {"query": "{ posts { title } }"}
        for _ in range(100):
            assert client.post(f"{blog['url']}/graphql", json=query).status_code == 200
    until(lambda: own.run("status").returncode == 0)


def test_what_a_killed_control_process_was_receiving_goes_with_it(own: Platform) -> None:
    cut = own.data / "uploads" / "upload-cut"
    cut.mkdir()
    (cut / "archive").write_bytes(b"half of it")
    os.kill(own.status()["processes"]["control"], signal.SIGKILL)
    until(lambda: own.run("status").returncode == 0)
    assert not cut.exists()


def test_a_killed_instance_is_started_again(own: Platform, blog: dict[str, Any]) -> None:
    instance = own.instances(blog["id"])[0]
    instance.kill()
    assert until(lambda: has_the_post(blog))
    assert own.instances(blog["id"])[0].pid != instance.pid
    kinds = [event["kind"] for event in own.cs("events", "-s", "blog", "-n", "20")]
    assert "instance_ended" in kinds


def test_when_the_keeper_is_killed_all_dies_and_up_brings_it_back(
    own: Platform, blog: dict[str, Any]
) -> None:
    keeper = psutil.Process(own.status()["processes"]["keeper"])
    family = keeper.children(recursive=True)
    keeper.kill()
    _, alive = psutil.wait_procs([keeper, *family], timeout=PATIENCE)
    assert not alive
    own.cs("up", "--detach")
    assert until(lambda: has_the_post(blog))


def test_down_leaves_no_process_and_no_socket(own: Platform, blog: dict[str, Any]) -> None:
    keeper = psutil.Process(own.status()["processes"]["keeper"])
    family = keeper.children(recursive=True)
    assert len(family) >= 5
    own.cs("down")
    _, alive = psutil.wait_procs([keeper, *family], timeout=PATIENCE)
    assert not alive
    own.cs("up", "--detach")
