"""``cs env:verify`` on a real platform: walls that stand, and walls that were broken on purpose."""

import json
import os
import signal
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg
import pytest

from codestore.settings import read_settings
from codestore.vault import FileVault
from codestore.wiring.preparing import embedded_server
from tests.e2e.services import api, until
from tests.support.platform import CS, KEY, Platform

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]
SPY = """
import json, os, socket
from urllib.parse import parse_qs

def connect(host, port):
    try:
        with socket.create_connection((host, int(port)), 3) as plug:
            plug.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            return "reached" if plug.recv(1) else "refused"
    except OSError:
        return "refused"

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    asked = {k: v[0] for k, v in parse_qs(scope["query_string"].decode()).items()}
    told = connect(**asked) if asked else os.environ["DATABASE_NAME"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})
"""
LISTENER = """
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ["PORT"].encode())

    def log_message(self, *words):
        pass

ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
HEALTH = "health: {path: /, timeout: 20s}\n"
SLEEPY = "environments: {demo: {standby: 1s, stop: 1s}}\n"


@dataclass
class Town:
    """A service in five environments, and a command in two, among whatever else there is."""

    platform: Platform

    def open(self) -> "Town":
        self.create("spied", f"run: {{asgi: 'main:app'}}\n{HEALTH}{SLEEPY}", SPY)
        command = f"database: false\nrun: {{command: [python3, main.py]}}\n{HEALTH}"
        self.create("listener", command, LISTENER)
        self.platform.cs("project:create", "market")
        self.platform.cs("project:service:add", "market", "spied")
        return self

    def create(self, name: str, manifest: str, code: str) -> None:
        folder = self.platform.home / name
        folder.mkdir()
        (folder / "main.py").write_text(code)
        (folder / "codestore.yaml").write_text(f"service: {name}\n{manifest}")
        self.platform.cs("service:create", name, "--dir", str(folder))

    def verify(self, *arguments: str) -> dict[str, dict[str, Any]]:
        """Verify; return what was found, by place."""
        done = self.platform.run("env:verify", *arguments, "-o", "json")
        found = json.loads(done.stdout)
        well = all(each["verdict"] in ("refused", None) for each in found)
        assert done.returncode == (0 if well else 1), done.stderr
        return {
            f"{each['project'] or each['service']}/{each['environment']}": each for each in found
        }

    def place(self, service: str, environment: str = "private") -> dict[str, Any]:
        found: dict[str, Any] = self.platform.cs("service:info", service)["environments"][
            environment
        ]
        return found

    def ask(self, service: str, **query: str) -> str:
        place = self.place(service)
        answer = httpx.get(
            place["url"], params=query, headers={KEY: place["key"]}, timeout=30, verify=False
        )
        assert answer.status_code == 200
        return answer.text

    def until_asleep(self, service: str) -> None:
        """Return when its demo has no process any more."""
        with api(self.platform) as web:
            query = {"service": service, "environment": "demo"}
            with web.stream("GET", "/api/events/stream", params=query) as stream:
                for line in stream.iter_lines():
                    slept = '"standby"' in line and "stopped" in line
                    if slept and (self.place(service, "demo")["standby"] or {}).get("depth"):
                        return

    def sql(self, statement: str) -> None:
        """Run a statement as the administrator of the database server."""
        settings = read_settings(self.platform.data)
        server = embedded_server(settings, FileVault.open_file(settings.master_key))
        with psycopg.connect(server.admin_url.reveal(), autocommit=True) as connection:
            connection.execute(statement.encode())


@pytest.fixture(scope="module")
def town(platform: Platform) -> Town:
    return Town(platform).open()


def findings(told: dict[str, Any], *walls: str) -> dict[str, set[str]]:
    """Return the verdicts by what was tried."""
    found: dict[str, set[str]] = {}
    for each in told["findings"]:
        if each["wall"] in walls:
            found.setdefault(each["tried"], set()).add(each["verdict"])
    return found


INSIDE = ("databases", "files", "processes", "sockets", "variables", "gateway")
PLACES = (
    *("spied/private", "spied/demo", "listener/private", "listener/demo"),
    *("market/development", "market/staging", "market/production"),
)


@pytest.fixture(scope="module")
def whole(town: Town) -> dict[str, dict[str, Any]]:
    """Each is verified once; what ports and addresses give depends on the host."""
    return town.verify("-s", "spied") | town.verify("-s", "listener") | town.verify("-p", "market")


@pytest.mark.parametrize("place", PLACES)
def test_walls_that_stand_are_told_to_stand(whole: dict[str, dict[str, Any]], place: str) -> None:
    told = whole[place]
    assert told["unproved"] is None
    assert {wall: told["walls"][wall]["reached"] for wall in INSIDE} == dict.fromkeys(INSIDE, 0)
    tried = findings(told, *INSIDE)
    for aim in ("read the master key", "list its home", "list its code", "connect to the keeper"):
        assert tried[aim] == {"refused"}, aim
    for aim in ("see processes of others", "connect to its socket", "call it without a key"):
        assert tried[aim] == {"refused"}, aim
    database = {"not tried"} if place.startswith("listener") else {"refused"}
    assert tried["enter its database by our login"] >= database
    assert tried["enter a database of the server by our login"] == database


def test_all_is_well_where_each_has_a_network_of_its_own(
    town: Town, whole: dict[str, dict[str, Any]]
) -> None:
    if town.platform.status()["walls"]["exposed"]:
        pytest.skip("services share the host's network here")
    assert {whole[place]["verdict"] for place in PLACES} == {"refused"}


def test_ports_are_told_as_they_are(town: Town, whole: dict[str, dict[str, Any]]) -> None:
    """Whatever the host's walls for ports are, what is told is what a service really can do."""
    port = town.ask("listener")
    can = json.loads(town.ask("spied", host="127.0.0.1", port=port))
    told = [
        each["verdict"]
        for each in whole["spied/private"]["findings"]
        if each["wall"] == "ports" and "listener/private" in each["whose"]
    ]
    assert told == [can]


def test_a_metadata_address_is_told_as_it_is(town: Town, whole: dict[str, dict[str, Any]]) -> None:
    address = {"host": "169.254.169.254", "port": "80"}
    can = json.loads(town.ask("spied", **address)) == "reached"
    told = [each["answer"] for each in whole["spied/private"]["findings"]]
    assert can == (":".join(address.values()) in told)


def test_a_database_that_was_opened_to_a_neighbour_is_found(town: Town) -> None:
    """The wall is really broken, from outside, as a careless administrator would."""
    mine, other = town.place("spied")["database"], town.place("spied", "demo")["database"]
    town.sql(f"GRANT CONNECT ON DATABASE {other} TO {mine}")
    try:
        told = town.verify("spied/private")["spied/private"]
    finally:
        town.sql(f"REVOKE CONNECT ON DATABASE {other} FROM {mine}")
    assert told["verdict"] == "reached"
    assert [
        (each["tried"], each["whose"])
        for each in told["findings"]
        if each["verdict"] == "reached" and each["wall"] == "databases"
    ] == [("enter its database by our login", ["spied/demo"])]
    events = town.platform.cs("events", "-s", "spied", "-e", "private")
    breached = [each["message"] for each in events if each["kind"] == "breached"]
    assert "enter its database by our login" in breached[-1]
    healed = town.verify("spied/private")["spied/private"]
    assert healed["walls"]["databases"]["reached"] == 0


def test_who_cannot_reach_its_own_database_has_proved_nothing(town: Town) -> None:
    mine = town.place("spied")["database"]
    town.sql(f"ALTER ROLE {mine} NOLOGIN")
    try:
        told = town.verify("spied/private")["spied/private"]
    finally:
        town.sql(f"ALTER ROLE {mine} LOGIN")
    assert told["unproved"] == "it could not log in to our own database: not allowed to log in"


def test_who_sleeps_is_verified_and_tried_and_sleeps_on(town: Town) -> None:
    before = woken(town)
    with httpx.Client(timeout=60, verify=False) as web:
        answer = web.get(town.place("spied", "demo")["url"]).raise_for_status()
    if "server-timing" in answer.headers:  # it slept, and that it woke is told a little later
        until(lambda: woken(town) > before)
    town.until_asleep("spied")
    wakes = town.place("spied", "demo")["wakes"]
    asleep = town.verify("spied/demo")["spied/demo"]
    assert asleep["unproved"] is None
    town.platform.run("env:verify", "spied/private")
    after = town.place("spied", "demo")
    assert (after["standby"]["depth"], after["wakes"]) == ("stopped", wakes)


def woken(town: Town) -> int:
    counted: int = sum(each["count"] for each in town.place("spied", "demo")["wakes"].values())
    return counted


def test_what_a_killed_platform_was_verifying_is_verified_when_it_is_back(town: Town) -> None:
    before = datetime.now(UTC)
    command = [str(CS), "env:verify", "-p", "market", "-o", "json"]
    with subprocess.Popen(
        command,
        env=town.platform.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stderr is not None
        assert running.stderr.readline()  # one of three is over
        os.kill(town.platform.status()["processes"]["control"], signal.SIGKILL)
        out, err = running.communicate(timeout=90)
    found = json.loads(out)
    assert [each["unproved"] for each in found] == [None] * 3, err
    assert [each["state"] for each in found] == ["done"] * 3
    assert min(datetime.fromisoformat(each["at"]) for each in found) > before


def test_the_matrix_is_printed_for_people(town: Town) -> None:
    done = town.platform.run("env:verify", "market/staging", "--verbose")
    assert "market/staging/spied" in done.stdout
    assert "enter its database by our login" in done.stdout
    assert "not allowed to connect" in done.stdout
