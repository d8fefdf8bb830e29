"""The history of the tables, as Alembic's migrations."""
