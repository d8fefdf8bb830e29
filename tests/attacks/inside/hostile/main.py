"""A service that attacks from inside: GET /NAME does it and tells what it got, or was refused with.

All modules of this folder are its package ``app``.

It knows all that somebody could find out who has read the platform's code and its process list:
what it is told in the query. No name of an attack begins with an underscore. A function returns
what it has reached; whoever is refused raises, or returns nothing.
"""

import json
import traceback
from pathlib import Path
from urllib.parse import parse_qs

from app import files, network, processes, rights

ATTACKS = {
    name: attack
    for module in (files, network, processes, rights)
    for name, attack in vars(module).items()
    if getattr(attack, "__module__", "") == module.__name__ and not name.startswith("_")
}


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    name = scope["path"].strip("/")
    query = {key: each[0] for key, each in parse_qs(scope["query_string"].decode()).items()}
    told = {}
    if not name:
        told["command"] = Path("/proc/self/cmdline").read_text().split("\0")
    else:
        try:
            told["got"] = str(ATTACKS[name](**query) or "")
        except OSError as refused:
            told["refused"] = str(refused)
        except Exception:
            told["failed"] = traceback.format_exc()
    body = json.dumps(told).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
