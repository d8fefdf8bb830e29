"""Refusing a body that announces too much, before any of it is read, with a problem."""

from starlette.types import ASGIApp, Receive, Scope, Send

from codestore.api.problems import answer_to
from codestore.api.uploads import MAX_IGNORED
from codestore.domain.faults import FaultKind, Letter

MAX_JSON = 2**20  # bytes
UPLOADS = ("/api/services", "/versions")  # how the paths of uploads end


class AnnouncedLimit:
    """Looks at ``Content-Length`` only; a body without one is counted while it is read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _announced(scope) > _limit(scope["path"]):
            await answer_to(_too_large(_limit(scope["path"])))(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


def _limit(path: str) -> int:
    return MAX_IGNORED if path.endswith(UPLOADS) else MAX_JSON


def _too_large(limit: int) -> Letter:
    return Letter(
        FaultKind.TOO_LARGE,
        "content_too_large",
        "Content too large",
        f"A request has at most {limit} bytes here.",
        "Send less at once.",
    )
