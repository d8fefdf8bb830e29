"""Paths: no spelling of one leads past a key, to the platform, or to what another reader sees."""

import pytest

from tests.attacks.outside.target import Target

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("attacks")]
REFUSED = (
    *("/a%2fb", "/a%2Fb", "/a%5cb", "/a%5Cb", "/..%2f", "/..%5c", "/%2e%2e%2f", "/%2e%2e%5c"),
    *("/a%00", "/%00", "/%252e%252e/", "/%252e/", "/a%252fb", "/a%255cb", "/a%2500", "/%25252e/"),
    *("/..", "/.", "/../", "/./x", "/x/..", "/%2e", "/%2E%2e/x", "/.%2e/x", "/%2e./x", "/a/%2e"),
    *("/../api/services", "/%2e%2e/api/services", "/..;/x", "/.;x/y", "/x/..;", "/a\\b", "/..\\x"),
    *("/..%252f", "/%2525", "/a b", "/a\tb", "/a\0b", "/a#b", "/\x7f", "/\xe4", "/a\x0bb"),
)
ROUND = (
    *("/{demo}/../{private}/", "/{demo}/%2e%2e/{private}/", "/{demo}/.%2E/{private}/"),
    *("/{demo}\\..\\{private}/", "/{demo}/..\\{private}/", "/{demo}/..%2f{private}/"),
    *("/{demo}/..%5c{private}/", "/{demo}%2f..%2f{private}/", "/{demo}/%252e%252e/{private}/"),
    *("/{demo}/..;/{private}/", "/{demo}/;/../../{private}/", "//{private}/", "/./{private}/"),
    *("/x/../{private}/", "/%2f{private}/", "/;/{private}/", "/{private};x/", "/{private}%00/"),
    *(
        "/{private}%20/",
        "/{private}./",
        "/{private}%2e/",
        "/{private}/.",
        "/{private}/../{private}/",
    ),
    *("http://127.0.0.1/{private}/", "http://{demo}/{private}/", "{private}/", "?/{private}/"),
    *("/api/../{private}/", "/{demo}/../../../{private}/", "/{demo}?/../../{private}/"),
    *("*", "/{demo}/%c0%ae%c0%ae/{private}/", "/{demo}/%uff0e%uff0e/{private}/"),
)
TO_THE_PLATFORM = (
    *("/{demo}/api/services", "/{demo}//api/services", "/{demo}/%2fapi/services"),
    *("/{demo}/..%2fapi/services", "/{demo}/..%5capi/services", "/{demo}/%252e%252e/api/services"),
    *("/{demo}/;/../api/services", "/{demo}/x/../api/services", "/{demo}/http://x/api/services"),
    *("/{demo}/openapi.json", "/{demo}/metrics", "/{demo}/docs", "/{demo}@x/api/services"),
)


@pytest.mark.parametrize("path", REFUSED)
def test_what_two_readers_read_differently_is_refused(target: Target, path: str) -> None:
    answer = target.ask(f"/{target.hashes['demo']}{path}")
    assert answer.status == 400
    assert answer.code in ("bad_request", "ambiguous_request")


@pytest.mark.parametrize("path", ["/.well-known/x", "/..x", "/.../x", "/a.b", "/x..", "/?a=/../b"])
def test_names_with_dots_are_names(target: Target, path: str) -> None:
    answer = target.ask(f"/{target.hashes['demo']}{path}")
    assert (answer.status, answer.json()["path"]) == (200, path.partition("?")[0])


@pytest.mark.parametrize("path", ROUND)
def test_no_spelling_leads_round_a_key(target: Target, path: str) -> None:
    before = len(target.seen())
    answer = target.ask(path.format(**target.hashes))
    assert answer.status in (200, 400, 401, 404)
    if answer.status == 200:  # then the public service was asked, and saw no way up
        assert ".." not in answer.json()["path"]
        assert len(answer.json()["seen"]) == before + 1


@pytest.mark.parametrize("path", TO_THE_PLATFORM)
def test_the_platform_is_not_reached_through_a_service(target: Target, path: str) -> None:
    token = f"Bearer {target.token}"
    answer = target.ask(path.format(**target.hashes), authorization=token)
    assert answer.status in (200, 400, 404)
    if answer.status == 200:
        assert "seen" in answer.json()  # it is the service that answers


@pytest.mark.parametrize("path", ["/api", "/docs", "/metrics", "/openapi.json"])
def test_a_service_is_not_reached_through_the_platform(target: Target, path: str) -> None:
    answer = target.ask(f"{path}/{target.hashes['private']}/", **target.key("private"))
    assert answer.status == 404
    assert b"seen" not in answer.body


@pytest.mark.parametrize(
    "path",
    [
        *("/admin", "/server_info", "/config_dump", "/clusters", "/stats", "/quitquitquit"),
        *("/.git/config", "/etc/passwd", "/../../etc/passwd", "/static/../../../etc/passwd"),
        *("/api/../../master.key", "/console/..%2f..%2fprofile.json", "/api/services/..%2f..%2fx"),
    ],
)
def test_nothing_of_the_gateway_or_the_host_is_served(target: Target, path: str) -> None:
    answer = target.ask(path, authorization=f"Bearer {target.token}")
    assert answer.status in (400, 404)
    assert answer.code
