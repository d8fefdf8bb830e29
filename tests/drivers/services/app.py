"""A service that does what tests ask for."""

import asyncio
import json
import os
import signal
import time


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
    said = {"pid": os.getpid(), "environment": dict(os.environ)}
    await _answer(send, statuses.get(path, 200), json.dumps(said).encode())


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
