"""People: organizations, roles, tokens, passwords, whose each thing is, and what they changed.

``data`` is prefixed as text: JSONB would refuse the U+0000 that a failure may hold.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

SCHEMA = "codestore"
NOW = "to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
_OWNED = {
    "environments": (
        "SELECT organization FROM codestore.services WHERE id = held.service UNION ALL "
        "SELECT organization FROM codestore.projects WHERE id = held.project"
    ),
    "deployments": "SELECT organization FROM codestore.services WHERE id = held.service",
}


def upgrade() -> None:
    """Create the new tables, move tokens out of users, and note whose each thing is."""
    _nouns("organizations")
    _nouns("tokens", "user", "digest")
    op.create_unique_constraint("tokens_digest_key", "tokens", ["digest"], schema=SCHEMA)
    op.create_index("tokens_user_idx", "tokens", ["user"], schema=SCHEMA)
    _nouns("passwords")
    _people()
    for table, whose in _OWNED.items():
        _owned(table, whose)
    _audit()


def _nouns(table: str, *columns: str) -> None:
    op.create_table(
        table,
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), nullable=False, unique=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in columns),
        sa.Column("data", sa.JSON, nullable=False),
        schema=SCHEMA,
    )


def _people() -> None:
    """Whoever is there has made everything: an owner. Their token goes on opening."""
    op.execute(
        "INSERT INTO codestore.organizations (id, data) "  # noqa: S608 - constants
        f"SELECT name, json_build_object('id', name, 'created_at', {NOW}) "
        "FROM (SELECT DISTINCT data->>'organization' AS name FROM codestore.users) AS named"
    )
    op.execute(
        'INSERT INTO codestore.tokens (id, "user", digest, data) '  # noqa: S608 - constants
        'SELECT made.id, made."user", made.digest, row_to_json(made) FROM ('
        "SELECT 'tok-' || substr(token, 1, 12) AS id, id AS \"user\", 'this machine' AS label, "
        f"token AS digest, {NOW} AS created_at, NULL AS expires_at FROM codestore.users) AS made"
    )
    op.drop_constraint("users_name_key", "users", schema=SCHEMA)
    op.drop_column("users", "token", schema=SCHEMA)
    for name in ("organization", "email"):
        op.add_column(
            "users", sa.Column(name, sa.Text, nullable=False, server_default=""), schema=SCHEMA
        )
        op.alter_column("users", name, server_default=None, schema=SCHEMA)
    op.execute(
        "UPDATE codestore.users SET organization = data->>'organization', data = json_build_object("
        "'id', id, 'name', name, 'organization', data->>'organization', 'role', 'owner', "
        "'email', '')"
    )
    op.create_unique_constraint(
        "users_organization_name_key", "users", ["organization", "name"], schema=SCHEMA
    )


def _owned(table: str, whose: str) -> None:
    op.add_column(
        table, sa.Column("organization", sa.Text, nullable=False, server_default=""), schema=SCHEMA
    )
    op.alter_column(table, "organization", server_default=None, schema=SCHEMA)
    op.execute(
        f"UPDATE codestore.{table} AS held SET organization = COALESCE(({whose}), '')"  # noqa: S608
    )
    op.execute(
        f"UPDATE codestore.{table} SET data = ('{{\"organization\": ' "  # noqa: S608
        "|| to_json(organization)::text || ', ' || substr(ltrim(data::text), 2))::json"
    )
    op.create_index(f"{table}_organization_idx", table, ["organization"], schema=SCHEMA)


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("organization", sa.Text, primary_key=True),
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("data", sa.JSON, nullable=False),
        schema=SCHEMA,
    )
    op.execute(
        "CREATE FUNCTION codestore.refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the audit log is only ever added to'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE "
        "ON codestore.audit FOR EACH STATEMENT EXECUTE FUNCTION codestore.refuse_change()"
    )
