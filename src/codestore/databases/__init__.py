"""PostgreSQL: a database and a role of the same name for each deployment, kept apart."""
