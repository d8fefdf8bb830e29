"""Commands about keys: what they ask for, what they print, what they refuse to send."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from codestore.wire import Change
from codestore.wire.keys import ClientView, HeldKeyView, IssuedKeyView
from tests.cli.conftest import Cs
from tests.cli.samples import AT, deployment
from tests.cli.stage import Answer, Stage, listing, told

Golden = Callable[[str, str], None]
HOUR = timedelta(hours=1)
CLIENT = IssuedKeyView(
    "cs_cli_" + "0" * 64, "client", "shop", AT, client="cli-1", email="ada@example.org"
)
DEVELOPER = IssuedKeyView("cs_dev_" + "1" * 64, "developer", "shop", AT, old_until=AT + HOUR)
KNOWN = (
    ClientView(
        "cli-1",
        "ada@example.org",
        AT,
        "owner",
        [
            HeldKeyView("cs_cli_111111…", AT, AT + HOUR),
            HeldKeyView("cs_cli_222222…", AT + HOUR, None),
        ],
        12_345,
        AT + HOUR,
    ),
    ClientView("cli-2", "bob@example.org", AT, "owner", [], 0, None),
)


def sent(stage: Stage) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(stage.requests[-1].body)
    return body


def test_a_client_gets_a_key(cs: Cs, stage: Stage, golden: Golden) -> None:
    stage.on("POST", "/api/projects/shop/clients", told(CLIENT, 201))
    run = cs("project:client:add", "shop", "--email", "ada@example.org")
    assert run.code == 0
    assert sent(stage) == {"email": "ada@example.org"}
    golden("project-client-add.out", run.out)


@pytest.mark.parametrize("form", ["table", "json"])
def test_clients_are_listed(cs: Cs, stage: Stage, golden: Golden, form: str) -> None:
    stage.on("GET", "/api/projects/shop/clients", listing(*KNOWN))
    run = cs("project:client:list", "shop", "-o", form)
    assert (run.code, run.err) == (0, "")
    golden(f"project-client-list.{form}", run.out)


def test_a_client_is_removed_by_its_address_if_one_is_sure(cs: Cs, stage: Stage) -> None:
    where = "/api/projects/shop/clients/ada%40example.org"
    stage.on("DELETE", where, Answer(b"", 204))
    words = ("project:client:remove", "shop", "--email", "ada@example.org")
    assert cs(*words).code == 2
    assert stage.requests == []
    run = cs(*words, "--yes")
    assert run.code == 0
    assert "its keys open nothing" in run.out


@pytest.mark.parametrize(
    ("words", "where", "wish"),
    [
        ("-p shop", "projects/shop", {"overlap": 3600.0, "client": None}),
        ("-p shop --overlap 0s", "projects/shop", {"overlap": 0.0, "client": None}),
        (
            "-p shop --client ada@example.org --overlap 2d",
            "projects/shop",
            {"overlap": 172_800.0, "client": "ada@example.org"},
        ),
        ("-s blog --overlap 90s", "services/blog", {"overlap": 90.0, "client": None}),
    ],
)
def test_a_key_is_replaced(
    cs: Cs, stage: Stage, words: str, where: str, wish: dict[str, Any]
) -> None:
    stage.on("POST", f"/api/{where}/keys", told(DEVELOPER, 201))
    run = cs("key:rotate", *words.split())
    assert run.code == 0, run.err
    assert sent(stage) == wish
    assert DEVELOPER.key in run.out and "opens until" in run.out


@pytest.mark.parametrize(
    "words",
    ["-s blog --client a@b", "-s blog -p shop", "-p shop --overlap soon", "-p shop --overlap -1s"],
)
def test_what_makes_no_sense_is_not_sent(cs: Cs, stage: Stage, words: str) -> None:
    assert cs("key:rotate", *words.split()).code == 2
    assert stage.requests == []


def test_a_password_is_replaced_and_there_is_no_way_back(cs: Cs, stage: Stage) -> None:
    change = Change(deployment("production"), [], "")
    where = "/api/environments/shop/production/services/blog/database/password"
    stage.on("POST", where, told(change, 202))
    run = cs("db:rotate", "shop", "blog", "--env", "production")
    assert run.code == 0, run.err
    assert run.out.startswith("The database of blog in production has a new password.")
