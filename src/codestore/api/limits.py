"""How large a request's body may be: refused by what it announces, or when it grows past that.

FastAPI reads a JSON body whole before it looks at the token, so this stands before everything.
"""

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from codestore.api.problems import answer_to
from codestore.api.uploads import MAX_IGNORED
from codestore.domain.faults import FaultKind, Letter

MAX_JSON = 2**20  # bytes
UPLOADS = ("/api/services", "/versions")  # how the paths of uploads end; these count themselves


class BodyLimit:
    """Bounds the body of each request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, unless its body is too large."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = MAX_IGNORED + MAX_JSON if scope["path"].endswith(UPLOADS) else MAX_JSON
        if _announced(scope) > limit:
            await answer_to(_too_large(limit))(scope, receive, send)
        else:
            await self._app(scope, _counted(receive, limit), send)


def _counted(receive: Receive, limit: int) -> Receive:
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:  # the one exception that FastAPI lets through while it reads a body
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _too_large(limit).detail)
        return message

    return counted


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


def _too_large(limit: int) -> Letter:
    return Letter(
        FaultKind.TOO_LARGE,
        "content_too_large",
        "Content too large",
        f"A request has at most {limit} bytes here.",
        "Send less at once.",
    )
