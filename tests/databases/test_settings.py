"""How a service finds its database, and where its secrets are not to be found."""

import psycopg
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

from codestore.databases.address import Address
from codestore.databases.postgres import PostgresDatabases
from codestore.domain.secret import Secret
from tests.databases.clients import PASSWORD, fresh, login
from tests.support.postgres import RunningServer


async def test_the_url_is_understood_by_psycopg_and_sqlalchemy(
    databases: PostgresDatabases,
) -> None:
    name = fresh()
    await databases.create(name, PASSWORD)
    url = databases.settings(name, PASSWORD)["DATABASE_URL"].reveal()
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute("SELECT current_user")
        assert await cursor.fetchone() == (name,)

    dialect = url.replace("postgresql:", "postgresql+psycopg:")
    engine = sqlalchemy.create_engine(dialect)
    with engine.connect() as connection:
        assert connection.scalar(sqlalchemy.text("SELECT current_user")) == name
    engine.dispose()
    aengine = create_async_engine(dialect)
    async with aengine.connect() as connection:
        assert await connection.scalar(sqlalchemy.text("SELECT current_user")) == name
    await aengine.dispose()


async def test_the_parts_say_the_same_as_the_url(databases: PostgresDatabases) -> None:
    settings = databases.settings("notes", PASSWORD)
    parts = psycopg.conninfo.conninfo_to_dict(settings["DATABASE_URL"].reveal())
    assert parts == {
        "host": settings["DATABASE_HOST"].reveal(),
        "port": settings["DATABASE_PORT"].reveal(),
        "dbname": settings["DATABASE_NAME"].reveal(),
        "user": settings["DATABASE_USERNAME"].reveal(),
        "password": settings["DATABASE_PASSWORD"].reveal(),
    }
    assert PASSWORD.reveal() not in str(settings)


@pytest.mark.parametrize(
    ("admin", "expected"),
    [
        ("postgresql://a:b@db.example/x", "postgresql://n:p%40@db.example:5432/n"),
        ("postgresql://a@db.example:6000", "postgresql://n:p%40@db.example:6000/n"),
        ("postgresql://a@[::1]:6000/x", "postgresql://n:p%40@[::1]:6000/n"),
        ("postgresql:///x?host=/a%20b", "postgresql://n:p%40@/n?host=%2Fa%20b&port=5432"),
        (
            "postgresql://a@db/x?sslmode=verify-full&application_name=y",
            "postgresql://n:p%40@db:5432/n?sslmode=verify-full",
        ),
    ],
)
def test_a_service_is_led_to_the_server_of_the_administrator(admin: str, expected: str) -> None:
    url = Address.of(Secret(admin)).url("n", Secret("p@"), "n").reveal()
    assert url == expected
    assert psycopg.conninfo.conninfo_to_dict(url)["password"] == "p@"


async def test_no_secret_reaches_the_log_or_the_list_of_sessions(
    databases: PostgresDatabases, postgres_server: RunningServer
) -> None:
    name, secret = fresh(), Secret("s3cret-that-is-nowhere")
    await databases.create(name, secret)
    async with login(databases, name, password=secret) as connection:
        with pytest.raises(psycopg.Error):
            await connection.execute("SELECT 's3cret-that-is-nowhere' FROM nowhere")
        with pytest.raises(psycopg.Error):
            await connection.execute("CREATE TABLE a (b text UNIQUE); DROP TABLE nowhere")
        queries = postgres_server.execute("SELECT query FROM pg_stat_activity WHERE query <> ''")
        assert not [query for (query,) in queries if "SCRAM" in str(query)]
        neighbours = await connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE usename <> current_user"
            " AND query NOT IN ('', '<insufficient privilege>')"
        )
        assert await neighbours.fetchone() == (0,)
    await databases.create(name, secret)
    log = postgres_server.log.read_text()
    assert secret.reveal() not in log
    assert "SCRAM-SHA-256" not in log
    assert PASSWORD.reveal() not in log
    assert postgres_server.embedded.password.reveal() not in log
    assert secret.reveal() not in " ".join(postgres_server.embedded.command())
