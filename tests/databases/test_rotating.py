"""Passwords are replaced by a second login, so that there is always one that lets in."""

import psycopg
import pytest

from codestore.databases.postgres import PostgresDatabases
from codestore.domain.environments import DatabaseLimits
from codestore.domain.secret import Secret
from tests.databases.clients import PASSWORD, fresh, refused
from tests.support.postgres import RunningServer

NEW = Secret("the new one")
NEWER = Secret("one after that")


def connect(
    databases: PostgresDatabases, name: str, password: Secret, login: int
) -> psycopg.Connection:
    url = databases.settings(name, password, login)["DATABASE_URL"].reveal()
    return psycopg.connect(url, autocommit=True)


def is_shut(databases: PostgresDatabases, name: str, password: Secret, login: int) -> bool:
    try:
        connect(databases, name, password, login).close()
    except psycopg.OperationalError as error:
        assert "not permitted to log in" in str(error) or "authentication failed" in str(error)
        return True
    return False


async def test_the_old_password_and_the_new_one_let_in_until_the_old_one_is_closed(
    databases: PostgresDatabases,
) -> None:
    name = fresh()
    await databases.create(name, PASSWORD)
    assert await databases.logins(name) == {0}
    await databases.open_login(name, NEW, 1)
    assert await databases.logins(name) == {0, 1}
    assert await databases.observe(name)
    old = connect(databases, name, PASSWORD, 0)
    with connect(databases, name, NEW, 1):
        await databases.close_logins(name, 1)
        assert await databases.logins(name) == {1}
        with pytest.raises(psycopg.OperationalError):
            old.execute("SELECT 1")  # whoever stole it is cut off, too
    assert is_shut(databases, name, PASSWORD, 0)
    assert not is_shut(databases, name, NEW, 1)
    assert await databases.observe(name)


async def test_it_goes_on_and_on_by_turns(databases: PostgresDatabases) -> None:
    name = fresh()
    await databases.create(name, PASSWORD)
    passwords = [PASSWORD, NEW, NEWER, Secret("third"), Secret("fourth")]
    for number, password in enumerate(passwords[1:], 1):
        await databases.open_login(name, password, number)
        await databases.open_login(name, password, number)  # again: nothing
        await databases.close_logins(name, number)
        await databases.close_logins(name, number)
        assert await databases.logins(name) == {number}
        for before in range(number):
            assert is_shut(databases, name, passwords[before], before)
        with connect(databases, name, password, number) as connection:
            connection.execute(f"CREATE TABLE t{number} (n int)")
    with connect(databases, name, passwords[-1], 4) as connection:
        owners = connection.execute(
            "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
    assert owners == [(name,)]


async def test_by_either_login_a_service_is_the_owner_and_meets_the_same_limits(
    databases: PostgresDatabases,
) -> None:
    name = fresh()
    limits = DatabaseLimits(connections=1, statement=0.05)
    await databases.create(name, PASSWORD, 0, limits)
    await databases.open_login(name, NEW, 1, limits)
    with connect(databases, name, PASSWORD, 0) as first:
        first.execute("CREATE TABLE notes AS SELECT 7 AS kept")
        with connect(databases, name, NEW, 1) as second:
            assert second.execute("SELECT current_user").fetchone() == (name,)
            second.execute("ALTER TABLE notes ADD more int")
            assert second.execute("SELECT kept FROM notes").fetchone() == (7,)
            with pytest.raises(psycopg.errors.QueryCanceled):
                second.execute("SELECT pg_sleep(10)")
            with pytest.raises(psycopg.OperationalError, match="too many connections"):
                connect(databases, name, NEW, 1)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE DATABASE more",
        "CREATE ROLE more",
        "ALTER ROLE {name}_b SUPERUSER",
        "ALTER ROLE {name}_b CONNECTION LIMIT 1000",
        "COMMENT ON ROLE {name}_b IS 'mine'",
        "SET ROLE {other}",
        "SET ROLE postgres",
        "GRANT {name} TO {other}",
    ],
)
async def test_by_the_second_login_a_service_may_do_no_more_than_by_the_first(
    databases: PostgresDatabases, statement: str
) -> None:
    name, other = fresh(), fresh()
    await databases.create(name, PASSWORD)
    await databases.create(other, PASSWORD)
    await databases.open_login(name, NEW, 1)
    for before in ("SELECT 1", "RESET ROLE"):
        with connect(databases, name, NEW, 1) as connection:
            connection.execute(before.encode())
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.format(name=name, other=other).encode())
    url = databases.settings(name, NEW, 1)["DATABASE_URL"].reveal()
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(url, dbname=other)


async def test_what_was_made_by_a_later_login_is_finished_by_it(
    databases: PostgresDatabases, postgres_server: RunningServer
) -> None:
    name = fresh()
    await databases.create(name, PASSWORD)
    await databases.open_login(name, NEW, 1)
    await databases.close_logins(name, 1)
    postgres_server.execute(f"GRANT CONNECT ON DATABASE {name} TO PUBLIC")
    assert not await databases.observe(name)
    await databases.create(name, NEW, 1)
    assert await databases.observe(name)
    assert await databases.logins(name) == {1}


async def test_what_a_neighbour_gave_to_the_second_role_does_not_keep_it_alive(
    databases: PostgresDatabases, postgres_server: RunningServer
) -> None:
    name, neighbour = fresh(), fresh()
    await databases.create(name, PASSWORD)
    await databases.open_login(name, NEW, 1)
    await databases.create(neighbour, PASSWORD)
    with connect(databases, neighbour, PASSWORD, 0) as connection:
        connection.execute("CREATE TABLE notes (n int)")
        connection.execute(f"GRANT SELECT ON notes TO {name}_b".encode())
    await databases.drop(name)
    assert name not in await databases.names()
    assert postgres_server.execute(f"SELECT 1 FROM pg_roles WHERE rolname = '{name}_b'") == []


async def test_a_database_goes_with_both_its_roles(
    databases: PostgresDatabases, postgres_server: RunningServer
) -> None:
    name = fresh()
    await databases.create(name, PASSWORD)
    await databases.open_login(name, NEW, 1)
    assert f"{name}_b" not in await databases.names()
    with connect(databases, name, NEW, 1) as connection:
        connection.execute("RESET ROLE; CREATE SCHEMA own; CREATE TABLE own.notes (n int)")
        await databases.drop(name)
    assert name not in await databases.names()
    with psycopg.connect(postgres_server.embedded.admin_url.reveal()) as connection:
        found = connection.execute(
            "SELECT rolname FROM pg_roles WHERE rolname LIKE %s", (f"{name}%",)
        ).fetchall()
    assert found == []
    await databases.drop(name)


async def test_a_second_role_that_somebody_else_made_is_not_touched(
    databases: PostgresDatabases, postgres_server: RunningServer
) -> None:
    name = fresh()
    await databases.create(name, PASSWORD)
    postgres_server.execute(f"CREATE ROLE {name}_b LOGIN")
    with refused("database_taken"):
        await databases.open_login(name, NEW, 1)
    await databases.drop(name)
    postgres_server.execute(f"DROP ROLE {name}_b")


async def test_an_administrator_who_is_no_superuser_can_replace_them(
    postgres_server: RunningServer,
) -> None:
    admin = fresh()
    postgres_server.execute(f"CREATE ROLE {admin} LOGIN CREATEDB CREATEROLE PASSWORD 'a'")
    postgres_server.execute(f"GRANT CONNECT ON DATABASE postgres TO {admin}")
    path = postgres_server.embedded.admin_url.reveal().partition("@")[2]
    databases = PostgresDatabases(Secret(f"postgresql://{admin}:a@{path}"))
    name = fresh()
    await databases.create(name, PASSWORD)
    await databases.open_login(name, NEW, 1)
    old = connect(databases, name, PASSWORD, 0)
    await databases.close_logins(name, 1)
    assert old.broken or is_shut(databases, name, PASSWORD, 0)
    await databases.open_login(name, NEWER, 2)
    await databases.close_logins(name, 2)
    assert is_shut(databases, name, NEW, 1)
    await databases.drop(name)
    await databases.close()


async def test_passwords_are_kept_as_scram_verifiers_only(
    databases: PostgresDatabases, postgres_server: RunningServer
) -> None:
    name = fresh()
    await databases.create(name, PASSWORD)
    await databases.open_login(name, NEW, 1)
    with psycopg.connect(postgres_server.embedded.admin_url.reveal()) as connection:
        kept = connection.execute(
            "SELECT rolpassword FROM pg_authid WHERE rolname LIKE %s", (f"{name}%",)
        ).fetchall()
        methods = connection.execute(
            "SELECT DISTINCT auth_method FROM pg_hba_file_rules"
        ).fetchall()
        addresses = connection.execute("SHOW listen_addresses").fetchone()
    assert len(kept) == 2 and all(each.startswith("SCRAM-SHA-256$") for (each,) in kept)
    assert methods == [("scram-sha-256",)]
    assert addresses == ("",)  # no port is open: a Unix socket is all there is
