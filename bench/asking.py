"""What a person can ask of a platform for one service, and the versions of it that are pushed."""

import random
import shutil
from pathlib import Path
from typing import Any

from codestore.cli.client import Client, path
from codestore.cli.pack import packed
from codestore.wire.asks import Inclusion, Promotion, Roll, Rotation
from codestore.wire.secrets import NewSecret, Rekeying

SHOP = "shop"
TOKEN = "TOKEN"
SLOW = 3.0  # seconds that /slow takes
ASGI = """
import asyncio, os
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["path"].endswith("/slow"):
        await asyncio.sleep(SLOW)
    body = ("TEXT|" + os.environ.get("TOKEN", "")).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""
COMMAND = """
import os, socket, threading, time
def answer(caller):
    with caller:
        asked = b""
        while b"\\r\\n\\r\\n" not in asked:
            more = caller.recv(65536)
            if not more:
                return
            asked += more
        if asked.split(b" ")[1].endswith(b"/slow"):
            time.sleep(SLOW)
        body = ("TEXT|" + os.environ.get("TOKEN", "")).encode()
        head = b"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n"
        caller.sendall(head % len(body) + body)
server = socket.create_server(("127.0.0.1", int(os.environ["PORT"])), backlog=100)
while True:
    threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()
"""
APPS = {
    "asgi": (ASGI, "asgi: 'app.main:app'"),
    "command": (COMMAND, "command: [python3, -S, app/main.py]"),
}
BAD = {"start": "raise SystemExit('no')\n", "migrate": "raise SystemExit('no such column')\n"}
MANIFEST = """
service: NAME
run: {RUN}
migrate: [python3, -S, migrate.py]
health: {path: /, timeout: 20s}
environments:
  private: {standby: 2s, stop: 4s}
  demo: {standby: 2s, stop: 4s}
  development: {standby: 3s, stop: 6s, concurrency: 1, instances: {min: LEAST, max: 2}}
  staging: {canary: {steps: [50, 100], hold: 1s}, instances: {min: LEAST, max: 2}}
"""


class Asks:
    """Asks for changes of one service. ``texts`` are what its versions answer.

    Every method raises CommandError.
    """

    def __init__(self, client: Client, folder: Path, kind: str, dice: random.Random) -> None:
        self.client, self.service = client, folder.name
        self.texts: dict[str, str] = {}
        self._folder, self._kind, self._dice = folder, kind, dice
        self._number = 0

    def create(self) -> Any:
        text = self._write()
        self.texts = {"0.0.1": text}
        with packed(self._folder) as archive:
            return self.client.upload(path("services"), {"name": self.service}, archive)

    def push(self, bad: str = "") -> Any:
        text = self._write(bad)
        with packed(self._folder) as archive:
            change = self.client.upload(path("services", self.service, "versions"), {}, archive)
        self.texts[change["document"]["version"]] = text
        return change

    def promote(self) -> Any:
        return self.client.post(path("services", self.service, "promote"))

    def roll(self) -> Any:
        wish = Roll("private", "latest")
        return self.client.post(path("services", self.service, "roll"), wish)

    def include(self) -> Any:
        return self.client.post(path("projects", SHOP, "services"), Inclusion(self.service))

    def promote_to(self, kind: str) -> Any:
        where = path("projects", SHOP, "services", self.service, "promote")
        return self.client.post(where, Promotion(kind, force=True))

    def roll_to(self) -> Any:
        where = path("projects", SHOP, "services", self.service, "roll")
        return self.client.post(where, Roll("production", "latest"))

    def exclude(self) -> Any:
        return self.client.delete(path("projects", SHOP, "services", self.service))

    def remove(self) -> Any:
        return self.client.delete(path("services", self.service))

    def secret(self) -> str | None:
        """Return the value of the service's secret, if it has one."""
        where = path("secrets", "reveal")
        found = self.client.post(where, query={"service": self.service})["items"]
        return next((each["value"] for each in found if each["key"] == TOKEN), None)

    def set_secret(self, value: str, *, fresh: bool) -> Any:
        wish = NewSecret(TOKEN, value, service=self.service)
        ask = self.client.post if fresh else self.client.put
        return ask(path("secrets"), wish)

    def forget_secret(self) -> Any:
        return self.client.delete(path("secrets", TOKEN), {"service": self.service})

    def rekey(self) -> Any:
        return self.client.post(path("secrets", "rekey"), Rekeying(master=True, data=True))

    def new_key(self) -> Any:
        wish = Rotation(overlap=0.0)
        return self.client.post(path("services", self.service, "keys"), wish)

    def new_password(self) -> Any:
        place = ("environments", self.service, "private", "services", self.service)
        return self.client.post(path(*place, "database", "password"))

    def _write(self, bad: str = "") -> str:
        """Write the folder of the next version; return what it will answer."""
        self._number += 1
        text, (app, run) = f"{self.service} {self._number}", APPS[self._kind]
        shutil.rmtree(self._folder, ignore_errors=True)
        (self._folder / "app").mkdir(parents=True)
        app = BAD["start"] if bad == "start" else app.replace("TEXT", text)
        migrate = BAD["migrate"] if bad == "migrate" else f"# {text}\n"
        (self._folder / "app/main.py").write_text(app.replace("SLOW", str(SLOW)))
        (self._folder / "migrate.py").write_text(migrate)
        manifest = MANIFEST.replace("NAME", self.service).replace("RUN", run)
        least = str(self._dice.choice((1, 1, 2)))
        (self._folder / "codestore.yaml").write_text(manifest.replace("LEAST", least))
        return text
