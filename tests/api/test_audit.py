"""What people change is in the audit log: every act of theirs, once, in their organization's."""

from typing import Any

import httpx

from codestore.api.acts import ACTS
from tests.api.shop import Shop
from tests.api.stage import EVE, Stage

QUESTIONS = ("GET",)
PLACE = "/api/environments/shop/production/services/blog"


async def entries(web: httpx.AsyncClient) -> list[dict[str, Any]]:
    return (await web.get("/api/audit", params={"limit": 500})).json()["items"]


async def ask(web: httpx.AsyncClient, method: str, path: str, **json: Any) -> httpx.Response:
    answer = await web.request(method, path, **({"json": json} if json else {}))
    assert answer.is_success, (path, answer.text)
    return answer


async def everything(stage: Stage, web: httpx.AsyncClient) -> None:
    """Do every change there is, once at least."""
    shop = await Shop(stage, web).open()
    await shop.arrive("production")
    await ask(web, "POST", f"{PLACE}/hold", reason="a fair")
    await ask(web, "DELETE", f"{PLACE}/hold")
    to = {"environment": "production", "version": "0.0.1"}
    await shop.done(await ask(web, "POST", "/api/projects/shop/services/blog/roll", **to))
    await opening(web)
    await hiding(shop, web)
    await ask(web, "POST", "/api/verifications")
    home = "/api/environments/blog/private/services/blog"
    await shop.done(await ask(web, "POST", f"{home}/database/password"))
    to = {"environment": "private", "version": "0.0.1"}
    await shop.done(await ask(web, "POST", "/api/services/blog/roll", **to))
    await shop.done(await ask(web, "DELETE", "/api/projects/shop/services/blog"))
    await ask(web, "DELETE", "/api/projects/shop")
    await shop.done(await ask(web, "DELETE", "/api/services/blog"))
    made = (await ask(web, "POST", "/api/tokens", label="ci")).json()
    await ask(web, "DELETE", f"/api/tokens/{made['id']}")
    drawn = (await ask(web, "POST", "/api/users", name="carl")).json()
    login = {"organization": "engines", "name": "carl", "password": drawn["password"]}
    token = (await ask(web, "POST", "/api/login", **login)).json()["token"]["token"]
    async with stage.client(None) as carl:
        carl.headers["authorization"] = f"Bearer {token}"
        word = {"password": "something longer", "before": drawn["password"]}
        await ask(carl, "PUT", "/api/password", **word)
        await ask(carl, "POST", "/api/logout")
    await ask(web, "PUT", "/api/users/carl/role", role="viewer")
    await ask(web, "POST", "/api/users/carl/password")
    await ask(web, "DELETE", "/api/users/carl")


async def opening(web: httpx.AsyncClient) -> None:
    """Change keys and clients."""
    client = await ask(web, "POST", "/api/projects/shop/clients", email="carl@example.org")
    for owner in ("projects/shop", "services/blog"):
        await ask(web, "POST", f"/api/{owner}/keys", overlap=0)
    await ask(web, "DELETE", f"/api/projects/shop/clients/{client.json()['client']}")


async def hiding(shop: Shop, web: httpx.AsyncClient) -> None:
    """Change secrets, and look at them."""
    secret = {"project": "shop", "key": "TOKEN", "value": "hush-hush"}
    await shop.done(await ask(web, "POST", "/api/secrets", **secret))
    await shop.done(await ask(web, "PUT", "/api/secrets", **secret | {"value": "hush-hush-2"}))
    await ask(web, "POST", "/api/secrets/reveal?project=shop")
    await shop.done(await ask(web, "DELETE", "/api/secrets/TOKEN?project=shop"))
    await ask(web, "POST", "/api/secrets/rekey", master=False, data=True)


async def test_every_change_is_in_the_log(stage: Stage, web: httpx.AsyncClient) -> None:
    await everything(stage, web)
    found = await entries(web)
    changes = {act for (method, _), act in ACTS.items() if method not in QUESTIONS}
    dials = {"rollout:pause", "rollout:resume", "rollout:abort"}  # tested with a canary
    changes -= {"organization:add"}
    assert changes - dials <= {held["act"] for held in found}
    assert [held["sequence"] for held in found] == list(range(1, len(found) + 1))
    roll = next(held for held in found if held["act"] == "project:service:roll")
    assert (roll["by"], roll["subject"]) == ("ada", "shop/blog")
    assert roll["detail"] == "roll blog on production to 0.0.1"
    verdict = (await web.get("/api/audit/verification")).json()
    assert verdict == {
        "whole": True,
        "entries": len(found),
        "seal": found[-1]["seal"],
        "broken_at": None,
        "noted": None,
    }


async def test_no_secret_is_in_the_log(stage: Stage, web: httpx.AsyncClient) -> None:
    await everything(stage, web)
    text = (await web.get("/api/audit", params={"limit": 500})).text
    for secret in ("cs_pat_", "cs_dev_", "cs_tok_", "something longer", "hush-hush", "scrypt"):
        assert secret not in text


async def test_each_organization_has_a_log_of_its_own(stage: Stage, web: httpx.AsyncClient) -> None:
    await web.post("/api/projects", json={"name": "shop"})
    async with stage.client(EVE) as eve:
        assert await entries(eve) == []
        await eve.post("/api/projects", json={"name": "mine"})
        assert [held["sequence"] for held in await entries(eve)] == [1]
    assert [held["subject"] for held in await entries(web)] == ["shop"]


async def test_what_is_refused_is_not_in_the_log(web: httpx.AsyncClient) -> None:
    await web.post("/api/projects", json={"name": "shop"})
    assert (await web.post("/api/projects", json={"name": "shop"})).status_code == 409
    assert (await web.delete("/api/projects/nothing")).status_code == 404
    assert len(await entries(web)) == 1


async def test_a_log_that_was_changed_or_cut_off_is_told(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    for name in ("one", "two", "three"):
        await web.post("/api/projects", json={"name": name})
    noted = (await web.get("/api/audit/verification")).json()["seal"]
    store: Any = stage.world.doors.store
    whole = store._pages.entries
    store._pages.entries = (whole[0], *whole[2:])
    verdict = (await web.get("/api/audit/verification")).json()
    assert (verdict["whole"], verdict["broken_at"]) == (False, 2)
    store._pages.entries = whole[:2]
    assert (await web.get("/api/audit/verification")).json()["whole"]
    verdict = (await web.get("/api/audit/verification", params={"noted": noted})).json()
    assert (verdict["whole"], verdict["noted"], verdict["broken_at"]) == (False, False, None)
