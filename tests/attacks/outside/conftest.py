"""One platform for all attacks from outside."""

import json
from collections.abc import Iterator

import pytest

from tests.attacks.outside.target import HONEST, Target
from tests.support.platform import Platform

RATE = 20  # requests per second that a token is good for here


@pytest.fixture(scope="package")
def fortress() -> Iterator[Platform]:
    """A platform that nobody but the attacker uses."""
    made = Platform(api_rate=RATE, hurried=True)
    try:
        made.up()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="package")
def target(fortress: Platform) -> Target:
    """An honest service in all its environments."""
    folder = fortress.home / "honest"
    (folder / "app").mkdir(parents=True)
    (folder / "app/main.py").write_text(HONEST)
    (folder / "codestore.yaml").write_text("service: honest\nrun: {asgi: 'app.main:app'}\n")
    places = fortress.cs("service:create", "honest", "--dir", str(folder))["environments"]
    fortress.cs("project:create", "shop")
    places |= fortress.cs("project:service:add", "shop", "honest", timeout=200)["environments"]
    token = json.loads((fortress.data / "profile.json").read_text())["token"]
    return Target(fortress.port, token, places)
