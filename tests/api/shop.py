"""A service that a project includes, with the few verbs that its releases need."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import httpx

from codestore.domain.canary import Canary
from codestore.domain.deployments import Deployment
from codestore.domain.environments import Kind
from codestore.domain.overrides import Override
from tests.api.stage import Stage

Shown = dict[str, Any]


@dataclass
class Shop:
    """The project ``shop`` with the service ``blog`` in it."""

    stage: Stage
    web: httpx.AsyncClient

    async def open(self) -> "Shop":
        await self.stage.create(self.web, "blog")
        await self.web.post("/api/projects", json={"name": "shop"})
        await self.done(
            await self.web.post("/api/projects/shop/services", json={"service": "blog"})
        )
        return self

    async def done(self, answer: httpx.Response) -> Shown:
        """A change that is accepted, and succeeds; return what it was about."""
        ended = await self.ended(answer)
        assert ended["succeeded"], ended
        return answer.json()["document"]

    async def ended(self, answer: httpx.Response) -> Shown:
        assert answer.status_code == 202, answer.text
        return await self.stage.concluded(self.web, answer.json())

    async def publish(self, canary: Canary | None = None) -> str:
        """Push and promote another version; return its digest."""
        builder = self.stage.world.builder
        overrides = {Kind.PRODUCTION: Override(canary=canary)} if canary else {}
        builder.manifest = replace(builder.manifest, overrides=overrides)
        pushed = await self.web.post("/api/services/blog/versions", content=b"archive")
        digest: str = (await self.done(pushed))["digest"]
        await self.done(await self.web.post("/api/services/blog/promote"))
        return digest

    async def arrive(self, *to: str, canary: Canary | None = None) -> str:
        """Publish another version and promote it up to staging, and further as told."""
        digest = await self.publish(canary)
        for name in ("development", "staging", *to):
            await self.done(await self.promote(name))
        return digest

    async def promote(self, to: str = "production", **how: Any) -> httpx.Response:
        return await self.web.post(
            "/api/projects/shop/services/blog/promote", json={"to": to, **how}
        )

    async def roll(self, version: str, environment: str = "production") -> httpx.Response:
        wish = {"environment": environment, "version": version}
        return await self.web.post("/api/projects/shop/services/blog/roll", json=wish)

    async def hold(self, reason: str = "", environment: str = "production") -> httpx.Response:
        return await self.web.post(place("hold", environment), json={"reason": reason})

    async def unhold(self, environment: str = "production") -> httpx.Response:
        return await self.web.delete(place("hold", environment))

    async def turn(self, word: str, environment: str = "production") -> httpx.Response:
        return await self.web.post(place(f"rollout/{word}", environment))

    async def rollout(self, environment: str = "production") -> Shown:
        answer = await self.web.get(place("rollout", environment))
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def shown(self, environment: str = "production") -> Shown:
        answer = await self.web.get("/api/projects/shop/services/blog")
        found: Shown = answer.json()["environments"][environment]
        return found

    async def stored(self, environment: str = "production") -> Deployment:
        async with self.stage.world.doors.store.begin() as records:
            found = await records.find(Deployment, kind=environment)
        return found[0]

    async def events(self, *kinds: str, environment: str = "production") -> list[str]:
        query = {"project": "shop", "environment": environment, "limit": 500}
        found = (await self.web.get("/api/events", params=query)).json()["items"]
        return [each["message"] for each in found if each["kind"] in kinds]

    async def until(
        self, ready: Callable[[Shown], object], environment: str = "production"
    ) -> Shown:
        """Look at the rollout until it is as it should be."""
        async with asyncio.timeout(15):
            while not ready(found := await self.rollout(environment)):
                await asyncio.sleep(0.02)
        return found

    async def until_told(self, kind: str, beginning: str) -> None:
        """Wait until production is told something that begins so."""
        async with asyncio.timeout(15):
            while not any(text.startswith(beginning) for text in await self.events(kind)):
                await asyncio.sleep(0.02)

    async def crash(self, revision: int, times: int) -> None:
        """End one instance of a revision of production, again and again, as soon as it serves."""
        driver = self.stage.world.driver
        id_ = (await self.stored()).id
        name = f"{id_}.{revision}.0"
        for _ in range(times):
            async with asyncio.timeout(15):
                while name not in self._serving(id_, revision):
                    await asyncio.sleep(0.02)
            crashes = (await self.stored()).status.crashes
            driver.end(id_, name, "exit code 1")
            async with asyncio.timeout(15):
                while (await self.stored()).status.crashes == crashes:
                    await asyncio.sleep(0.02)

    def _serving(self, id_: str, revision: int) -> list[str]:
        held = self.stage.world.driver.instances.get(id_, {}).values()
        return [i.name for i in held if i.revision == revision and i.state == "serving"]


def place(what: str, environment: str = "production", owner: str = "shop") -> str:
    return f"/api/environments/{owner}/{environment}/services/blog/{what}"
