"""Logging in and out, tokens, users, organizations."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from codestore.actions.doorman import MOST_FAILURES
from tests.api.stage import ADA, BOB, EVE, OPAL, VIC, Stage

PASSWORD = "a sentence that nobody guesses"


def as_(token: str, stage: Stage) -> httpx.AsyncClient:
    client = stage.client(None)
    client.headers["authorization"] = f"Bearer {token}"
    return client


async def add(web: httpx.AsyncClient, name: str, **fields: str) -> dict[str, Any]:
    answer = await web.post("/api/users", json={"name": name, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def log_in(
    stage: Stage, name: str, password: str, organization: str = "engines"
) -> httpx.Response:
    body = {"organization": organization, "name": name, "password": password}
    async with stage.client(None) as nobody:
        return await nobody.post(
            "/api/login", content=json.dumps(body), headers={"content-type": "application/json"}
        )


async def test_a_new_user_logs_in_works_and_logs_out(stage: Stage, web: httpx.AsyncClient) -> None:
    made = await add(web, "carl", role="maker")
    answer = await log_in(stage, "carl", made["password"])
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert told["profile"] == {
        "id": made["id"],
        "name": "carl",
        "organization": "engines",
        "role": "maker",
    }
    token = told["token"]["token"]
    assert token.startswith("cs_pat_")
    assert len(token) == len("cs_pat_") + 64
    async with as_(token, stage) as carl:
        assert (await carl.get("/api/whoami")).json()["name"] == "carl"
        assert (await carl.post("/api/logout")).json() == {"ended": True}
        assert (await carl.get("/api/whoami")).status_code == 401


async def test_whatever_is_wrong_the_answer_is_the_same(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    made = await add(web, "carl")
    answers = [
        await log_in(stage, *words)
        for words in (
            ("carl", "wrong"),
            ("carl", made["password"], "elsewhere"),
            ("nobody", made["password"]),
            ("carl", ""),
            ("ca\0rl", "\ud800"),
            (ADA, "has no password"),
        )
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].json()["code"] == "wrong_password"


async def test_who_guesses_is_sent_away_and_others_are_not(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    carl, dora = await add(web, "carl"), await add(web, "dora")
    guesses = [log_in(stage, "carl", f"guess {number}") for number in range(MOST_FAILURES + 3)]
    codes = sorted(answer.status_code for answer in await asyncio.gather(*guesses))
    assert codes == [401] * MOST_FAILURES + [429] * 3
    later = await log_in(stage, "carl", carl["password"])
    assert (later.json()["code"], later.headers["retry-after"]) == ("login_later", "60")
    assert (await log_in(stage, "dora", dora["password"])).status_code == 201


async def test_a_password_is_changed_by_who_knows_it(stage: Stage, web: httpx.AsyncClient) -> None:
    first = await add(web, "carl")
    token = (await log_in(stage, "carl", first["password"])).json()["token"]["token"]
    async with as_(token, stage) as carl:
        for before in (None, "wrong"):
            refused = await carl.put("/api/password", json={"password": PASSWORD, "before": before})
            assert (refused.status_code, refused.json()["code"]) == (401, "wrong_password")
        body = {"password": PASSWORD, "before": first["password"]}
        assert (await carl.put("/api/password", json=body)).status_code == 204
        short = await carl.put("/api/password", json={"password": "short", "before": PASSWORD})
        assert (short.status_code, short.json()["code"]) == (422, "bad_password")
    assert (await log_in(stage, "carl", first["password"])).status_code == 401
    assert (await log_in(stage, "carl", PASSWORD)).status_code == 201


async def test_who_has_no_password_sets_one(stage: Stage, web: httpx.AsyncClient) -> None:
    assert (await web.put("/api/password", json={"password": PASSWORD})).status_code == 204
    assert (await log_in(stage, ADA, PASSWORD)).status_code == 201


async def test_tokens_are_listed_and_revoked_by_their_user_only(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    made = (await web.post("/api/tokens", json={"label": "ci", "days": 30})).json()
    listed = (await web.get("/api/tokens")).json()["items"]
    assert [held["label"] for held in listed] == ["test", "ci"]
    assert all(held["token"] is None for held in listed)
    async with stage.client(BOB) as bob, as_(made["token"], stage) as ci:
        assert (await bob.delete(f"/api/tokens/{made['id']}")).status_code == 404
        assert (await ci.get("/api/whoami")).json()["name"] == ADA
        assert (await web.delete(f"/api/tokens/{made['id']}")).status_code == 204
        assert (await ci.get("/api/whoami")).status_code == 401
    assert (await web.delete(f"/api/tokens/{made['id']}")).status_code == 404
    for body in ({"label": ""}, {"label": "x", "days": 0}, {"label": "x", "days": 366}):
        assert (await web.post("/api/tokens", json=body)).status_code == 422


async def test_the_token_in_the_platforms_own_folder_stays(web: httpx.AsyncClient) -> None:
    assert (await web.post("/api/logout")).json() == {"ended": False}
    assert (await web.get("/api/whoami")).status_code == 200


async def test_a_role_holds_from_the_next_request_on(stage: Stage, web: httpx.AsyncClient) -> None:
    async with stage.client(BOB) as bob:
        assert (await bob.post("/api/projects", json={"name": "one"})).status_code == 201
        answer = await web.put("/api/users/bob/role", json={"role": "viewer"})
        assert answer.json()["role"] == "viewer"
        refused = await bob.post("/api/projects", json={"name": "two"})
        assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
        assert (await bob.get("/api/projects/one")).status_code == 200
    bad = await web.put("/api/users/bob/role", json={"role": "king"})
    assert (bad.status_code, bad.json()["code"]) == (422, "bad_role")


async def test_the_last_owner_stays(stage: Stage, web: httpx.AsyncClient) -> None:
    for answer in (
        await web.put("/api/users/ada/role", json={"role": "maker"}),
        await web.delete("/api/users/ada", params={"heir": BOB}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "last_owner")
    await web.put("/api/users/bob/role", json={"role": "owner"})
    async with stage.client(BOB) as bob:
        one = web.put("/api/users/ada/role", json={"role": "maker"})
        two = bob.put("/api/users/bob/role", json={"role": "maker"})
        codes = sorted(answer.status_code for answer in await asyncio.gather(one, two))
    assert codes == [200, 409]


async def test_who_is_removed_gets_in_no_more_and_leaves_what_they_own(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    async with stage.client(BOB) as bob:
        await stage.create(bob, "blog")
        kept = await web.delete("/api/users/bob")
        assert (kept.status_code, kept.json()["code"]) == (409, "user_owns")
        assert (await web.delete("/api/users/bob", params={"heir": "nobody"})).status_code == 404
        assert (await web.delete("/api/users/bob", params={"heir": BOB})).status_code == 422
        assert (await web.delete("/api/users/bob", params={"heir": ADA})).status_code == 204
        assert (await bob.get("/api/whoami")).status_code == 401
    blog = (await web.get("/api/services/blog")).json()
    assert blog["owner"] == "usr-ada"
    assert blog["environments"]["private"]["key"].startswith("cs_dev_")
    names = [held["name"] for held in (await web.get("/api/users")).json()["items"]]
    assert names == [ADA, VIC]


async def test_another_password_ends_all_tokens(stage: Stage, web: httpx.AsyncClient) -> None:
    answer = await web.post("/api/users/bob/password")
    assert answer.status_code == 201
    async with stage.client(BOB) as bob:
        assert (await bob.get("/api/whoami")).status_code == 401
    assert (await log_in(stage, BOB, answer.json()["password"])).status_code == 201


async def test_names_are_taken_within_an_organization_only(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    taken = await web.post("/api/users", json={"name": BOB})
    assert (taken.status_code, taken.json()["code"]) == (409, "user_exists")
    same = {"email": "b@example.org"}
    await add(web, "bill", **same)
    taken = await web.post("/api/users", json={"name": "will", **same})
    assert (taken.status_code, taken.json()["code"]) == (409, "email_exists")
    async with stage.client(EVE) as eve:
        await add(eve, BOB)
        await add(eve, "bill", **same)
    for body in ({"name": "B"}, {"name": "bo", "role": "god"}, {"name": "bo", "email": "no"}):
        assert (await web.post("/api/users", json=body)).status_code == 422


async def test_the_platforms_owner_makes_an_organization_of_its_own(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    body = {"name": "wheels", "owner": "gus"}
    assert (await web.post("/api/organizations", json=body)).status_code == 403
    assert (await web.get("/api/organizations")).status_code == 403
    async with stage.client(OPAL) as opal:
        made = await opal.post("/api/organizations", json=body)
        assert made.status_code == 201, made.text
        again = await opal.post("/api/organizations", json=body)
        assert (again.status_code, again.json()["code"]) == (409, "organization_exists")
        listed = (await opal.get("/api/organizations")).json()["items"]
    assert {held["name"] for held in listed} == {"engines", "elsewhere", "local", "wheels"}
    answer = await log_in(stage, "gus", made.json()["owner"]["password"], "wheels")
    assert answer.json()["profile"]["role"] == "owner"
    async with as_(answer.json()["token"]["token"], stage) as gus:
        assert (await gus.get("/api/services")).json()["items"] == []
        assert [held["name"] for held in (await gus.get("/api/users")).json()["items"]] == ["gus"]


@pytest.mark.parametrize("path", ["whoami", "users", "tokens", "services", "audit"])
async def test_no_answer_holds_what_is_kept_of_passwords_and_tokens(
    stage: Stage, web: httpx.AsyncClient, path: str
) -> None:
    await add(web, "carl")
    text = (await web.get(f"/api/{path}")).text
    assert "scrypt" not in text
    assert "digest" not in text or path == "services"
