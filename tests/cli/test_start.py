"""What stands in the way of a start."""

import socket

import pytest

from codestore import __main__ as start


@pytest.fixture
def held() -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener


def test_a_port_that_is_let_go_of_in_a_moment_is_free(
    held: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start.time, "sleep", lambda seconds: held.close())
    assert start._taken(*held.getsockname()) is None


def test_a_port_that_stays_taken_is_told_so(
    held: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "PATIENCE", 0.01)
    with held:
        assert "in use" in (start._taken(*held.getsockname()) or "")
