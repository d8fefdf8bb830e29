"""What becomes of orders that are malformed, cannot be carried out, or are given up."""

import os
import signal
import socket
import sys
from pathlib import Path

import pytest
from house import PATIENCE
from nursery import Nursery, Parent


@pytest.mark.parametrize(
    "fields",
    [
        {"argv": [sys.executable, "-m", "http.server"]},
        {"argv": []},
        {"env": {"A": 1}},
        {"cwd": None},
        {"umask": "027"},
        {"fds": ["gate", "another"]},
        {"fds": ["listener"]},
        {"fds": []},
    ],
)
def test_a_malformed_packet_is_dropped_with_its_descriptors(
    nursery: Nursery, parent: Parent, plain: Path, fields: dict
) -> None:
    with parent.order({}, **fields).socket as gate:
        assert gate.recv(1) == b""
    parent.fork(plain, shared=nursery.shared).expect("READY=1\nSTATUS=ready")


@pytest.mark.parametrize(
    "data",
    [b"{", b"\xff", b"[" * 100_000, b"3", b"x" * 200_000],
    ids=["cut short", "not UTF-8", "too deep", "a number", "long"],
)
def test_a_packet_of_anything_is_dropped(
    nursery: Nursery, parent: Parent, plain: Path, data: bytes
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        socket.send_fds(parent.forks, [data], [theirs.fileno()] * 3)
        theirs.close()
        ours.settimeout(PATIENCE)
        assert ours.recv(1) == b""
    parent.fork(plain, shared=nursery.shared).expect("READY=1\nSTATUS=ready")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"cwd": "/nowhere"}, b"-entering /nowhere: No such file or directory"),
        ({"umask": 1 << 70}, b"-entering "),
        ({"env": {"A=": "1"}}, b"-taking over its environment: "),
        ({"death_signal": 1000}, b"-tying its life to the keeper's: Invalid argument"),
    ],
)
def test_what_cannot_become_a_service_says_why(parent: Parent, fields: dict, reason: bytes) -> None:
    with parent.order({}, **fields).socket as gate:
        assert gate.recv(4096).startswith(reason)
        assert gate.recv(1) == b""


def test_a_service_whose_module_a_library_would_hide_is_not_forked(
    nursery: Nursery, parent: Parent, tmp_path: Path
) -> None:
    (tmp_path / "wave.py").write_text("")
    with parent.order({}, cwd=str(tmp_path)).socket as gate:
        assert b"the service's own 'wave' would be hidden" in gate.recv(4096)


def test_nobody_becomes_a_service_for_a_keeper_that_is_not_its_parent(parent: Parent) -> None:
    with parent.order({}, keeper=os.getppid()).socket as gate:
        assert gate.recv(1) == b""


def test_a_fork_whose_gate_closes_ends(parent: Parent) -> None:
    gate = parent.order({})
    word, pid = gate.hear()
    assert word == b"+"
    gate.socket.close()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 127


def test_signals_work_again_before_a_fork_is_let_go(parent: Parent) -> None:
    gate = parent.order({}, death_signal=0)
    with gate.socket:
        _, pid = gate.hear()
        os.kill(pid, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM
