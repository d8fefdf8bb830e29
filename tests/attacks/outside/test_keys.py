"""Keys: whoever has none, a wrong one, or one of another place, does not get in."""

import pytest

from tests.attacks.outside.target import Target
from tests.support.platform import KEY

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("attacks")]
LOCKED = ("private", "development", "staging", "production")


@pytest.mark.parametrize("place", LOCKED)
def test_without_a_key(target: Target, place: str) -> None:
    answer = target.ask(f"/{target.hashes[place]}/")
    assert (answer.status, answer.code) == (401, "key_missing")


@pytest.mark.parametrize("place", LOCKED)
def test_with_something_like_the_key(target: Target, place: str) -> None:
    key = target.places[place]["key"]
    for wrong in (key[:-1], key + "x", key.upper(), f"{key},{key}", f"Bearer {key}", "", "*", "."):
        answer = target.ask(f"/{target.hashes[place]}/", **{KEY: wrong})
        assert (answer.status, answer.code) == (403, "wrong_key"), wrong


@pytest.mark.parametrize("place", LOCKED)
def test_with_the_platforms_token(target: Target, place: str) -> None:
    path = f"/{target.hashes[place]}/"
    assert target.ask(path, **{KEY: target.token}).status == 403
    assert target.ask(path, authorization=f"Bearer {target.token}").status == 401


def test_with_the_key_of_private_in_a_project_and_the_other_way_round(target: Target) -> None:
    for place in LOCKED[1:]:
        answer = target.ask(f"/{target.hashes[place]}/", **target.key("private"))
        assert (answer.status, answer.code) == (403, "wrong_key")
        answer = target.ask(f"/{target.hashes['private']}/", **target.key(place))
        assert (answer.status, answer.code) == (403, "wrong_key")


@pytest.mark.parametrize(
    "how",
    [
        *("?{name}={key}", "?key={key}&api_key={key}&token={key}", "{key}/", "#{key}"),
        *("{key}", ";{name}={key}", "?x-user-authorization={key}%0d%0a"),
    ],
)
def test_a_key_in_the_address_opens_nothing(target: Target, how: str) -> None:
    written = how.format(name=KEY, key=target.places["private"]["key"])
    answer = target.ask(f"/{target.hashes['private']}/{written}")
    assert answer.status in (400, 401)


@pytest.mark.parametrize(
    "line",
    [
        *("x_user_authorization: {key}", "authorization: {key}", "cookie: {name}={key}"),
        *("x-user-authorization-: {key}", "x-user-authorization:\r\n {key}x", "{name}\t: {key}"),
        *("x: y\r{name}: {key}", "x: y\0{name}: {key}", " {name}: {key}"),
        *(
            "connection: x-user-authorization\r\n{name}: {key}x",
            "{name}: {key}\0",
            "{name}: \0{key}",
        ),
    ],
)
def test_no_other_way_to_write_the_header_opens(target: Target, line: str) -> None:
    written = line.format(name=KEY, key=target.places["private"]["key"])
    path = f"/{target.hashes['private']}/"
    head = f"GET {path} HTTP/1.1\r\nhost: x\r\n{written}\r\nconnection: close\r\n\r\n"
    (answer,) = target.say(head.encode("latin-1"))
    assert answer.status in (400, 401, 403)


@pytest.mark.parametrize("place", LOCKED)
def test_the_key_stops_at_the_gateway(target: Target, place: str) -> None:
    given = target.key(place)
    answer = target.ask(f"/{target.hashes[place]}/", **given)
    assert answer.status == 200
    assert given[KEY] not in answer.body.decode()
    assert KEY not in {name for name, _ in answer.json()["headers"]}


def test_a_key_that_a_public_place_is_shown_is_not_passed_on_either(target: Target) -> None:
    answer = target.ask(f"/{target.hashes['demo']}/", **target.key("production"))
    assert answer.status == 200
    assert target.places["production"]["key"] not in answer.body.decode()


@pytest.mark.parametrize(
    "method", ["HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "PATCH", "PROPFIND"]
)
def test_no_method_is_let_in_without_a_key(target: Target, method: str) -> None:
    head = f"{method} /{target.hashes['private']}/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    (answer,) = target.say(head.encode())
    assert answer.status in (400, 401)


@pytest.mark.parametrize(
    "version", ["HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/1.2", "http/1.1", ""]
)
def test_no_version_is_let_in_without_a_key(target: Target, version: str) -> None:
    (answer,) = target.say(
        f"GET /{target.hashes['private']}/ {version}\r\nhost: x\r\n\r\n".encode()
    )
    assert answer.status in (400, 401, 426)


def test_a_socket_is_no_way_round_the_key(target: Target) -> None:
    upgrade = {"upgrade": "websocket", "sec_websocket_version": "13", "sec_websocket_key": "eA=="}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in upgrade.items())
    head = f"GET /{target.hashes['private']}/ HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\n"
    (answer,) = target.say(f"{head}{lines}\r\n".encode(), more=1)
    assert (answer.status, answer.code) == (401, "key_missing")


def test_an_address_is_not_guessed_from_another_one(target: Target) -> None:
    """A wrong address tells nothing: not whether something like it exists."""
    private = target.hashes["private"]
    near = {private[:-1] + ("0" if private[-1] != "0" else "1"), private[::-1], "0" * 32, "f" * 32}
    found = {(target.ask(f"/{hash_}/").status, target.ask(f"/{hash_}/").body) for hash_ in near}
    assert len(found) == 1
    assert found.pop()[0] == 404
