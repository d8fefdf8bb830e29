"""Tokens and passwords: what is kept of them, and what it opens."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from codestore.domain import passwords
from codestore.domain.faults import Fault
from codestore.domain.people import MOST_DAYS, Token, checked_label, end_of, token_digest
from codestore.domain.secret import Secret

NOW = datetime(2026, 1, 2, tzinfo=UTC)
TOKEN = Token("tok-1", "usr-1", "ci", token_digest(Secret("cs_pat_x")), NOW, NOW + timedelta(1))


def test_a_token_opens_until_it_expires() -> None:
    mine = token_digest(Secret("cs_pat_x"))
    assert TOKEN.opens(mine, NOW)
    assert TOKEN.opens(mine, NOW + timedelta(hours=23))
    assert not TOKEN.opens(mine, NOW + timedelta(1))
    assert not TOKEN.opens(token_digest(Secret("cs_pat_y")), NOW)
    assert replace(TOKEN, expires_at=None).opens(mine, NOW + timedelta(10_000))


@pytest.mark.parametrize("days", [0, -1, MOST_DAYS + 1, 10**9])
def test_a_token_lives_a_day_to_a_year(days: int) -> None:
    with pytest.raises(Fault):
        end_of(days, NOW)


@pytest.mark.parametrize("label", ["", "  ", "a\nb", "a\0b", "\x1b[31m", "x" * 101, "\ud800"])
def test_a_token_is_called_by_a_line_of_text(label: str) -> None:
    with pytest.raises(Fault):
        checked_label(label)
    assert checked_label(" laptop ") == "laptop"


@pytest.mark.parametrize("word", ["correct horse battery", "ä" * 12, "\ud800" * 12, "a\0" * 6])
def test_a_password_matches_itself_only(word: str) -> None:
    kept = passwords.hashed(passwords.checked(Secret(word)), "5a" * 32)
    assert word not in kept
    assert passwords.matches(Secret(word), kept)
    assert not passwords.matches(Secret(word + "x"), kept)
    assert passwords.hashed(Secret(word), "a5" * 32) != kept


def test_to_compare_with_nothing_costs_as_much_as_with_a_password() -> None:
    nothing, kept = passwords.unmatched(), passwords.hashed(Secret("correct horse"), "5a" * 32)
    assert nothing.split("$")[:4] == kept.split("$")[:4]
    assert [len(part) for part in nothing.split("$")] == [len(part) for part in kept.split("$")]
    assert not passwords.matches(Secret("correct horse"), nothing)


@pytest.mark.parametrize("length", [0, 11, 257])
def test_a_password_is_long_enough_and_has_an_end(length: int) -> None:
    with pytest.raises(Fault) as caught:
        passwords.checked(Secret("x" * length))
    assert "x" * 11 not in str(caught.value)
