"""What became of a canary's requests, as the composition root tells it: a number, or nothing."""

import httpx
import pytest

from codestore.domain.canary import Canary, Trial
from codestore.domain.faults import unavailable
from codestore.wiring.telling import canary_tally
from tests.api.shop import Shop
from tests.api.stage import Stage

LONG = Canary((5, 100), 600.0)


@pytest.fixture
async def shop(stage: Stage, web: httpx.AsyncClient) -> Shop:
    return await Shop(stage, web).open()


async def test_it_is_what_the_proxy_counted_for_this_revision(shop: Shop) -> None:
    doors, traffic = shop.stage.world.doors, shop.stage.world.traffic
    id_ = (await shop.stored()).id
    assert await canary_tally(doors, id_) is None
    await shop.arrive(canary=LONG)
    await shop.promote()
    await shop.until(lambda found: (found["deployment"]["canary"] or {}).get("since"))
    traffic.canary = Trial(300, 2)
    assert await canary_tally(doors, id_) == Trial(300, 2)


async def test_a_proxy_that_does_not_answer_makes_no_error(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.arrive(canary=LONG)
    await shop.promote()
    await shop.until(lambda found: (found["deployment"]["canary"] or {}).get("since"))

    async def away(hash_: str, revision: int) -> Trial:
        raise unavailable("away", "The proxy does not answer", "no answer")

    monkeypatch.setattr(shop.stage.world.traffic, "split", away)
    assert await canary_tally(shop.stage.world.doors, (await shop.stored()).id) is None


async def test_what_is_gone_has_none(shop: Shop) -> None:
    assert await canary_tally(shop.stage.world.doors, "dep-nowhere") is None
