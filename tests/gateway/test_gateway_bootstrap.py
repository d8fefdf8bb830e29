"""The bootstrap file and the command: what Envoy starts with."""

import socket
import subprocess
from pathlib import Path

import pytest

from codestore.gateway.bootstrap import EnvoySettings, envoy_command, write_bootstrap


@pytest.fixture
def settings(tmp_path, free_port):
    return EnvoySettings(free_port, tmp_path / "c", tmp_path / "x", tmp_path / "a")


def test_envoy_takes_the_file_without_a_warning(settings, tmp_path):
    file = tmp_path / "envoy.json"
    write_bootstrap(settings, file)
    command = [*envoy_command(settings, file), "--mode", "validate"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert "[warning]" not in done.stderr
    assert "OK" in done.stdout


def test_the_file_is_the_owners_alone_and_is_replaced_whole(settings, tmp_path):
    file = tmp_path / "envoy.json"
    for _ in range(2):
        write_bootstrap(settings, file)
        assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_a_taken_port_stops_envoy_with_its_reason(settings, tmp_path):
    file = tmp_path / "envoy.json"
    write_bootstrap(settings, file)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", settings.port))
        taken.listen()
        command = envoy_command(settings, file)
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    assert done.returncode != 0
    assert "Address already in use" in done.stderr


def test_a_path_that_is_too_long_for_a_socket_is_named():
    long = Path("/tmp/" + "x" * 110)
    with pytest.raises(ValueError, match="at most 107 bytes"):
        EnvoySettings(1, Path("/tmp/c"), long, Path("/tmp/a"))
