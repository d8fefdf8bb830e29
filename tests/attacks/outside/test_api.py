"""The API from outside: whoever has no token, or somebody else's page."""

import json

import pytest

from tests.attacks.outside.conftest import RATE
from tests.attacks.outside.target import Answer, Target

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("attacks")]
TOKENS = (
    *("", "Bearer", "Bearer ", "Bearer x", "Basic eDp4", "Bearer null", "Bearer undefined"),
    *("bearer\tx", "Bearer ' OR 1=1 --", "Bearer \xff", "Token x", "Bearer " + "x" * 8000),
)
HOSTS = (
    *("evil.example", "evil.example:7080", "127.0.0.1.evil.example", "localhost.evil.example"),
    *("2130706433", "0x7f.1", "127.1", "[::1", "evil"),
)
ORIGINS = ("https://evil.example", "null", "http://127.0.0.1:1", "http://localhost", "file://")


def authorized(target: Target, path: str, **headers: str) -> Answer:
    return target.ask(path, authorization=f"Bearer {target.token}", **headers)


@pytest.mark.parametrize("said", TOKENS)
def test_without_a_good_token_nothing_is_told(target: Target, said: str) -> None:
    for path in ("/api/services", "/api/services/honest", "/api/projects/shop", "/api/status"):
        answer = target.ask(path, authorization=said)
        assert answer.status in (400, 401, 404), path
        assert b"honest" not in answer.body


def test_a_token_elsewhere_is_none(target: Target) -> None:
    token = target.token
    for how in (
        target.ask(f"/api/services?access_token={token}&token={token}"),
        target.ask("/api/services", cookie=f"token={token}; authorization=Bearer {token}"),
        target.ask("/api/services", x_user_authorization=token),
        target.ask("/api/services", x_api_key=token),
    ):
        assert how.status == 401


@pytest.mark.parametrize("host", HOSTS)
def test_a_name_that_was_made_to_lead_here_is_not_answered(target: Target, host: str) -> None:
    for path in ("/api/services", "/openapi.json", "/", "/metrics"):
        answer = authorized(target, path, host=host)
        assert answer.status in (400, 421), path
        assert b"honest" not in answer.body


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_page_of_another_site_changes_nothing(target: Target, origin: str) -> None:
    body = json.dumps({"name": "stolen"})
    lines = (
        f"host: 127.0.0.1:{target.port}\r\norigin: {origin}\r\ncontent-length: {len(body)}\r\n"
        f"content-type: text/plain\r\nauthorization: Bearer {target.token}\r\nconnection: close"
    )
    (answer,) = target.say(f"POST /api/projects HTTP/1.1\r\n{lines}\r\n\r\n{body}".encode())
    assert (answer.status, answer.code) == (403, "foreign_origin")
    assert b"stolen" not in authorized(target, "/api/projects").body


def test_a_page_is_not_told_that_it_may(target: Target) -> None:
    head = (
        f"OPTIONS /api/projects HTTP/1.1\r\nhost: 127.0.0.1:{target.port}\r\nconnection: close\r\n"
    )
    asked = "origin: https://evil.example\r\naccess-control-request-method: POST\r\n\r\n"
    (answer,) = target.say((head + asked).encode())
    assert answer.status == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("size", [2**20 + 1, 2**31, 2**63])
def test_a_body_that_is_too_large_is_not_waited_for(target: Target, size: int) -> None:
    lines = (
        f"host: 127.0.0.1:{target.port}\r\nauthorization: Bearer {target.token}\r\n"
        f"content-type: application/json\r\ncontent-length: {size}"
    )
    answers = target.say(f"POST /api/projects HTTP/1.1\r\n{lines}\r\n\r\n{{".encode())
    assert [answer.status for answer in answers] in ([413], [400])


def test_a_body_that_grows_too_large_is_cut(target: Target) -> None:
    lines = (
        f"host: 127.0.0.1:{target.port}\r\nauthorization: Bearer {target.token}\r\n"
        "content-type: application/json\r\ntransfer-encoding: chunked\r\nconnection: close"
    )
    chunk = f"10000\r\n{' ' * 0x10000}\r\n"
    said = f"POST /api/projects HTTP/1.1\r\n{lines}\r\n\r\n{chunk * 20}0\r\n\r\n"
    (answer,) = target.say(said.encode())
    assert answer.status == 413


def test_whoever_asks_too_often_is_told_so(target: Target) -> None:
    """Guesses are counted by address; those who have a token go on."""
    head = f"GET /api/services HTTP/1.1\r\nhost: 127.0.0.1:{target.port}\r\n"
    guesses = "".join(f"{head}authorization: Bearer {number}\r\n\r\n" for number in range(50))
    found: list[Answer] = []
    while not any(answer.status == 429 for answer in found) and len(found) < RATE * 40:
        found += target.say(guesses.encode(), more=50, source="127.2.0.9")
    assert {answer.status for answer in found} == {401, 429}
    refused = next(answer for answer in found if answer.status == 429)
    assert refused.code == "too_many_requests"
    assert int(refused.headers["retry-after"]) >= 1
    assert authorized(target, "/api/services").status == 200
