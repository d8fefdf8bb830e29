"""Secrets as people see them: hidden, unless they were to be revealed."""

from codestore.cli.view import Document, Facts, Lines, Table, View, moment, text

HIDDEN = "••••••"


def secrets(found: list[Document]) -> Table:
    """Show secrets, each with where it is set."""
    rows = [
        (
            each["key"],
            HIDDEN if each["value"] is None else each["value"],
            source(each["source"]),
            each["set_by"],
            moment(each["set_at"]),
        )
        for each in found
    ]
    columns = ("SECRET", "VALUE", "SET AT", "BY", "SINCE")
    return Table(columns, rows, "No secret is set there. Set one: cs secret:add --help")


def source(told: Document) -> str:
    """Say where a secret is set: ``project shop``, ``service shop/production/blog``."""
    names = (told["project"], told["environment"], told["service"])
    if told["project"] is None:
        names = (told["service"], told["environment"], None)
    return f"{told['level']} {'/'.join(name for name in names if name)}"


def chain(told: Document) -> Table:
    """Show where a key is looked for, the nearest first."""
    rows = []
    for rival in told["chain"]:
        says = "wins" if rival["winner"] else "set, and not reached" if rival["set"] else "–"
        rows.append((source(rival["source"]), says, text(rival["set_by"]), moment(rival["set_at"])))
    if not any(rival["set"] for rival in told["chain"]):
        rows.append(("nowhere", "needed by its manifest" if told["needed"] else "–", "–", "–"))
    elif told["applied"] is False:
        rows.append(("what runs", "has another value: its last change failed or went back", "", ""))
    return Table((told["key"], "SAYS", "BY", "SINCE"), rows, "")


def changed(told: Document) -> View:
    """Say what was changed, and what started anew."""
    word = "set at" if told["set"] else "taken away from"
    facts = [(told["key"], f"{word} {source(told['source'])}")]
    for each in told["deployments"]:
        where = f"{each['name']} in {each['environment']}"
        facts.append(("started anew", f"{where}: {each['state']}, {text(each['version'])}"))
    if not told["deployments"]:
        facts.append(("started anew", "nothing: nobody gets another value by that"))
    return Facts(facts)


def rekeyed(told: Document) -> Lines:
    """Say what was sealed anew."""
    wrapped, sealed = told["data_keys"], told["secrets"]
    return Lines([f"{wrapped} data keys were wrapped, {sealed} secrets sealed anew."])
