"""The password of a real database is replaced under load: no request fails, the old one is shut."""

import threading
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.support.platform import KEY, Platform

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e"), pytest.mark.timeout(300)]
ASKS = """
import asyncio, json, os, psycopg

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    # A connection of its own for each request: whoever has a wrong password fails at once.
    async with await psycopg.AsyncConnection.connect(os.environ["DATABASE_URL"]) as connection:
        row = await (await connection.execute("SELECT current_user, session_user")).fetchone()
    told = {"row": row, "url": os.environ["DATABASE_URL"]}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})
"""


@pytest.fixture(scope="module")
def private(platform: Platform) -> dict[str, Any]:
    folder: Path = platform.home / "asks"
    (folder / "app").mkdir(parents=True)
    (folder / "app/main.py").write_text(ASKS)
    (folder / "requirements.txt").write_text("psycopg[binary]\n")
    (folder / "codestore.yaml").write_text(
        "service: asks\nrun: {asgi: 'app.main:app'}\nhealth: {path: /}\n"
    )
    made = platform.cs("service:create", "asks", "--dir", str(folder), timeout=300)
    place: dict[str, Any] = made["environments"]["private"]
    return place


def test_a_password_is_replaced_without_a_failed_request(
    platform: Platform, private: dict[str, Any]
) -> None:
    headers = {KEY: private["key"]}
    before = httpx.get(private["url"], headers=headers, verify=False).json()
    statuses: list[int] = []
    done = threading.Event()

    def call() -> None:
        with httpx.Client(headers=headers, timeout=30, verify=False) as line:
            while not done.is_set():
                statuses.append(line.get(private["url"]).status_code)

    callers = [threading.Thread(target=call) for _ in range(3)]
    for caller in callers:
        caller.start()
    try:
        platform.cs("db:rotate", "asks", "--env", "private", timeout=120)
        after = httpx.get(private["url"], headers=headers, verify=False).json()
        _until_shut(before["url"])
    finally:
        done.set()
        for caller in callers:
            caller.join()
    assert set(statuses) == {200}
    assert after["url"] != before["url"]
    name = private["database"]
    assert before["row"] == [name, name]
    assert after["row"] == [name, f"{name}_b"]  # the owner still, by another login
    with psycopg.connect(after["url"]):
        pass


def _until_shut(url: str) -> None:
    """Wait until the old password lets nobody in: when the last instance that has it is gone."""
    waiting = threading.Event()
    for _ in range(600):
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError as error:
            assert "not permitted to log in" in str(error) or "authentication" in str(error)
            return
        waiting.wait(0.1)
    raise AssertionError("the old password still lets in")
