"""Telling how the service is: what is said arrives, and nobody who does not listen holds it up."""

import threading
from pathlib import Path

import pytest

from codestore_sdk import notify
from codestore_sdk.notify import Notifier
from tests.support.datagrams import ANOTHER, crowded


def test_what_is_said_when_there_is_no_room_arrives_when_there_is(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with crowded(path) as (heard, others):
        notifier = Notifier({"NOTIFY_SOCKET": str(path)})
        saying = threading.Thread(target=notifier.send, args=("READY=1", "STATUS=accepting"))
        saying.start()
        saying.join(0.2)  # it waits; who does not has lost what it had to say by then
        said = [heard.recv(100) for _ in range(others + 1)]
        saying.join()
    assert said[-1] == b"READY=1\nSTATUS=accepting"


def test_nobody_is_held_up_for_long_by_who_does_not_listen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "PATIENCE", 0.05)
    path = tmp_path / "s"
    with crowded(path) as (heard, others):
        Notifier({"NOTIFY_SOCKET": str(path)}).send("READY=1")
        assert [heard.recv(100) for _ in range(others)] == [ANOTHER] * others
        heard.setblocking(False)
        with pytest.raises(BlockingIOError):
            heard.recv(100)


def test_nobody_is_needed(tmp_path: Path) -> None:
    Notifier({}).send("READY=1")
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).send("READY=1")
