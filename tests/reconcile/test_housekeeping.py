"""What is old is thrown away."""

from datetime import UTC, datetime

import pytest

from codestore.domain.deployments import Deployment
from codestore.reconcile import housekeeping
from codestore.reconcile.housekeeping import tidy
from tests.reconcile.house import NOON, House
from tests.store import nouns


async def test_old_hours_and_events_are_thrown_away_when_the_house_is_tidied(
    house: House, shop: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "FORGOTTEN", 2)
    house.proxy.serve(shop.hash, 5)
    await house.count(15)
    async with house.breaking.store.begin() as records:
        await records.emit(*(nouns.event(shop.id, str(n), at=NOON) for n in range(5)))
    house.clock.at = datetime(2027, 4, 30, 23, tzinfo=UTC)
    await tidy(house.doors, 1)
    assert await house.total(shop) == (5, 0)
    assert len(await house.events()) == 5
    house.clock.at = datetime(2027, 5, 1, tzinfo=UTC)
    await tidy(house.doors, 1)
    assert await house.total(shop) == (0, 0)
    assert await house.events() == []
