"""A service that does what tests ask for."""

import asyncio
import json
import os
import secrets
import signal
import sys
import time
from pathlib import Path

NAME = secrets.token_hex()  # its pid may be that of another one elsewhere


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    path = scope["path"]
    if path == "/hang":
        print("hanging")
        time.sleep(1000)
    if path == "/die":
        os._exit(7)
    if path == "/body":
        print("reading")
        while (await receive()).get("more_body"):
            pass
    statuses = {"/broken": 503, "/missing": 404}
    if path in ("/take", "/fill"):
        _take(path)
    if path == "/helper":
        code = "bytearray(400 * 2**20)"
        await (await asyncio.create_subprocess_exec(sys.executable, "-c", code)).wait()
    if path == "/health":
        statuses[path] = await _health()
    said = {"name": NAME, "environment": dict(os.environ)}
    await _answer(send, statuses.get(path, 200), json.dumps(said).encode())


def _take(path):
    if path == "/take":
        bytearray(400 * 2**20)
    else:
        for n in range(50):
            Path(os.environ["HOME"], str(n)).write_bytes(bytes(2**20))


async def _health():
    """The status that is in the file "health" at home; it may also say "hang" or "slow"."""
    print("asked")
    file = Path(os.environ["HOME"], "health")
    told = file.read_text() if file.exists() else "200"
    if told == "hang":
        await asyncio.sleep(1000)
    if told == "slow":
        await asyncio.sleep(0.05)
    return int(told) if told.isdigit() else 200


async def _live(receive, send):
    await receive()
    if os.environ.get("DIES_WHEN_ADMITTED"):
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, os._exit, 3)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def _answer(send, status, body):
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
