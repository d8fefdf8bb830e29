"""Keys over the real gateway: what each opens, how one is replaced, how soon one is revoked."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from codestore.settings import read_settings
from codestore.vault import FileVault
from codestore.wiring.preparing import embedded_server
from codestore.wiring.servers import STATE_DATABASE
from tests.support.platform import KEY, Platform

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]
ADDRESS = "carol@example.org"
MIRROR = """
import json

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    told = {name.decode(): value.decode() for name, value in scope["headers"]}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})
"""


@pytest.fixture(scope="module")
def places(platform: Platform) -> dict[str, Any]:
    """A service in every environment; the project is called lodge."""
    folder = platform.home / "mirror"
    (folder / "app").mkdir(parents=True)
    (folder / "app/main.py").write_text(MIRROR)
    (folder / "codestore.yaml").write_text(
        "service: mirror\nrun: {asgi: 'app.main:app'}\ndatabase: false\n"
    )
    own = platform.cs("service:create", "mirror", "--dir", str(folder))["environments"]
    platform.cs("project:create", "lodge")
    added = platform.cs("project:service:add", "lodge", "mirror")
    return {**own, **added["environments"]}


@pytest.fixture
def client_key(platform: Platform, places: dict[str, Any]) -> Iterator[str]:
    key: str = platform.cs("project:client:add", "lodge", "--email", ADDRESS)["key"]
    yield key
    if platform.cs("project:client:list", "lodge"):
        platform.cs("project:client:remove", "lodge", "--email", ADDRESS, "--yes")


def status(place: dict[str, Any], key: str | None) -> int:
    return httpx.get(
        place["url"] + "/x", headers={KEY: key} if key else {}, verify=False
    ).status_code


def developer_key(platform: Platform) -> str:
    key: str = platform.cs("project:info", "lodge")["developer_key"]
    return key


def test_each_key_opens_what_it_is_for_and_no_service_sees_it(
    platform: Platform, places: dict[str, Any], client_key: str
) -> None:
    developer, private = developer_key(platform), places["private"]["key"]
    for kind, opening in {
        "private": {private},
        "development": {developer},
        "staging": {developer},
        "production": {developer, client_key},
    }.items():
        for key in (developer, private, client_key):
            assert status(places[kind], key) == (200 if key in opening else 403), (kind, key[:10])
        assert status(places[kind], None) == 401
    for kind, key in (("production", client_key), ("staging", developer), ("demo", client_key)):
        told = httpx.get(places[kind]["url"], headers={KEY: key}, verify=False).text
        assert KEY not in told and key not in told


def test_a_key_is_revoked_within_a_second(
    platform: Platform, places: dict[str, Any], client_key: str
) -> None:
    """From the moment at which the command has the platform's answer, and long before."""
    production = places["production"]
    # A connection that is kept open.
    with httpx.Client(headers={KEY: client_key}, verify=False) as line:
        assert line.get(production["url"]).status_code == 200
        profile = json.loads((platform.data / "profile.json").read_text())
        gone = httpx.delete(
            f"{profile['url']}/api/projects/lodge/clients/{ADDRESS}",
            headers={"authorization": f"Bearer {profile['token']}"},
            timeout=10,
            verify=False,
        )
        assert gone.status_code == 204
        assert line.get(production["url"]).status_code == 403


def test_a_rotation_lets_both_open_and_loses_no_request(
    platform: Platform, places: dict[str, Any]
) -> None:
    production, keys, statuses = places["production"], [developer_key(platform)], []
    done = threading.Event()

    def call() -> None:
        with httpx.Client(verify=False) as line:
            while not done.is_set():
                statuses.append(line.get(production["url"], headers={KEY: keys[-1]}).status_code)

    callers = [threading.Thread(target=call) for _ in range(2)]
    for caller in callers:
        caller.start()
    try:
        for _ in range(2):
            issued = platform.cs("key:rotate", "-p", "lodge", "--overlap", "1h")
            assert status(production, keys[-1]) == status(production, issued["key"]) == 200
            keys.append(issued["key"])
    finally:
        done.set()
        for caller in callers:
            caller.join()
    assert set(statuses) == {200}
    last = platform.cs("key:rotate", "-p", "lodge", "--overlap", "0s")
    assert [status(production, key) for key in (*keys, last["key"])] == [403, 403, 403, 200]


def test_what_is_rotated_or_revoked_stays_so_when_control_is_killed(
    platform: Platform, places: dict[str, Any], client_key: str
) -> None:
    before = developer_key(platform)
    after = platform.cs("key:rotate", "-p", "lodge", "--overlap", "1h")["key"]
    platform.cs("project:client:remove", "lodge", "--email", ADDRESS, "--yes")
    control = psutil.Process(platform.status()["processes"]["control"])
    control.kill()
    psutil.wait_procs([control], timeout=10)
    assert platform.status()["state"] == "ready"
    production = places["production"]
    assert [status(production, key) for key in (before, after, client_key)] == [200, 200, 403]


def test_calls_of_a_client_are_counted(
    platform: Platform, places: dict[str, Any], client_key: str
) -> None:
    for _ in range(7):
        assert status(places["production"], client_key) == 200
    deadline = time.monotonic() + 60
    while True:
        (client,) = platform.cs("project:client:list", "lodge")
        if client["requests"] == 7:
            break
        assert client["requests"] < 7 and time.monotonic() < deadline, client
        time.sleep(0.5)  # the platform looks every 15 seconds, and tells nobody
    assert client["used_at"] is not None


def test_a_stolen_copy_of_the_platforms_database_opens_nothing(
    platform: Platform, places: dict[str, Any], client_key: str
) -> None:
    """No key is in any table as it is, nor anything that a caller could bring."""
    settings = read_settings(platform.data)
    server = embedded_server(settings, FileVault.open_file(settings.master_key))
    with psycopg.connect(server.url(STATE_DATABASE).reveal()) as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'codestore'"
        ).fetchall()
        text = "\n".join(
            str(row)
            for (table,) in tables
            for row in connection.execute(f'SELECT t::text FROM codestore."{table}" t').fetchall()
        )
    assert ADDRESS in text  # it is the right database
    for key in (client_key, developer_key(platform), places["private"]["key"]):
        assert key.rpartition("_")[2] not in text
    assert "cs_cli_" not in text and "cs_dev_" not in text
