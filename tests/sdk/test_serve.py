"""What the command says and does when it starts, well or not."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from house import House, client

SERVE = (sys.executable, "-m", "codestore_sdk.serve")


def serve(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command in `folder`, where it cannot start."""
    return subprocess.run(
        [*SERVE, *arguments],
        cwd=folder,
        env={**os.environ, "PORT": "0", **environ},
        capture_output=True,
        text=True,
        timeout=10,
    )


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        ("service", "'service' does not name an application"),
        ("nowhere.main:app", "there is no module 'nowhere' in "),
        ("service.main:app", "there is no module 'service.main' in "),
        ("service:missing", "the module service has no 'missing'"),
        ("service:app.missing", "the module service has no 'app.missing'"),
        ("service:__name__", "service:__name__ is no ASGI application but of type str"),
    ],
)
def test_a_target_that_is_not_there_is_named(plain: Path, target: str, complaint: str) -> None:
    ended = serve(plain, "asgi", target)
    assert ended.returncode == 1
    assert ended.stderr.startswith("cannot start: ")
    assert complaint in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("1 / 0", "importing service failed: ZeroDivisionError('division by zero')"),
        ("import nothing_like_it", "'nothing_like_it' is not installed"),
        ("def app(:", "importing service failed: SyntaxError("),
    ],
)
def test_a_failing_import_shows_its_traceback_and_then_the_reason(
    tmp_path: Path, source: str, complaint: str
) -> None:
    (tmp_path / "service.py").write_text(source)
    ended = serve(tmp_path, "asgi", "service:app")
    assert ended.returncode == 1
    assert "service.py" in ended.stderr
    assert complaint in ended.stderr[ended.stderr.index("cannot start: ") :]


def test_a_failing_lifespan_startup_is_a_failed_start(tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text(
        "async def app(scope, receive, send):\n"
        "    await send({'type': 'lifespan.startup.failed', 'message': 'no database'})\n"
    )
    ended = serve(tmp_path, "asgi", "service:app")
    assert ended.returncode == 1
    assert "no database" in ended.stderr


@pytest.mark.parametrize("arguments", [(), ("asgi",), ("wsgi", "service:app")])
def test_wrong_usage_ends_with_2(plain: Path, arguments: tuple[str, ...]) -> None:
    ended = serve(plain, *arguments)
    assert (ended.returncode, ended.stderr[:6]) == (2, "usage:")


def test_a_missing_socket_is_named(house: House, plain: Path) -> None:
    instance = house.start(plain, "asgi", "service:app", LISTEN_FDNAMES="private:other")
    assert instance.left() == 1
    assert "no socket named shared was handed over" in instance.output()


@pytest.mark.parametrize("port", ["http", "99999"])
def test_a_port_that_cannot_be_is_refused(plain: Path, port: str) -> None:
    ended = serve(plain, "asgi", "service:app", PORT=port)
    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr


def test_started_by_hand_it_serves_on_a_port(plain: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen(
        [*SERVE, "asgi", "service:app"],
        cwd=plain,
        env={**os.environ, "PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        while process.stdout.readline() not in ("started\n", ""):
            pass
        transport = httpx.HTTPTransport(retries=5)
        with httpx.Client(transport=transport) as visitor:
            answer = visitor.get(f"http://127.0.0.1:{port}/")
        process.terminate()
        assert process.wait(10) == 0
    assert answer.json()["scheme"] == "http"
    assert "server" not in answer.headers


def test_the_gateway_is_believed_who_calls(house: House, plain: Path) -> None:
    instance = house.ready(plain, "asgi", "service:app")
    with client(instance.private) as private:
        headers = {"x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.7"}
        answer = private.get("/", headers=headers).json()
    assert (answer["scheme"], answer["client"]) == ("https", ["192.0.2.7", 0])


def test_of_several_callers_the_one_counts_that_the_gateway_has_seen(
    house: House, plain: Path
) -> None:
    instance = house.ready(plain, "asgi", "service:app")
    with client(instance.private) as private:
        answer = private.get("/", headers={"x-forwarded-for": "198.51.100.1, 192.0.2.7"}).json()
    assert answer["client"] == ["192.0.2.7", 0]


def test_an_unhandled_exception_is_printed(house: House, plain: Path) -> None:
    instance = house.ready(plain, "asgi", "service:app")
    with client(instance.private) as private:
        assert private.get("/fail").status_code == 500
    instance.drain()
    output = instance.output()
    assert output.count("Traceback") == 1
    assert "RuntimeError: the application broke" in output


def test_logging_of_the_service_cannot_hide_its_exceptions(
    house: House, plain: Path, tmp_path: Path
) -> None:
    (tmp_path / "quiet.py").write_text(
        "import logging.config\n"
        f"import sys; sys.path.append({str(plain)!r})\n"
        "from service import app\n"
        "logging.config.dictConfig({'version': 1})\n"
    )
    instance = house.ready(tmp_path, "asgi", "quiet:app")
    with client(instance.private) as private:
        assert private.get("/fail").status_code == 500
    instance.drain()
    assert "RuntimeError: the application broke" in instance.output()


def test_neither_sockets_nor_their_variables_reach_children(house: House, tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text(
        "import subprocess\n"
        "look = 'env; for fd in 3 4; do [ -S /dev/fd/$fd ] && echo LISTEN_$fd; done; true'\n"
        "subprocess.run(['sh', '-c', look], close_fds=False)\n"
        "async def app(scope, receive, send): raise RuntimeError\n"
    )
    instance = house.ready(tmp_path, "asgi", "service:app")
    instance.drain()
    told = instance.output().splitlines()
    assert any(line.startswith("PATH=") for line in told)
    assert not [line for line in told if line.startswith(("LISTEN_", "NOTIFY_SOCKET"))]
