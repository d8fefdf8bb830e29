"""An ASGI application that shows what its process is: its environment, folder, descriptors."""

import atexit
import json
import os
import random
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

Message = dict[str, Any]

ENVIRON = dict(os.environ)
SIGNALS = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)]
atexit.register(print, "left in good order")


async def app(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(shown()).encode()})


def shown() -> Message:
    umask = os.umask(0)
    os.umask(umask)
    print("looked at", file=sys.stderr)
    return {
        "environ": ENVIRON,
        "signals": [repr(each) for each in SIGNALS],
        "blocked": list(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "cwd": str(Path.cwd()),
        "argv": sys.argv,
        "path": sys.path,
        "umask": umask,
        "dice": random.random(),
        "pids": [os.getpid(), os.getppid(), os.getsid(0)],
        "threads": threading.active_count(),
        "files": sorted(str(Path(f"/proc/self/fd/{fd}").readlink()) for fd in range(3)),
        "own": sorted(name for name in sys.modules if name.startswith("service")),
    }
