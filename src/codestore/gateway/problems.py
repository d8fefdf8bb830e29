"""What the gateway itself answers: RFC 9457 problems. A service's own answers are never touched.

Envoy makes all its own answers in one place whatever their cause, so this table is all there is.
The first entry that fits counts.
"""

from dataclasses import dataclass
from typing import Any

from envoy.config.common.mutation_rules.v3.mutation_rules_pb2 import (
    HeaderMutation as HeaderMutationRule,
)
from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
from envoy.extensions.filters.http.header_mutation.v3.header_mutation_pb2 import (
    HeaderMutation,
    HeaderMutationPerRoute,
    Mutations,
)

from codestore.domain.routing import KEY_HEADER
from codestore.gateway.ambiguity import AMBIGUOUS, FOREIGN_UPGRADE, NO_PATH, TARGET_HEADER

NOBODY = "nobody"
"""A filter that notes, in the header of the target, that a route leads nowhere; ``REASON`` says
why."""

REASON = ("codestore.gateway", "reason")

# Response flags of Envoy that mean: the request could not be handed to an instance.
_UNREACHED = ("UH", "UF", "UC", "UR", "LR", "NC", "URX")
_KEY_HINT = f"Send the key in the header {KEY_HEADER}; cs service:info shows it."
_LIST_HINT = "cs service:list shows what is served, and where."
_EVENTS_HINT = "Try again in a moment; cs events shows what happens to the deployment."


@dataclass(frozen=True, slots=True)
class Problem:
    """One answer. It applies to ``status``, and only ``flags``, or where ``nobody`` is.

    ``asked`` is a matcher of a header that the request must have.
    ``answer`` replaces the status, ``headers`` are added to the response. ``detail`` may use
    Envoy's ``%COMMANDS%``.
    """

    status: int
    code: str
    title: str
    detail: str
    hint: str
    flags: tuple[str, ...] = ()
    asked: dict[str, Any] | None = None
    nobody: bool = False
    answer: int | None = None
    headers: tuple[tuple[str, str], ...] = ()


_RETRY_SOON = (("retry-after", "1"),)
_RETRY_LATER = (("retry-after", "10"),)
"""What was silent for so long is seldom well within a second."""
PROBLEMS = (
    Problem(
        status=AMBIGUOUS,
        answer=400,
        code="ambiguous_request",
        title="Bad Request",
        detail="The path or the host of the request may be read in more than one way.",
        hint="Encode the path once, without slashes in it, and send one host.",
    ),
    Problem(
        status=404,
        asked=NO_PATH,
        answer=400,
        code="ambiguous_request",
        title="Bad Request",
        detail="The request asks for a whole URL, as one asks a proxy.",
        hint="Ask for the path, and name the host in its header.",
    ),
    Problem(
        status=403,
        asked=FOREIGN_UPGRADE,
        answer=400,
        code="unknown_upgrade",
        title="Bad Request",
        detail="The only protocol a connection can change to is websocket.",
        hint="Send the request without the header upgrade.",
    ),
    Problem(
        status=403,
        code="wrong_key",
        title="Forbidden",
        detail="This key does not open this deployment.",
        hint=_KEY_HINT,
    ),
    Problem(
        status=401,
        code="key_missing",
        title="Unauthorized",
        detail="This deployment is called with a key.",
        hint=_KEY_HINT,
        headers=(("www-authenticate", KEY_HEADER),),
    ),
    Problem(
        status=404,
        code="not_found",
        title="Not Found",
        detail="Nothing is served at this address.",
        hint=_LIST_HINT,
    ),
    Problem(
        status=429,
        code="too_many_requests",
        title="Too Many Requests",
        detail="This deployment is called more often than it may be.",
        hint="Send fewer requests per second; retry-after says when there is room again.",
        headers=_RETRY_SOON,
    ),
    Problem(
        status=503,
        flags=("UO",),
        answer=429,
        code="too_busy",
        title="Too Many Requests",
        detail="This deployment has as many requests under way as it takes at once.",
        hint="Send fewer requests at once, or try again when some are answered.",
        headers=_RETRY_SOON,
    ),
    Problem(
        status=503,
        nobody=True,
        code="unavailable",
        title="Service Unavailable",
        detail=f"%METADATA(ROUTE:{':'.join(REASON)})%",
        hint=_EVENTS_HINT,
        headers=_RETRY_SOON,
    ),
    Problem(
        status=503,
        flags=_UNREACHED,
        code="unavailable",
        title="Service Unavailable",
        detail="The service could not be reached.",
        hint=_EVENTS_HINT,
        headers=_RETRY_SOON,
    ),
    Problem(
        status=503,
        code="unavailable",
        title="Service Unavailable",
        detail="%LOCAL_REPLY_BODY%",
        hint=_EVENTS_HINT,
        headers=_RETRY_SOON,
    ),
    Problem(
        status=504,
        code="timeout",
        title="The service did not answer in time",
        detail="The service sent nothing for too long.",
        hint="cs events shows what happens to the deployment.",
        headers=_RETRY_LATER,
    ),
    # No retry-after: RFC 9110 (15.5.14) has it where the condition is temporary, and here it never
    # is. What is too large now will be too large later.
    Problem(
        status=413,
        code="too_large",
        title="Content Too Large",
        detail="The body is larger than this deployment takes.",
        hint="Send less at once.",
    ),
    Problem(
        status=408,
        code="slow_request",
        title="Request Timeout",
        detail="The request did not arrive in time.",
        hint="Send the request again.",
    ),
    Problem(
        status=431,
        code="headers_too_large",
        title="Request Header Fields Too Large",
        detail="The headers of the request are too large or too many.",
        hint="Send fewer or smaller headers.",
    ),
    Problem(
        status=502,
        code="bad_answer",
        title="Bad Gateway",
        detail="The service answered something that is not HTTP.",
        hint="cs events shows what happens to the deployment.",
    ),
    Problem(
        status=400,
        code="bad_request",
        title="Bad Request",
        detail="The request is not valid HTTP.",
        hint="Check the request line, the headers and the path.",
    ),
)


def nobody_filter() -> dict[str, Any]:
    """Build the filter that notes it, switched off: the routes that lead nowhere switch it on."""
    config = {"@type": f"type.googleapis.com/{HeaderMutation.DESCRIPTOR.full_name}"}
    return {"name": NOBODY, "disabled": True, "typed_config": config}


def noting_nobody() -> Any:
    """Build what switches it on for a route. No target is taken for it: each has a ``/``."""
    note = HeaderValueOption(
        header=HeaderValue(key=TARGET_HEADER, value=NOBODY),
        append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
    )
    mutations = Mutations(request_mutations=[HeaderMutationRule(append=note)])
    return HeaderMutationPerRoute(mutations=mutations)


def local_replies() -> dict[str, Any]:
    """Build Envoy's local reply configuration from the table, with a plain problem for the rest."""
    return {
        "mappers": [_mapper(problem) for problem in PROBLEMS],
        "body_format": _body("refused", "Refused", "%LOCAL_REPLY_BODY%", _EVENTS_HINT),
    }


def _mapper(problem: Problem) -> dict[str, Any]:
    mapper: dict[str, Any] = {
        "filter": _filter(problem),
        "body_format_override": _body(problem.code, problem.title, problem.detail, problem.hint),
        "headers_to_add": [
            {
                "header": {"key": name, "value": value},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
            for name, value in problem.headers
        ],
    }
    if problem.answer is not None:
        mapper["status_code"] = problem.answer
    return mapper


def _filter(problem: Problem) -> dict[str, Any]:
    # Envoy wants a name by which the runtime could override the number; nothing here sets it.
    value = {"default_value": problem.status, "runtime_key": "codestore.unused"}
    filters: list[dict[str, Any]] = [
        {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}
    ]
    if problem.flags:
        filters.append({"response_flag_filter": {"flags": list(problem.flags)}})
    if problem.asked:
        filters.append({"header_filter": {"header": problem.asked}})
    if problem.nobody:
        named = {"name": TARGET_HEADER, "string_match": {"exact": NOBODY}}
        filters.append({"header_filter": {"header": named}})
    return filters[0] if len(filters) == 1 else {"and_filter": {"filters": filters}}


def _body(code: str, title: str, detail: str, hint: str) -> dict[str, Any]:
    members = {
        "type": f"urn:codestore:problem:{code}",
        "title": title,
        "status": "%RESPONSE_CODE%",
        "detail": detail,
        "code": code,
        "hint": hint,
        "where": "",
    }
    return {"json_format": members, "content_type": "application/problem+json"}
