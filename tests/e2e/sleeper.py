"""A service that falls asleep soon, and tells of each process of its own who it is."""

import json
from typing import Any

import httpx
import psutil
import pytest

from tests.e2e.services import Small, api
from tests.support.platform import KEY, Platform

PATIENCE = 30.0
APP = """
import asyncio, hashlib, json, os, secrets
from pathlib import Path

if Path(os.environ["HOME"], "marker").exists():
    raise RuntimeError("what it needs is not there")
NAME = secrets.token_hex()  # its pid may be that of another one elsewhere

async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
    elif scope["type"] == "http":
        if scope["path"] == "/die":
            os._exit(7)
        if scope["path"] == "/events":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"begun", "more_body": True})
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        digest = hashlib.sha256()
        while True:
            message = await receive()
            digest.update(message.get("body", b""))
            if not message.get("more_body"):
                break
        told = {"name": NAME, "method": scope["method"], "sha256": digest.hexdigest()}
        body = json.dumps(told).encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
"""
RUN = "database: false\nrun: {asgi: 'app.main:app'}\nhealth: {path: /, timeout: 20s}\n"
SLEEPS = "environments: {private: {standby: STANDBYs, stop: STOPs}, demo: {standby: 1h}}\n"


SERVER = """
import hashlib, http.server, json, os, secrets
from pathlib import Path

if Path(os.environ["HOME"], "marker").exists():
    raise RuntimeError("what it needs is not there")
NAME = secrets.token_hex()  # its pid may be that of another one elsewhere

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        told = {"name": NAME, "sha256": hashlib.sha256(body).hexdigest()}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())

    do_POST = do_GET

class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 1000

Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
COMMAND = "database: false\nrun: {command: [python3, server.py]}\nhealth: {timeout: 20s}\n"


class Sleeper:
    """A service whose private environment falls asleep soon."""

    def __init__(
        self,
        platform: Platform,
        name: str,
        standby: float = 1,
        stop: float = 2,
        command: bool = False,
    ) -> None:
        self.small = Small(platform, name)
        self.platform = platform
        rest = COMMAND if command else RUN
        rest += SLEEPS.replace("STANDBY", str(standby)).replace("STOP", str(stop))
        self.small.write(app=APP, rest=rest, server__py=SERVER)
        platform.cs("service:create", name, "--dir", str(self.small.folder))
        self.place = self.info()
        self.home = platform.data / "work" / self.place["id"] / "home"
        self.marker = self.home / "marker"
        self.headers = {KEY: self.place["key"]}

    def info(self) -> dict[str, Any]:
        found: dict[str, Any] = self.small.info()["private"]
        return found

    def processes(self) -> list[psutil.Process]:
        """Its own, among the keeper's."""
        return self.platform.instances(self.place["id"])

    def happened(self, kind: str, after: int = 0, text: str = "") -> dict[str, Any]:
        """Wait for an event after another one; return it."""
        query = {"service": self.small.name, "environment": "private", "after": after}
        with (
            api(self.platform) as web,
            web.stream("GET", "/api/events/stream", params=query) as stream,
        ):
            for line in stream.iter_lines():
                word, _, value = line.partition(": ")
                if word == "data":
                    event: dict[str, Any] = json.loads(value)
                    if event["kind"] == kind and text in event["message"]:
                        return event
        raise AssertionError("the stream ended")

    def asleep(self, depth: str, after: int = 0) -> int:
        """Wait until it sleeps that deep; return the number of the event."""
        number: int = self.happened("standby", after, f"{depth}: no request")["sequence"]
        return number

    def undisturbed(self, after: int, seconds: float) -> None:
        """See that nothing at all happens for so long."""
        query = {"service": self.small.name, "environment": "private", "after": after}
        with (
            api(self.platform) as web,
            web.stream("GET", "/api/events/stream", params=query, timeout=seconds) as stream,
            pytest.raises(httpx.ReadTimeout),
        ):
            raise AssertionError(
                [line for line, _ in zip(stream.iter_lines(), "1234", strict=False)]
            )

    def call(self, **more: Any) -> httpx.Response:
        return httpx.request(
            **{
                "method": "GET",
                "url": self.place["url"],
                "headers": self.headers,
                "timeout": PATIENCE,
                **more,
            },
            verify=False,
        )
