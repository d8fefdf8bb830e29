"""Every deed of the intruder where no wall is: each can succeed, or it would prove nothing."""

import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from codestore.domain.verification import Verdict, judge
from codestore.drivers.process import intruder
from codestore.drivers.process.intruder import DEEDS, tried


def verdict(deed: str, address: str = "") -> Verdict:
    return judge(tried({"deed": deed, "address": address}))[0]


@pytest.fixture
def port() -> Iterator[int]:
    """A server on the loopback that lets in whoever has a key, and says so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.headers.get("x-user-authorization") else 401)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        yield server.server_port
        server.shutdown()
        serving.join()


@pytest.fixture
def closed() -> Iterator[int]:
    """A port of the loopback where nobody listens, as long as this lasts."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert verdict("read", str(tmp_path / "file")) is Verdict.REACHED
    assert verdict("listed", str(tmp_path)) is Verdict.REACHED
    assert verdict("written", str(tmp_path)) is Verdict.REACHED
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    for deed in ("read", "listed", "written"):
        assert verdict(deed, str(tmp_path / "none" / "such")) is Verdict.REFUSED
    assert verdict("listed", str(tmp_path / "file")) is Verdict.REFUSED


def test_processes_of_the_host_are_seen() -> None:
    assert tried({"deed": "processes", "address": ""}).startswith("reached: ")


def test_ports_and_what_answers_there(port: int, closed: int) -> None:
    assert verdict("connected", f"tcp://127.0.0.1:{port}") is Verdict.REACHED
    assert verdict("answering", f"127.0.0.1:{port}") is Verdict.REACHED
    assert verdict("connected", f"tcp://127.0.0.1:{closed}") is Verdict.REFUSED
    assert verdict("answering", f"127.0.0.1:{closed}") is Verdict.REFUSED


def test_somebody_who_accepts_and_says_nothing_is_no_metadata_service() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        where = f"127.0.0.1:{mute.getsockname()[1]}"
        assert tried({"deed": "answering", "address": where}) == "timeout"


def test_sockets(tmp_path: Path) -> None:
    path = tmp_path / "door"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        for deed in ("connected", "in_sight"):
            assert verdict(deed, f"unix:{path}") is Verdict.REACHED
            assert verdict(deed, f"unix:{path}.not") is Verdict.REFUSED


def test_urls_with_a_key_and_without(port: int, closed: int) -> None:
    assert tried({"deed": "called", "address": f"http://127.0.0.1:{port}/x"}) == "http 401"
    assert verdict("called_with_a_key", f"http://127.0.0.1:{port}/x") is Verdict.REACHED
    assert verdict("called", f"http://127.0.0.1:{closed}/x") is Verdict.REFUSED


def test_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_URL", "postgresql://name:fe-12_ab@/x?y")
    for value, expected in (("fe-12_ab", Verdict.REACHED), ("fe-12", Verdict.REFUSED)):
        digest = hashlib.sha256(f"salt{value}".encode()).hexdigest()
        assert verdict("variable", f"salt:{digest}") is expected
    known = " ".join(set(os.environ) - {"SOME_URL"})
    assert tried({"deed": "names", "address": known}) == "reached: SOME_URL"


def test_where_there_is_no_database_there_is_no_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_NAME", raising=False)
    for deed in ("own_database", "database", "state", "role"):
        assert verdict(deed, "any") is Verdict.NOT_TRIED


def test_what_goes_wrong_in_the_intruder_itself_is_no_refusal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(address: str) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(intruder, "DEEDS", {**DEEDS, "read": broken})
    assert verdict("read", "/") is Verdict.NOT_TRIED
    assert verdict("no such deed", "/") is Verdict.NOT_TRIED
