"""People: who you are, users, tokens, organizations, and what they changed."""

from codestore.cli.view import Document, Facts, Table, moment, text


def profile(found: Document) -> Facts:
    """Show who you are."""
    names = ("name", "id", "organization", "role")
    return Facts([(name, found[name]) for name in names])


def user(found: Document) -> Facts:
    """Show a user, with the password that was just drawn."""
    names = ("name", "id", "organization", "role", "email", "password")
    return Facts([(name, found[name]) for name in names if found[name]])


def users(found: list[Document]) -> Table:
    """List users."""
    rows = [(each["name"], each["role"], text(each["email"]), each["id"]) for each in found]
    return Table(("name", "role", "email", "id"), rows, "Nobody.")


def organization(found: Document) -> Facts:
    """Show an organization that was just made."""
    return Facts([("organization", found["name"]), *user(found["owner"]).facts])


def organizations(found: list[Document]) -> Table:
    """List organizations."""
    rows = [(each["name"], moment(each["created_at"])) for each in found]
    return Table(("name", "since"), rows, "There is none.")


def token(found: Document) -> Facts:
    """Show a token that was just made."""
    rows = [("token", found["token"]), ("id", found["id"]), ("name", found["label"])]
    return Facts([*rows, ("expires", moment(found["expires_at"]))])


def tokens(found: list[Document]) -> Table:
    """List tokens."""
    rows = [
        (each["id"], each["label"], moment(each["created_at"]), moment(each["expires_at"]))
        for each in found
    ]
    return Table(("id", "name", "made", "expires"), rows, "You have none.")


def entries(found: list[Document]) -> Table:
    """List what people changed."""
    names = ("by", "act", "subject", "detail")
    rows = [
        (str(each["sequence"]), moment(each["at"]), *(text(each[name]) for name in names))
        for each in found
    ]
    return Table(("#", "at", "by", "act", "on", "how"), rows, "Nothing was changed yet.")


def verification(found: Document) -> Facts:
    """Show whether the audit log is whole."""
    facts = [("log", "whole" if found["whole"] else "NOT whole")]
    facts += [("entries", str(found["entries"])), ("seal", found["seal"])]
    if found["broken_at"] is not None:
        facts.append(("broken at", f"entry {found['broken_at']}"))
    if found["noted"] is not None:
        facts.append(("--seal", "is in it" if found["noted"] else "is NOT in it"))
    return Facts(facts)
