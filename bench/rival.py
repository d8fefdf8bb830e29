"""What the gateway is measured against: the same application under other servers, behind nginx.

The servers run in the folder, with the environment and on the very packages of an instance that
the platform has started. nginx does what the gateway does for a request: it looks for the key and
takes it away, takes the prefix off the path and tells it, says who the client is. It is set up as
well as it can be: a worker for each core that has a listening socket of its own, connections to the
servers that are kept, over Unix sockets, no access log.
"""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.common import PATIENCE, Line
from bench.tools import need, need_packages
from tests.support.platform import KEY, Platform
from tests.support.ports import free_port

NOT_OURS = ("LISTEN_", "CODESTORE_", "NOTIFY_SOCKET", "WOKEN_AT")
UVICORN = (
    *("--workers", "2", "--loop", "uvloop", "--http", "httptools", "--timeout-keep-alive", "75"),
    *("--no-access-log", "--no-server-header", "--log-level", "warning"),
    *("--forwarded-allow-ips", "*"),
)
GUNICORN = (
    *("--workers", "2", "--worker-class", "uvicorn_worker.UvicornWorker", "--keep-alive", "75"),
    *("--forwarded-allow-ips", "*", "--log-level", "warning"),
)
NGINX = """
worker_processes auto;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  server_tokens off;
  keepalive_requests 1000000000;
  keepalive_timeout 300s;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  map_hash_bucket_size 256;
  map $http_x_user_authorization $opened {{ default 0; "{key}" 1; }}
  {servers}
}}
"""
SERVER = """
  upstream {name} {{
    server unix:{socket};
    keepalive 64; keepalive_requests 1000000000; keepalive_timeout 5s;
  }}
  server {{
    listen 127.0.0.1:{port} reuseport backlog=4096;
    location {prefix}/ {{
      if ($opened = 0) {{ return 403; }}
      proxy_pass http://{name}/;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-User-Authorization "";
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Prefix {prefix};
    }}
  }}
"""


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance of a deployment: how the platform has started it."""

    process: psutil.Process
    python: str
    folder: str
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Server:
    """A rival that runs: where it answers, and the processes that do the work."""

    name: str
    url: str
    workers: Sequence[psutil.Process]


def instances(platform: Platform, deployment: str) -> list[Instance]:
    """Return the instances of a deployment, of which there are some."""
    found = platform.instances(deployment)
    assert found, f"no process of {deployment}"
    return [Instance(each, each.cmdline()[0], each.cwd(), each.environ()) for each in found]


class Rivals:
    """uvicorn and gunicorn, each with two workers and a database, and nginx before both."""

    def __init__(self, stack: ExitStack, folder: Path, place: Mapping[str, Any]) -> None:
        folder.mkdir()
        self._stack = stack
        self._folder = folder
        self._key = place["key"]
        self._prefix = "/" + place["url"].rsplit("/", 1)[1]
        self._programs: dict[str, psutil.Process] = {}
        self._ports: dict[str, int] = {}

    def start(self, **databases: Instance) -> tuple[list[Server], list[psutil.Process]]:
        """Start all; each server takes its database from one of the instances.

        Return the servers, and the processes of nginx.
        """
        need_packages(self._folder / "packages", "gunicorn", "uvicorn-worker")
        for name, instance in databases.items():
            self._serve(name, instance)
        servers = "".join(
            SERVER.format(
                name=name,
                socket=self._socket(name),
                port=self._ports.setdefault(name, free_port()),
                prefix=self._prefix,
            )
            for name in databases
        )
        conf = self._folder / "nginx.conf"
        conf.write_text(NGINX.format(folder=self._folder, key=self._key, servers=servers))
        self._spawn(
            "nginx", [need("nginx"), "-e", str(self._folder / "nginx.log"), "-c", str(conf)]
        )
        found = [Server(name, self._answers(name), self._below(name)) for name in databases]
        return found, self._below("nginx")

    def _serve(self, name: str, instance: Instance) -> None:
        environment = {
            key: value
            for key, value in instance.environment.items()
            if not key.startswith(NOT_OURS)
        }
        environment["PYTHONPATH"] = str(self._folder / "packages")
        socket = self._socket(name)
        options = {
            "uvicorn": [*UVICORN, "--uds", str(socket)],
            "gunicorn": [*GUNICORN, "--bind", f"unix:{socket}"],
        }[name]
        command = [instance.python, "-m", name, "app.main:app", *options]
        self._spawn(name, command, cwd=instance.folder, env=environment)

    def _spawn(self, name: str, command: Sequence[str], **more: Any) -> None:
        log = self._stack.enter_context((self._folder / f"{name}.out").open("w"))
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, **more
        )
        self._stack.callback(_end, process)
        self._programs[name] = psutil.Process(process.pid)

    def _answers(self, name: str) -> str:
        """Wait until it answers; return its address."""
        url = f"http://127.0.0.1:{self._ports[name]}{self._prefix}"
        given_up = time.monotonic() + PATIENCE
        while True:
            try:
                with closing(Line(url, self._key)) as line:
                    status = line.ask("/health")[0]
            except OSError:
                status = 0
            if status == 200:
                return url
            if time.monotonic() > given_up:
                said = (self._folder / f"{name}.out").read_text()
                sys.exit(f"{name} behind nginx does not answer: {status}\n{said}")
            time.sleep(0.1)

    def _below(self, name: str) -> list[psutil.Process]:
        """Return the processes that a program works with, without the one that watches them."""
        return [
            each
            for each in self._programs[name].children()
            if "resource_tracker" not in " ".join(each.cmdline())
        ]

    def _socket(self, name: str) -> Path:
        return self._folder / f"{name}.sock"


def refuses(url: str) -> None:
    """See that nobody passes without the key."""
    with closing(Line(url)) as line:
        status = line.ask("/health")[0]
    assert status in (401, 403), status
    with closing(Line(url, "wrong")) as line:
        status = line.ask("/health")[0]
    assert status == 403, f"{KEY}: {status}"


def _end(process: "subprocess.Popen[bytes]") -> None:
    below = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for each in psutil.wait_procs(below, timeout=5)[1]:
        each.kill()
