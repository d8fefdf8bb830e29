"""What one deployment has, no other one has: process, folder, database, environment."""

import json
import os
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.support.platform import KEY, Platform

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]
SPY = """
import json, os, secrets
NAME = secrets.token_hex()

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    told = {"name": NAME, "cwd": os.getcwd(), "environment": dict(os.environ)}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})
"""


@pytest.fixture(scope="module")
def spies(platform: Platform) -> dict[str, Any]:
    """What a service sees of its world, in private and in demo."""
    folder = platform.home / "spy"
    (folder / "app").mkdir(parents=True)
    (folder / "app/main.py").write_text(SPY)
    (folder / "codestore.yaml").write_text("service: spy\nrun: {asgi: 'app.main:app'}\n")
    made = platform.cs("service:create", "spy", "--dir", str(folder))["environments"]
    told = {}
    for name, place in made.items():
        answer = httpx.get(place["url"], headers={KEY: place["key"] or ""}, verify=False)
        told[name] = json.loads(answer.text)
    return told


def test_each_has_a_process_a_home_and_a_database_of_its_own(spies: dict[str, Any]) -> None:
    private, demo = spies["private"]["environment"], spies["demo"]["environment"]
    assert spies["private"]["name"] != spies["demo"]["name"]
    for name in ("HOME", "TMPDIR", "DATABASE_NAME", "DATABASE_USERNAME", "DATABASE_PASSWORD"):
        assert private[name] != demo[name]
    assert private["SERVICE_ID"] == demo["SERVICE_ID"]
    assert private["ENVIRONMENT_ID"] != demo["ENVIRONMENT_ID"]


def test_nothing_of_the_hosts_environment_reaches_a_service(spies: dict[str, Any]) -> None:
    allowed = {
        "PATH", "HOME", "TMPDIR", "LANG", "LC_CTYPE", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE",
        "CODESTORE_DRAIN", "PROJECT_ID", "ENVIRONMENT_ID", "SERVICE_ID", "DATABASE_URL",
        "DATABASE_HOST", "DATABASE_PORT", "DATABASE_NAME", "DATABASE_USERNAME", "DATABASE_PASSWORD",
    }  # fmt: skip
    for told in spies.values():
        assert set(told["environment"]) <= allowed
        for name in ("HOME", "PATH", "TMPDIR"):
            assert told["environment"][name] != os.environ.get(name)


def test_a_role_connects_to_its_own_database_only(spies: dict[str, Any]) -> None:
    private, demo = spies["private"]["environment"], spies["demo"]["environment"]
    with psycopg.connect(private["DATABASE_URL"]) as own:
        own.execute("CREATE TABLE mine (id int)")
        databases = [row[0] for row in own.execute("SELECT datname FROM pg_database")]
    assert {"postgres", "template1", "codestore", demo["DATABASE_NAME"]} <= set(databases)
    for name in databases:
        if name == private["DATABASE_NAME"]:
            continue
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(private["DATABASE_URL"], dbname=name)
    wrong = {"user": demo["DATABASE_USERNAME"], "dbname": demo["DATABASE_NAME"]}
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(private["DATABASE_URL"], **wrong)


def test_no_secret_is_in_an_argument_list_or_a_log(
    platform: Platform, spies: dict[str, Any]
) -> None:
    token = json.loads((platform.data / "profile.json").read_text())["token"]
    secrets = [told["environment"]["DATABASE_PASSWORD"] for told in spies.values()]
    secrets += [token, platform.cs("service:info", "spy")["environments"]["private"]["key"]]
    texts = [file.read_text(errors="replace") for file in platform.data.glob("logs/**/*.log")]
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            texts.append(entry.read_text(errors="replace"))
        except OSError:
            continue
    for secret in secrets:
        assert not [text for text in texts if secret in text]


def test_one_changed_byte_in_the_store_fails_the_promotion_and_says_so(platform: Platform) -> None:
    folder, made = platform.create("untampered")
    platform.cs("push", "--dir", str(folder))
    digest = platform.cs("service:info", "untampered")["environments"]["private"]["digest"]
    bundle = platform.data / "artifacts/bundles" / f"{digest}.tar"
    whole = bundle.read_bytes()
    bundle.chmod(0o600)
    bundle.write_bytes(whole.replace(b"Hello, World!", b"Hello, Wurld!"))
    problem = platform.refused("promote", "untampered")
    assert problem["code"] == "bundle_damaged"
    assert digest[:12] in problem["detail"]
    demo = made["environments"]["demo"]
    answer = httpx.post(f"{demo['url']}/graphql", json={"query": "{ helloWorld }"}, verify=False)
    assert answer.json() == {"data": {"helloWorld": "Hello, World!"}}
    assert platform.cs("service:info", "untampered")["environments"]["demo"]["version"] == "0.0.1"
    bundle.write_bytes(whole)
    assert platform.cs("promote", "untampered")["digest"] == digest
