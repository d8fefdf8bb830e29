"""Several platforms on one machine, and a database server of one's own."""

import httpx
import pytest

from tests.support.platform import Platform
from tests.support.postgres import RunningServer

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("survival")]


def hello(url: str) -> str:
    answer = httpx.post(f"{url}/graphql", json={"query": "{ helloWorld }"}, verify=False)
    text: str = answer.json()["data"]["helloWorld"]
    return text


def test_a_server_of_ones_own_holds_all_databases(
    own_server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = own_server.database("codestore").reveal()
    monkeypatch.setenv("CODESTORE_DATABASE_URL", url)
    first, second = Platform(hurried=True), Platform(hurried=True)
    try:
        first.up()
        assert first.status()["processes"]["postgres"] is None
        _, made = first.create("guest")
        demo = made["environments"]["demo"]
        assert hello(demo["url"]) == "Hello, World!"
        assert not (first.data / "postgres").exists()
        monkeypatch.delenv("CODESTORE_DATABASE_URL")
        second.up()  # beside the first, with a server of its own
        _, other = second.create("guest")
        assert other["environments"]["demo"]["url"] != demo["url"]
        names = own_server.execute("SELECT datname FROM pg_database")
        assert (demo["database"],) in names
        assert (other["environments"]["demo"]["database"],) not in names
        first.cs("service:remove", "guest", "--yes")
        assert (demo["database"],) not in own_server.execute("SELECT datname FROM pg_database")
        assert hello(other["environments"]["demo"]["url"]) == "Hello, World!"
    finally:
        first.close()
        second.close()
