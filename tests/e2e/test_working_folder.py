"""A service writes at home, and nowhere else; what is stopped in the middle goes on later."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.services import until
from tests.support.platform import CS, KEY, Platform

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("survival")]
WRITER = """
import pathlib
import time

time.sleep({slow})
file = pathlib.Path.home() / "here.txt"

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    try:
        pathlib.Path("beside.txt").write_text("x")
        body = b"the code can be changed"
    except OSError:
        with file.open("a") as appended:
            appended.write("x")
        body = file.read_bytes()
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": body}})
"""
REVISION = """
revision, down_revision = "a_note", "{down}"

def upgrade():
    from alembic import op
    op.execute("ALTER TABLE orders ADD COLUMN note text")
"""


@pytest.fixture(scope="module")
def own() -> Iterator[Platform]:
    made = Platform(hurried=True)
    try:
        made.up()
        yield made
    finally:
        made.close()


def writer(platform: Platform, name: str, slow: float = 0.0) -> Path:
    folder = platform.home / name
    (folder / "app").mkdir(parents=True, exist_ok=True)
    (folder / "app/main.py").write_text(WRITER.format(slow=slow))
    manifest = "database: false\nrun: {asgi: 'app.main:app'}\n"
    (folder / "codestore.yaml").write_text(f"service: {name}\n{manifest}")
    return folder


def create(platform: Platform, name: str) -> dict[str, Any]:
    """Create a writer; return its deployments."""
    created = platform.cs("service:create", name, "--dir", str(writer(platform, name)))
    environments: dict[str, Any] = created["environments"]
    return environments


def call(deployment: dict[str, Any], path: str = "/") -> httpx.Response:
    headers = {KEY: deployment["key"] or ""}
    return httpx.get(deployment["url"] + path, headers=headers, timeout=30, verify=False)


def test_what_a_service_writes_is_its_own(own: Platform) -> None:
    made = create(own, "writer")
    before = len(call(made["private"]).text)  # the health check wrote too
    assert len(call(made["private"]).text) == before + 1
    assert len(call(made["demo"]).text) == before
    own.cs("project:create", "papers")
    added = own.cs("project:service:add", "papers", "writer")
    assert call(added["environments"]["staging"]).text.strip("x") == ""
    folder = own.home / "writer"
    with (folder / "app/main.py").open("a") as code:
        code.write("# the next version\n")
    own.cs("push", "--dir", str(folder))
    assert len(call(made["private"]).text) > before + 1  # of all versions
    assert made["private"]["database"] is None


def test_down_in_the_middle_of_a_push_lets_it_end_after_up(own: Platform) -> None:
    create(own, "slow-writer")
    folder = writer(own, "slow-writer", slow=2.0)
    waiting = subprocess.Popen(
        [str(CS), "push", "--dir", str(folder), "-o", "json"],
        env=own.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    last = ("events", "-s", "slow-writer", "-e", "private", "-n", "3")
    until(lambda: "start:" in str(own.cs(*last)), patience=20)
    own.cs("down")
    own.cs("up", "--detach")
    output, errors = waiting.communicate(timeout=60)
    assert waiting.returncode == 0, errors
    assert json.loads(output)["deployment"]["state"] == "ready"


def test_rolling_back_behind_a_migration_where_the_older_version_never_ran(own: Platform) -> None:
    folder = own.copy("orders")
    versions = folder / "alembic/versions"
    newest = sorted(versions.glob("*.py"))[-1].read_text()
    lines = (line for line in newest.splitlines() if line.startswith("revision"))
    down = next(lines).split('"')[1]
    own.cs("service:create", "orders", "--dir", str(folder))
    (versions / "9999_note.py").write_text(REVISION.format(down=down))
    own.cs("push", "--dir", str(folder))
    own.cs("promote", "orders")
    own.cs("project:create", "shop")
    places = own.cs("project:service:add", "shop", "orders")["environments"]
    line = {"product": "tea", "quantity": 1, "price": "1.00"}
    order = {"customer": "Ada", "lines": [line]}
    url, headers = places["staging"]["url"], {KEY: places["staging"]["key"]}
    assert httpx.post(f"{url}/orders", json=order, headers=headers, verify=False).status_code == 201
    roll = ("project:service:roll", "shop", "orders", "--env", "staging", "--version")
    for version in ("0.1.0", "latest"):
        own.cs(*roll, version)
        assert len(call(places["staging"], "/orders").json()) == 1
