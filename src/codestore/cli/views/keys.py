"""Keys that were made, and clients that hold them."""

from codestore.cli.view import Document, Facts, Table, moment, text


def issued(found: Document) -> Facts:
    """Show a fresh key, and until when the old one opens."""
    facts = [("key", found["key"]), ("kind", found["kind"]), ("of", found["owner"])]
    if found["email"]:
        facts.append(("client", found["email"]))
    if found["old_until"]:
        facts.append(("old key", f"opens until {moment(found['old_until'])}"))
    return Facts(facts)


def clients(found: list[Document]) -> Table:
    """List clients, a line for each key."""
    rows = [
        (
            client["email"],
            key["hint"],
            moment(key["created_at"]),
            moment(key["expires_at"]),
            f"{client['requests']:,}",
            moment(client["used_at"]),
        )
        for client in found
        for key in client["keys"] or [{"hint": text(None), "created_at": None, "expires_at": None}]
    ]
    columns = ("client", "key", "since", "until", "requests", "last used")
    empty = "No clients yet. Add one: cs project:client:add PROJECT --email EMAIL"
    return Table(columns, rows, empty)
