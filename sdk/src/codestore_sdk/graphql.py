"""Serves a folder with `schema.graphql` and one file per resolver as a GraphQL API.

`/graphql` answers POST (JSON) and GET (queries only); `/health` answers 200. There is no
explorer page: those that exist load their scripts from other people's servers.

Most of a GraphQL service's start is importing graphql-core and Ariadne: about 200 ms of 350.
"""

import logging
from pathlib import Path
from typing import Any

from ariadne import load_schema_from_path, make_executable_schema
from ariadne.asgi import GraphQL
from ariadne.explorer import ExplorerHttp405
from graphql import GraphQLError, GraphQLSchema
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from codestore_sdk.errors import StartError
from codestore_sdk.resolvers import bind_resolvers


def create_app(folder: Path | str) -> ASGIApp:
    """Make the ASGI application for `folder`.

    Raises StartError when the schema is missing or wrong, and when resolvers and fields do not
    match one to one (see `resolvers`).
    """
    root = Path(folder)
    schema = _load_schema(root)
    bind_resolvers(schema, root / "resolvers")
    graphql = GraphQL(
        schema,
        context_value=_context,
        execute_get_queries=True,
        explorer=ExplorerHttp405(),
        logger=_logger(),
    )

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        elif scope["path"] == "/graphql":
            await graphql(scope, receive, send)
        elif scope["path"] == "/health":
            await JSONResponse({"status": "ok"})(scope, receive, send)
        else:
            answer = {"error": "not found", "hint": "the API is at /graphql"}
            await JSONResponse(answer, status_code=404)(scope, receive, send)

    return app


def _load_schema(root: Path) -> GraphQLSchema:
    """Read `schema.graphql`, or every `schema/**/*.graphql`."""
    path = next((p for p in (root / "schema.graphql", root / "schema") if p.exists()), None)
    if path is None:
        raise StartError(f"there is no {root / 'schema.graphql'}", "the schema is written first")
    try:
        return make_executable_schema(load_schema_from_path(path))
    except (GraphQLError, TypeError, ValueError) as error:
        raise StartError(f"{path} is not a valid schema: {error}") from None
    except Exception as error:
        raise StartError(f"{path} cannot be read: {error}") from None


def _context(request: Request, _data: Any) -> dict[str, Any]:
    """What a resolver finds in `info.context`."""
    return {"request": request}


def _logger() -> logging.Logger:
    """Errors of resolvers, with their tracebacks, to stderr or where the service says.

    A query that does not parse or validate is its sender's mistake and is told to the sender.
    """
    logger = logging.getLogger("codestore_sdk.graphql")
    logger.addFilter(_is_own_error)
    return logger


def _is_own_error(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, GraphQLError) or error.original_error is not None


async def _live(receive: Receive, send: Send) -> None:
    for moment in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{moment}.complete"})
