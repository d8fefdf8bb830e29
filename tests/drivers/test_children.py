"""The copy of the keeper's list is never older than what its events have told already."""

from typing import Any, cast

from codestore.drivers.process.children import Children
from codestore.drivers.process.naming import SERVICE, Label
from codestore.keeper.protocol.client import KeeperClient
from codestore.keeper.protocol.messages import ChildView, Listing, Notify

LABEL = Label("dep-1", SERVICE, 1, 0, 10.0).written()


def listed(ready: bool) -> Listing:
    status = "ready" if ready else ""
    view = ChildView("a", 7, 1.0, True, None, None, False, 0, ready, status, LABEL)
    return Listing((view,), ())


class SlowList:
    """A keeper whose answer is overtaken by an event that is newer than it."""

    def __init__(self) -> None:
        self.asked = 0
        self.children: Children | None = None

    async def list(self) -> Listing:
        self.asked += 1
        if self.asked == 1:
            return listed(ready=False)
        if self.asked == 2:
            assert self.children is not None
            await self.children._take(Notify("a", ready=True, status="ready"))
            return listed(ready=False)
        return listed(ready=True)


async def test_readiness_told_while_a_list_is_on_its_way_is_not_forgotten() -> None:
    keeper = SlowList()
    keeper.children = children = Children(cast(KeeperClient, cast(Any, keeper)), lambda _: None)
    await children.load()
    await children.load()
    child = children.get("a")
    assert child is not None
    assert (child.ready, child.status) == (True, "ready")
