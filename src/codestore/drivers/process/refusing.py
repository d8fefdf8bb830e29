"""What callers are told who waited for a wake in vain: a whole HTTP answer, ready to be sent."""

import json

from codestore.domain.faults import Letter

RETRY_AFTER = 1  # seconds


def answer_503(letter: Letter) -> str:
    """Return a 503 with an RFC 9457 problem, as the gateway itself would give it."""
    body = json.dumps(
        {
            "type": f"urn:codestore:problem:{letter.code}",
            "title": letter.title,
            "status": 503,
            "detail": letter.detail,
            "code": letter.code,
            "hint": letter.hint,
            "where": letter.where,
        }
    )
    lines = (
        "HTTP/1.1 503 Service Unavailable",
        "content-type: application/problem+json",
        f"content-length: {len(body)}",  # json.dumps writes ASCII only
        f"retry-after: {RETRY_AFTER}",
        "connection: close",
        "",
        body,
    )
    return "\r\n".join(lines)
