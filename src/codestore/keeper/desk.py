"""Which request goes where."""

from collections.abc import Callable
from typing import assert_never

from codestore.keeper.children import Children
from codestore.keeper.home import Home
from codestore.keeper.protocol.messages import (
    ChildRequest,
    Close,
    Forget,
    Forward,
    Freeze,
    List,
    Listen,
    Listing,
    Refuse,
    Relabel,
    Request,
    Shutdown,
    Signal,
    SocketRequest,
    Spawn,
    Stop,
    Subscribe,
    Thaw,
    Unwatch,
    Watch,
)
from codestore.keeper.sockets.refusing import Refusals
from codestore.keeper.watching import Watches


class Desk:
    """Takes requests and returns what is to be answered."""

    def __init__(self, children: Children, home: Home, shutdown: Callable[[float], None]) -> None:
        self._children = children
        self._home = home
        self._shutdown = shutdown
        self._watches = Watches(children, home)
        self._refusals = Refusals(home.listeners)

    async def handle(self, request: Request) -> object:
        """Do what is asked. Raises ``KeeperError``, ``OSError``."""
        match request:
            case Listen() | Close() | Watch() | Unwatch() | Forward() | Refuse():
                return self._on_socket(request)
            case Signal() | Freeze() | Thaw() | Stop() | Forget() | Relabel():
                return await self._on_child(request)
            case Spawn(spec):
                return await self._children.spawn(spec)
            case List():
                sockets, freezer = self._home.listeners.views(), self._home.freezer.name
                limiter = self._home.limiter
                children = self._children.views()
                walls = self._home.walls
                bounded = (limiter.name, limiter.kinds)
                closed = (walls.kind, walls.why, walls.exposed)
                return Listing(children, sockets, freezer, *bounded, *closed)
            case Shutdown(grace):
                self._shutdown(grace)
            case Subscribe():
                raise TypeError("subscribing is between a connection and the server")
            case _:
                assert_never(request)
        return None

    def _on_socket(self, request: SocketRequest) -> str | int | None:
        match request:
            case Listen(name, backlog):
                return self._home.listeners.listen(name, backlog)
            case Refuse(name, answer):
                self._home.waker.call_off(name)
                return self._refusals.refuse(name, answer)
            case Close(name):
                self._home.forwards.drop(name)
                self._home.listeners.close(name)
            case Watch(name, spawn, label):
                self._watches.watch(name, spawn, label)
            case Unwatch(name):
                self._home.listeners.unwatch(name)
            case Forward(name, child):
                self._home.forwards.forward(name, child)
            case _:
                assert_never(request)
        return None

    async def _on_child(self, request: ChildRequest) -> bool | None:
        match request:
            case Freeze(name, socket, queue):
                return await self._children.freeze(name, socket, queue)
            case Stop(name, grace, frozen):
                return self._children.stop(name, grace, frozen)
            case Thaw(name):
                self._children.thaw(name)
            case Signal(name, number, group, cause):
                self._children.signal(name, number, group, cause)
            case Forget(name):
                self._children.forget(name)
            case Relabel(name, label):
                self._children.relabel(name, label)
            case _:
                assert_never(request)
        return None
