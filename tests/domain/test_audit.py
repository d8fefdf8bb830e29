"""The chain of the audit log: nothing can be changed, added, moved or dropped unseen."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from codestore.domain.audit import BEGINNING, Chain, Deed, Entry, chained, verified
from codestore.domain.secret import Secret

KEY, NOW = Secret("key"), datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def chain_of(count: int, organization: str = "acme", key: Secret = KEY) -> list[Entry]:
    entries: list[Entry] = []
    for number in range(count):
        deed = Deed(NOW + timedelta(seconds=number), "ann", "usr-1", "push", f"blog{number}", "x")
        last = entries[-1] if entries else None
        entries.append(chained(organization, deed, last, key))
    return entries


def broken_at(entries: list[Entry], organization: str = "acme") -> int | None:
    return verified(Chain(), organization, entries, KEY).broken_at


def test_a_whole_chain_holds_to_its_end_in_one_go_and_in_parts() -> None:
    entries = chain_of(5)
    whole = verified(Chain(), "acme", entries, KEY)
    assert whole == Chain(5, entries[-1].seal)
    parts = verified(verified(Chain(), "acme", entries[:2], KEY), "acme", entries[2:], KEY)
    assert parts == whole
    assert verified(Chain(), "acme", [], KEY) == Chain(0, BEGINNING)


@pytest.mark.parametrize(
    "change",
    [
        lambda held: replace(held, at=held.at + timedelta(microseconds=1)),
        lambda held: replace(held, by="bob"),
        lambda held: replace(held, user="usr-2"),
        lambda held: replace(held, act="pull"),
        lambda held: replace(held, subject="shop"),
        lambda held: replace(held, detail=""),
        lambda held: replace(held, subject=held.subject + held.detail, detail=""),
    ],
)
def test_a_changed_word_breaks_it_there(change: Callable[[Deed], Deed]) -> None:
    entries = chain_of(5)
    entries[2] = replace(entries[2], deed=change(entries[2].deed))
    assert broken_at(entries) == 3


def test_what_is_dropped_added_or_moved_breaks_it() -> None:
    entries = chain_of(5)
    assert broken_at(entries[1:]) == 1
    assert broken_at(entries[:2] + entries[3:]) == 3
    assert broken_at([entries[1], entries[0], *entries[2:]]) == 1
    assert broken_at([*entries, entries[-1]]) == 6
    assert broken_at(entries, "other") == 1


def test_who_has_no_key_cannot_write_a_chain_anew() -> None:
    assert broken_at(chain_of(5, key=Secret("guessed"))) == 1


def test_what_comes_after_a_break_is_not_believed() -> None:
    chain = Chain(2, "x", broken_at=3)
    assert verified(chain, "acme", chain_of(5), KEY) == chain


def test_a_time_is_the_same_in_every_zone() -> None:
    entry = chain_of(1)[0]
    elsewhere = replace(entry.deed, at=entry.deed.at.astimezone(timezone(timedelta(hours=5))))
    assert broken_at([replace(entry, deed=elsewhere)]) is None
