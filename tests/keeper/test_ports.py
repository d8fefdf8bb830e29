"""Ports that children are given, and when they are ready there."""

from codestore.keeper.protocol.client import KeeperClient
from codestore.keeper.protocol.messages import Notify, Started
from codestore.keeper.sockets import dialling
from tests.keeper.house import event, listed, script
from tests.keeper.visits import ASKED, BLOCKED


async def test_a_port_is_ready_when_it_accepts(client: KeeperClient) -> None:
    code = BLOCKED + "say('READY=1\\nSTATUS=not yet'); "
    async with client.events() as events:
        await client.spawn(script("echo", code + ASKED, port=True))
        started = await event(events, Started, "echo")
        assert 1024 < started.child.port < 32768
        told = await event(events, Notify, "echo")
        assert (told.ready, told.status) == (False, "not yet")
        assert (await listed(client, "echo")).ready is False
        await client.signal("echo", "SIGUSR1")
        assert (await event(events, Notify, "echo")).ready is True
    view = await listed(client, "echo")
    assert (view.ready, view.port) == (True, started.child.port)


async def test_each_run_has_a_port_of_its_own(client: KeeperClient) -> None:
    code = "say('STATUS=' + os.environ['PORT'])"
    async with client.events() as events:
        await client.spawn(script("x", code, port=True, restart=True))
        ports = [(await event(events, Notify, "x")).status for _ in range(2)]
    assert ports[0] != ports[1]
    assert len({dialling.free_port() for _ in range(100)}) == 100
