"""What only PostgreSQL does about people: a log nobody changes, and tables of an older platform."""

import json

import pytest
from alembic import command
from psycopg import errors
from sqlalchemy import create_engine, text

from codestore.domain.audit import Deed, chained
from codestore.domain.deployments import Deployment
from codestore.domain.environments import Environment
from codestore.domain.people import Organization, Token
from codestore.domain.roles import Role
from codestore.domain.secret import Secret
from codestore.domain.services import User
from codestore.store.codec import encode
from codestore.store.connections import sqlalchemy_url
from codestore.store.migrations.upgrading import CONNECTION, configuration
from codestore.store.postgres import PostgresStore
from tests.store import nouns
from tests.support.postgres import RunningServer


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE codestore.audit SET organization = 'x'",
        "UPDATE codestore.audit SET sequence = 7 WHERE false",
        "DELETE FROM codestore.audit",
        "TRUNCATE codestore.audit",
    ],
)
async def test_the_audit_log_is_only_added_to(
    postgres_server: RunningServer, statement: str
) -> None:
    store = await PostgresStore.open(postgres_server.database("appended"))
    organization = f"acme{nouns.number()}"
    async with store.begin() as records:
        deed = Deed(nouns.NOW, "ann", "usr-1", "push", "blog")
        await records.trail.append(chained(organization, deed, None, Secret("key")))
    with pytest.raises(errors.RaiseException, match="only ever added to"):
        postgres_server.execute(statement, "appended")
    async with store.begin() as records:
        assert len(await records.trail.entries(organization, 0, 9)) == 1
    await store.close()


async def test_what_an_older_platform_kept_goes_on(postgres_server: RunningServer) -> None:
    """Its user is an owner, their token opens, and each thing is its organization's."""
    url = postgres_server.database("older")
    _older(url)
    store = await PostgresStore.open(url)
    async with store.begin() as records:
        user = await records.get(User, "usr-1")
        assert user == User("usr-1", "owner", "local", Role.OWNER)
        assert await records.find(User, organization="local", name="owner") == [user]
        token = (await records.find(Token, digest="ab" * 32))[0]
        assert (token.user, token.expires_at) == ("usr-1", None)
        assert await records.get(Organization, "local") is not None
        for kind in (Environment, Deployment):
            found = await records.find(kind, organization="local")
            assert [held.organization for held in found] == ["local"]
    await store.close()


def _older(url: Secret) -> None:
    """Make the tables as they were, with a user, a service and a deployment that has failed."""
    engine = create_engine(sqlalchemy_url(url))
    service = nouns.service(organization="local")
    environment = nouns.environment(service=service.id)
    deployment = nouns.deployment(service=service.id, environment=environment.id)
    old = {"id": "usr-1", "name": "owner", "organization": "local", "token": "ab" * 32}
    rows = [
        ("users", {"name": "owner", "token": "ab" * 32}, old),
        ("services", {"organization": "local", "name": service.name}, encode(service)),
        ("environments", {"service": service.id, "name": "staging"}, _old(environment)),
        (
            "deployments",
            {
                "service": service.id,
                "environment": environment.id,
                "kind": "demo",
                "hash": deployment.hash,
            },
            _old(deployment) | {"database": "a\0b"},
        ),
    ]
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA IF NOT EXISTS codestore"))
        config = configuration()
        config.attributes[CONNECTION] = connection
        command.upgrade(config, "0004")
        for table, columns, data in rows:
            given = {"id": data["id"], **columns, "data": json.dumps(data)}
            names, values = ", ".join(given), ", ".join(f":{name}" for name in given)
            connection.execute(
                text(f"INSERT INTO codestore.{table} ({names}) VALUES ({values})"), given
            )
    engine.dispose()


def _old(noun: Environment | Deployment) -> dict[str, object]:
    return {name: value for name, value in encode(noun).items() if name != "organization"}
