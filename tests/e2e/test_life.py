"""The whole life, with the command line as a person has it."""

import concurrent.futures
import re
import threading
from typing import Any

import httpx
import pytest

from tests.support.platform import KEY, Platform

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]
HELLO = {"query": "{ helloWorld }"}


def ask(deployment: dict[str, Any], key: str | None = "own", **more: Any) -> httpx.Response:
    """Ask the template's field, with the deployment's own key unless another is given."""
    held = deployment["key"] if key == "own" else key
    headers = {KEY: held} if held else {}
    return httpx.post(
        f"{deployment['url']}/graphql", json=HELLO, headers=headers, **more, verify=False
    )


def said(deployment: dict[str, Any]) -> str:
    answer = ask(deployment)
    assert answer.status_code == 200, answer.text
    text: str = answer.json()["data"]["helloWorld"]
    return text


def change(folder: Any, text: str) -> None:
    resolver = folder / "src/resolvers/queries/helloWorld.py"
    resolver.write_text(f"def resolve(obj, info):\n    return {text!r}\n")


def test_a_service_lives_from_create_to_remove(platform: Platform) -> None:
    folder, made = platform.create("life")
    private, demo = made["environments"]["private"], made["environments"]["demo"]
    for place in (private, demo):
        assert re.fullmatch(rf"http://127.0.0.1:{platform.port}/[0-9a-f]{{32}}", place["url"])
        assert (place["state"], place["version"], place["instances"]) == ("ready", "0.0.1", 1)
    assert private["url"] != demo["url"]
    assert private["database"] != demo["database"]
    assert private["digest"] == demo["digest"]
    assert said(private) == said(demo) == "Hello, World!"
    missing, wrong = ask(private, None), ask(private, "cs_dev_" + "0" * 64)
    assert (missing.status_code, wrong.status_code) == (401, 403)
    for refusal in (missing, wrong):
        assert refusal.headers["content-type"].startswith("application/problem+json")
        assert refusal.json()["status"] == refusal.status_code

    change(folder, "second")
    pushed = platform.cs("push", "--dir", str(folder), "-r", "a second greeting")
    assert (pushed["version"], pushed["environment"]) == ("0.0.2", "private")
    assert (said(private), said(demo)) == ("second", "Hello, World!")
    promoted = platform.cs("promote", "life")
    assert promoted["digest"] == pushed["digest"]
    assert said(demo) == "second"

    versions = platform.cs("version:list", "life")
    assert [(v["version"], v["latest"]) for v in versions] == [("0.0.1", False), ("0.0.2", True)]
    assert versions[1]["notes"] == "a second greeting"
    info = platform.cs("service:info", "life")
    assert info["environments"]["demo"]["digest"] == pushed["digest"]
    assert "life" in [service["name"] for service in platform.cs("service:list")]

    platform.cs("service:pull", "life", "--dir", str(platform.home / "pulled"))
    pulled = platform.home / "pulled/src/resolvers/queries/helloWorld.py"
    assert "second" in pulled.read_text()

    refused = platform.run("service:remove", "life")
    assert refused.returncode == 2
    platform.cs("service:remove", "life", "--yes")
    assert httpx.get(private["url"], verify=False).status_code == 404
    assert platform.refused("service:info", "life")["code"] == "service_not_found"


def test_every_answer_after_a_push_comes_from_the_new_version(platform: Platform) -> None:
    """Also over connections that were kept alive, and while others are calling all the time."""
    folder, made = platform.create("switch")
    demo = made["environments"]["private"]
    stop = threading.Event()

    def call() -> list[int]:
        statuses = []
        with httpx.Client(headers={KEY: demo["key"]}, verify=False) as client:
            while not stop.wait(0.01):  # else they take the processor from what they wait for
                statuses.append(client.post(f"{demo['url']}/graphql", json=HELLO).status_code)
        return statuses

    with concurrent.futures.ThreadPoolExecutor() as pool, httpx.Client(verify=False) as kept:
        callers = [pool.submit(call) for _ in range(4)]
        try:
            for number in range(3):
                change(folder, f"version {number}")
                platform.cs("push", "--dir", str(folder))
                for _ in range(50):
                    answer = kept.post(
                        f"{demo['url']}/graphql", json=HELLO, headers={KEY: demo["key"]}
                    )
                    assert answer.json()["data"]["helloWorld"] == f"version {number}"
        finally:
            stop.set()
        statuses = [status for caller in callers for status in caller.result()]
    assert len(statuses) > 50
    assert set(statuses) == {200}


def test_no_idle_connection_leads_to_the_version_before(platform: Platform) -> None:
    """Many are open when the push begins, and nobody uses them until it has succeeded."""
    folder, made = platform.create("idle")
    private = made["environments"]["private"]
    change(folder, "new")
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _: said(private), range(40)))
        platform.cs("push", "--dir", str(folder))
        assert set(pool.map(lambda _: said(private), range(40))) == {"new"}


def test_a_project_gets_its_own_copies_and_promotes_them(platform: Platform) -> None:
    folder, made = platform.create("part")
    project = platform.cs("project:create", "whole", "-d", "A project")
    assert list(project["environments"]) == ["development", "staging", "production"]
    included = platform.cs("project:service:add", "whole", "part")
    places = included["environments"]
    databases = {place["database"] for place in places.values()}
    assert len(databases) == 3
    assert {place["version"] for place in places.values()} == {"0.0.1"}
    assert places["production"]["instances"] == 2
    other = platform.cs("project:create", "stranger")
    service_key = made["environments"]["private"]["key"]
    for place in places.values():
        assert place["key"] == project["developer_key"]
        assert ask(place).status_code == 200
        assert ask(place, None).status_code == 401
        assert ask(place, service_key).status_code == 403
        assert ask(place, other["developer_key"]).status_code == 403

    change(folder, "second")
    pushed = platform.cs("push", "--dir", str(folder))
    platform.cs("promote", "part")
    for place in ("development", "staging", "production"):
        promoted = platform.cs("project:service:promote", "whole", "part", "--to", place)
        assert promoted["digest"] == pushed["digest"]
        assert said(places[place]) == "second"
    roll = ("project:service:roll", "whole", "part", "--env", "production", "--version")
    platform.cs(*roll, "0.0.1")
    assert said(places["production"]) == "Hello, World!"
    assert said(places["staging"]) == "second"
    platform.cs(*roll, "latest")
    assert said(places["production"]) == "second"

    assert platform.refused("project:delete", "whole", "--yes")["code"] == "project_not_empty"
    assert platform.refused("service:remove", "part", "--yes")["code"] == "service_in_use"
    platform.cs("project:service:remove", "whole", "part", "--yes")
    platform.cs("project:delete", "whole", "--yes")
    assert "whole" not in [held["name"] for held in platform.cs("project:list")]


def test_logs_tell_what_was_printed_and_what_the_platform_did(platform: Platform) -> None:
    folder, made = platform.create("talker")
    resolver = folder / "src/resolvers/queries/helloWorld.py"
    resolver.write_text("def resolve(obj, info):\n    print('asked for it')\n    return 'yes'\n")
    platform.cs("push", "--dir", str(folder))
    assert said(made["environments"]["private"]) == "yes"
    lines = [line["text"] for line in platform.cs("logs", "-s", "talker", "-n", "50")]
    assert "asked for it" in lines
    assert any("0.0.2 is live" in line for line in lines)
    demo = [line["text"] for line in platform.cs("logs", "-s", "talker", "-e", "demo")]
    assert "asked for it" not in demo
