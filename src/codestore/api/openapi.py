"""The OpenAPI document says of every operation what else it may answer, and what an upload is.

FastAPI knows what a handler returns. What is refused before one is reached, or by a Fault inside,
is the same for all, so it is said in one place.
"""

from functools import partial
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from pydantic import TypeAdapter

from codestore.api.limits import UPLOADS
from codestore.wire import Problem

REFUSALS = {
    HTTPStatus.BAD_REQUEST: "The gateway refuses what is not HTTP, or may be read in two ways.",
    HTTPStatus.UNAUTHORIZED: "There is no token, or it is good no more.",
    HTTPStatus.FORBIDDEN: "You may not, or a page of another site asked.",
    HTTPStatus.NOT_FOUND: "There is no such thing that you can see.",
    HTTPStatus.CONFLICT: "The present state does not allow it.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large.",
    HTTPStatus.MISDIRECTED_REQUEST: "The platform is not called by this name.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The request can never be accepted as it is.",
    HTTPStatus.TOO_MANY_REQUESTS: "This token asks too often; Retry-After says how long to wait.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "The headers are too large.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Try again; Retry-After says when.",
}
_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_ARCHIVE = {"application/gzip": {"schema": {"type": "string", "format": "binary"}}}


def install(app: FastAPI) -> None:
    """Have the application describe itself in full."""
    plain = app.openapi
    app.openapi = partial(_described, app, plain)  # type: ignore[method-assign]


def _described(app: FastAPI, plain: Any) -> dict[str, Any]:
    """Return the document; it is made once, as FastAPI does."""
    if app.openapi_schema is None:
        made: dict[str, Any] = plain()
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        schemas["Problem"] = TypeAdapter(Problem).json_schema()
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        for path, operations in made["paths"].items():
            for method, operation in operations.items():
                operation["responses"] |= _refusals()
                if method == "post" and path.endswith(UPLOADS):
                    operation["requestBody"] = {"required": True, "content": _ARCHIVE}
    return app.openapi_schema or {}


def _refusals() -> dict[str, Any]:
    return {
        str(int(status)): {"description": told, "content": _PROBLEM}
        for status, told in REFUSALS.items()
    }
