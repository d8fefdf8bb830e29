"""The asgi template and the orders example run under the server as they are."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import REPOSITORY, TEMPLATES
from house import House, Instance, client
from websockets.sync.client import unix_connect


@pytest.fixture
def orders(house: House) -> Iterator[Instance]:
    instance = house.ready(
        REPOSITORY / "examples/orders",
        "asgi",
        "app.main:app",
        DATABASE_URL="postgresql://nobody@127.0.0.1:1/nowhere",
        PYTHONDONTWRITEBYTECODE="1",
    )
    yield instance
    instance.drain()
    assert instance.left() == 0


def test_the_asgi_template_answers(house: House, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(TEMPLATES / "asgi", tmp_path / "service"))
    instance = house.ready(folder, "asgi", "app.main:app")
    with client(instance.private) as private:
        assert private.get("/").json() == {"message": "Hello, World!"}
        assert private.get("/health").json() == {"status": "ok"}


def test_orders_is_healthy_before_it_has_a_database(orders: Instance) -> None:
    with client(orders.private) as private:
        assert private.get("/health").json() == {"status": "ok"}


def test_orders_streams_events(orders: Instance) -> None:
    with client(orders.private) as private:
        answer = private.get("/stream", params={"n": 3, "seconds": 0})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text == "".join(f"event: tick\ndata: {n}\n\n" for n in range(3))


def test_orders_sends_a_body_back_whole(orders: Instance) -> None:
    # As much as fits the socket's buffers: this client reads only when it has written everything.
    body = os.urandom(100_000)
    with client(orders.private) as private:
        assert private.post("/echo", content=body).content == body


def test_orders_speaks_websocket(orders: Instance) -> None:
    with unix_connect(str(orders.private), "ws://service/ws") as connection:
        connection.send("hello")
        assert connection.recv() == "hello"
