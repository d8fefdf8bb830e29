"""Numbers go up, by themselves or because somebody said so, and never back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codestore.domain.faults import Fault
from codestore.domain.versions import History, Number, next_number

numbers = st.builds(Number, *[st.integers(0, 50)] * 3)


def history(newest: str, declared: str | None = None, taken: tuple[str, ...] = ()) -> History:
    return History(Number.parse(newest), declared, frozenset({newest, *taken}))


@pytest.mark.parametrize(
    ("declared", "before", "expected"),
    [
        (None, History(), "0.0.1"),
        ("0.1.0", History(), "0.1.0"),
        (None, history("0.0.1"), "0.0.2"),
        ("0.1.0", history("0.1.0", "0.1.0"), "0.1.1"),
        ("0.1.0", history("0.1.7", "0.1.0"), "0.1.8"),
        ("0.2.0", history("0.1.7", "0.1.0"), "0.2.0"),
        ("1.0.0", history("0.99.99", None), "1.0.0"),
    ],
)
def test_a_push_gets_the_number_its_users_expect(
    declared: str | None, before: History, expected: str
) -> None:
    assert str(next_number(declared, before)) == expected


@pytest.mark.parametrize(
    ("declared", "before", "code"),
    [
        ("0.1.0", history("0.2.0", "0.2.0", ("0.1.0",)), "version_taken"),
        ("0.1.5", history("0.2.0", "0.2.0", ("0.1.0",)), "version_backwards"),
        ("1.0", history("0.2.0"), "bad_version"),
        ("01.0.0", history("0.2.0"), "bad_version"),
        ("1.0.0-rc1", history("0.2.0"), "bad_version"),
    ],
)
def test_a_number_that_cannot_be_is_refused(declared: str, before: History, code: str) -> None:
    with pytest.raises(Fault) as caught:
        next_number(declared, before)
    assert caught.value.letter.code == code
    assert caught.value.letter.hint


@given(numbers, st.one_of(st.none(), numbers), st.one_of(st.none(), numbers))
def test_whatever_is_declared_the_number_goes_up_or_is_refused(
    newest: Number, before: Number | None, declared: Number | None
) -> None:
    past = History(newest, str(before) if before else None, frozenset({str(newest)}))
    try:
        given_ = next_number(str(declared) if declared else None, past)
    except Fault:
        return
    assert given_ > newest
