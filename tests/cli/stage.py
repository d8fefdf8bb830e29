"""A platform that plays its part: it answers what it was told to, and notes what it was asked."""

import json
import threading
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "token-of-the-owner"


@dataclass(frozen=True)
class Answer:
    body: bytes
    status: int = 200
    type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes


def told(value: Any, status: int = 200) -> Answer:
    """Answer with JSON; wire shapes become what the API makes of them."""
    plain = asdict(value) if hasattr(value, "__dataclass_fields__") else value
    return Answer(json.dumps(plain, default=_plain).encode(), status)


def listing(*items: Any, next_: str | None = None) -> Answer:
    plain = [asdict(item) for item in items]
    return told({"items": plain, "next": next_})


def refusal(status: int, code: str = "refused", hint: str = "cs status") -> Answer:
    problem = {
        "type": f"urn:codestore:problem:{code}",
        "title": "It was refused",
        "detail": "There is a reason.",
        "status": status,
        "code": code,
        "hint": hint,
        "where": "codestore.yaml:3",
    }
    return Answer(json.dumps(problem).encode(), status, "application/problem+json")


def stream(*messages: tuple[str, Any]) -> Answer:
    """Answer with server-sent messages, after which the connection closes."""
    text = ": ping\n\n"
    for number, (event, data) in enumerate(messages, 1):
        plain = asdict(data) if hasattr(data, "__dataclass_fields__") else data
        text += f"event: {event}\nid: {number}\ndata: {json.dumps(plain, default=_plain)}\n\n"
    return Answer(text.encode(), 200, "text/event-stream")


def _plain(value: Any) -> str:
    return str(value.isoformat())


class Stage:
    """Serves on a free port while it is used as a context."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.scripts: dict[tuple[str, str], list[Answer]] = {}
        stage = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *words: Any) -> None:
                pass

            def do(self) -> None:
                stage.serve(self)

            do_GET = do_POST = do_PUT = do_DELETE = do  # noqa: N815 - http.server's names

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> "Stage":
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def on(self, method: str, path: str, *answers: Answer) -> None:
        """Give these answers in turn, the last one for ever."""
        self.scripts[method, path] = list(answers)

    def asked(self, method: str, path: str) -> list[Request]:
        return [each for each in self.requests if (each.method, each.path) == (method, path)]

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        body = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        request = Request(handler.command, parts.path, parse_qs(parts.query), headers, body)
        self.requests.append(request)
        script = self.scripts.get((request.method, request.path), [refusal(404, "not_scripted")])
        answer = script.pop(0) if len(script) > 1 else script[0]
        open_ = request.path.startswith("/api/login")
        if not open_ and headers.get("authorization") != f"Bearer {TOKEN}":
            answer = refusal(401, "unauthenticated", "cs login")
        handler.send_response(answer.status)
        handler.send_header("Content-Type", answer.type)
        if answer.type != "text/event-stream":
            handler.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(answer.body)
