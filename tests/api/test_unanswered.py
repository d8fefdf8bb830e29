"""A keeper that does not answer is told as what it is, not as our mistake."""

from typing import Any, cast

import pytest

from codestore.domain.faults import Fault, FaultKind
from codestore.keeper.errors import KeeperError
from codestore.keeper.protocol.client import KeeperClient
from codestore.wiring.telling import platform_status


class Silent(KeeperClient):
    def __init__(self) -> None:
        """Without a connection."""

    async def list(self) -> Any:
        raise KeeperError("timeout", "no answer within 10 s")


async def test_a_status_without_the_keeper_is_unavailable() -> None:
    nothing = cast(Any, None)
    with pytest.raises(Fault) as refused:
        await platform_status(nothing, nothing, Silent(), nothing)
    assert refused.value.letter.kind is FaultKind.UNAVAILABLE
