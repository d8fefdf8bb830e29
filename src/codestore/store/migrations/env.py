"""What Alembic runs for every command: on the connection it is given, in its transaction."""

from alembic import context

from codestore.store.migrations.upgrading import CONNECTION
from codestore.store.tables import METADATA, SCHEMA

context.configure(
    connection=context.config.attributes[CONNECTION],
    target_metadata=METADATA,
    version_table_schema=SCHEMA,
)
context.run_migrations()
