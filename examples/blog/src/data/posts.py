"""What can be done with posts."""

from src.data.database import rows

COLUMNS = "id, title, body, created_at"


def newest(limit: int, offset: int) -> list[dict]:
    return rows(
        f"SELECT {COLUMNS} FROM posts ORDER BY created_at DESC, id DESC LIMIT %s OFFSET %s",
        limit,
        offset,
    )


def find(number: int) -> dict | None:
    found = rows(f"SELECT {COLUMNS} FROM posts WHERE id = %s", number)
    return found[0] if found else None


def create(title: str, body: str) -> dict:
    [post] = rows(
        f"INSERT INTO posts (title, body) VALUES (%s, %s) RETURNING {COLUMNS}", title, body
    )
    return post
