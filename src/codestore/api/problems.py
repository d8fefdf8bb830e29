"""The one place where a fault becomes an HTTP answer: RFC 9457 problem+json."""

from dataclasses import asdict
from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from codestore.domain.faults import Fault, FaultKind, Letter
from codestore.wire import Problem

STATUS = {
    FaultKind.INVALID: HTTPStatus.UNPROCESSABLE_ENTITY,
    FaultKind.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    FaultKind.FORBIDDEN: HTTPStatus.FORBIDDEN,
    FaultKind.NOT_FOUND: HTTPStatus.NOT_FOUND,
    FaultKind.CONFLICT: HTTPStatus.CONFLICT,
    FaultKind.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    FaultKind.TOO_MANY: HTTPStatus.TOO_MANY_REQUESTS,
    FaultKind.FAILED: HTTPStatus.INTERNAL_SERVER_ERROR,
    FaultKind.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}
LATER: dict[int, str] = {
    HTTPStatus.SERVICE_UNAVAILABLE: "1",
    HTTPStatus.TOO_MANY_REQUESTS: "60",
}
"""Seconds after which to try again, where nobody knows better."""
log = structlog.get_logger(__name__)


def problem(letter: Letter) -> Problem:
    """Return the problem that tells of a fault."""
    return Problem(
        type=f"urn:codestore:problem:{letter.code}",
        title=letter.title,
        detail=letter.detail,
        status=int(STATUS[letter.kind]),
        code=letter.code,
        hint=letter.hint,
        where=letter.where,
    )


def answer_to(letter: Letter) -> JSONResponse:
    """Return the answer that tells of a fault."""
    return _answer(problem(letter))


def refusal(
    status: HTTPStatus, code: str, detail: str, hint: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    """Return the answer to a request that no handler gets to see."""
    kind = f"urn:codestore:problem:{code}"
    return _answer(Problem(kind, status.phrase, detail, int(status), code, hint), headers)


def install(app: FastAPI) -> None:
    """Answer every kind of error with a problem; an unforeseen one tells nothing of its inside."""
    app.add_exception_handler(Fault, _on_fault)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_anything)


async def _on_fault(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, Fault):
        raise error
    return answer_to(error.letter)


async def _on_validation(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return _answer(
        Problem(
            type="urn:codestore:problem:bad_request",
            title="Request refused",
            detail=str(first["msg"]),
            status=HTTPStatus.UNPROCESSABLE_ENTITY,
            code="bad_request",
            hint="See /docs for what is expected.",
            where=where,
        )
    )


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    code = status.name.lower()
    answer = Problem(
        type=f"urn:codestore:problem:{code}",
        title=status.phrase,
        detail=str(error.detail),
        status=status,
        code=code,
        hint="See /docs for what there is.",
    )
    return _answer(answer, dict(error.headers or {}))


async def _on_anything(request: Request, error: Exception) -> JSONResponse:
    log.error("unforeseen", path=request.url.path, exc_info=error)
    return _answer(
        Problem(
            type="urn:codestore:problem:internal",
            title="Something went wrong inside",
            detail="The platform met an error that it did not foresee; its log has the details.",
            status=HTTPStatus.INTERNAL_SERVER_ERROR,
            code="internal",
            hint="cs status",
        ),
        {"Connection": "close"},  # the server closes it after this; the gateway must know
    )


def _answer(told: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    if told.status == HTTPStatus.UNAUTHORIZED:
        headers = {**(headers or {}), "WWW-Authenticate": "Bearer"}
    if told.status in LATER:
        headers = {"Retry-After": LATER[told.status], **(headers or {})}
    return JSONResponse(asdict(told), told.status, headers, media_type="application/problem+json")
