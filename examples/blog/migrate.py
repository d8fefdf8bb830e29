"""Runs the files in src/data/migrations that this database has not seen, in order, once each."""

import os
import sys
from pathlib import Path

import psycopg

MIGRATIONS = Path(__file__).parent / "src/data/migrations"
LOCK = 7_041_776  # any number, the same in every run


def main() -> None:
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        # All in one transaction: either every new file has run or none.
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations"
            " (name text PRIMARY KEY, ran_at timestamptz NOT NULL DEFAULT now())"
        )
        seen = {name for (name,) in connection.execute("SELECT name FROM migrations")}
        for path in sorted(MIGRATIONS.glob("*.sql")):
            if path.name not in seen:
                connection.execute(path.read_bytes())
                connection.execute("INSERT INTO migrations (name) VALUES (%s)", [path.name])
                sys.stdout.write(f"migrated {path.name}\n")


if __name__ == "__main__":
    main()
