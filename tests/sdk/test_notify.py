"""Telling how the service is: what is said arrives, and nobody who does not listen holds it up."""

import socket
import threading
from pathlib import Path

import pytest

from codestore_sdk import notify
from codestore_sdk.notify import Notifier


def listening(path: Path) -> socket.socket:
    """Return a socket at which states are told."""
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    heard.bind(str(path))
    return heard


def filled(path: Path) -> int:
    """Say so much that nothing more has room; return how often."""
    count = 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        while True:
            try:
                sender.sendto(b"STATUS=another", str(path))
            except BlockingIOError:
                return count
            count += 1


def test_what_is_said_when_there_is_no_room_arrives_when_there_is(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with listening(path) as heard:
        others = filled(path)
        notifier = Notifier({"NOTIFY_SOCKET": str(path)})
        saying = threading.Thread(target=notifier.send, args=("READY=1", "STATUS=accepting"))
        saying.start()
        saying.join(0.2)  # it waits; who does not has lost what it had to say by then
        heard.settimeout(10)
        said = [heard.recv(100) for _ in range(others + 1)]
        saying.join()
    assert said[-1] == b"READY=1\nSTATUS=accepting"


def test_nobody_is_held_up_for_long_by_who_does_not_listen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "PATIENCE", 0.05)
    path = tmp_path / "s"
    with listening(path) as heard:
        others = filled(path)
        Notifier({"NOTIFY_SOCKET": str(path)}).send("READY=1")
        assert [heard.recv(100) for _ in range(others)] == [b"STATUS=another"] * others
        heard.setblocking(False)
        with pytest.raises(BlockingIOError):
            heard.recv(100)


def test_nobody_is_needed(tmp_path: Path) -> None:
    Notifier({}).send("READY=1")
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).send("READY=1")
