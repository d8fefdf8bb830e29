"""Which secret wins, what may be one, and where each is sealed to."""

from datetime import UTC, datetime

import pytest

from codestore.domain.faults import Fault
from codestore.domain.secrets import (
    LONGEST_VALUE,
    Level,
    Scope,
    SealedSecret,
    chain_of,
    check_key,
    check_value,
    level_of,
    resolved,
    rivals,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PROJECT, ENVIRONMENT = Scope("prj-1"), Scope("prj-1", "env-1")
INSIDE = Scope("prj-1", "env-1", "svc-1")
BOTH, OWN = Scope(service="svc-1"), Scope(environment="env-9", service="svc-1")


def secret(scope: Scope, key: str, sealed: str = "") -> SealedSecret:
    return SealedSecret(f"sec-{scope}", "acme", scope, key, "dk", sealed, "ann", NOW)


@pytest.mark.parametrize(
    ("scope", "chain", "level"),
    [
        (PROJECT, (PROJECT,), Level.PROJECT),
        (ENVIRONMENT, (PROJECT, ENVIRONMENT), Level.ENVIRONMENT),
        (INSIDE, (PROJECT, ENVIRONMENT, INSIDE), Level.SERVICE),
        (BOTH, (BOTH,), Level.SERVICE),
        (OWN, (BOTH, OWN), Level.ENVIRONMENT),
    ],
)
def test_a_chain_goes_from_the_widest_scope_to_the_nearest(
    scope: Scope, chain: tuple[Scope, ...], level: Level
) -> None:
    assert chain_of(scope) == chain
    assert level_of(scope) is level


def test_the_nearest_scope_wins_in_whatever_order_they_come() -> None:
    held = [secret(INSIDE, "A", "near"), secret(PROJECT, "A", "far"), secret(ENVIRONMENT, "B")]
    for order in (held, held[::-1]):
        found = resolved(chain_of(INSIDE), order)
        assert [(key, won.scope) for key, won in found.items()] == [
            ("A", INSIDE),
            ("B", ENVIRONMENT),
        ]


def test_what_is_set_elsewhere_does_not_reach() -> None:
    elsewhere = [
        secret(Scope("prj-2"), "A"),
        secret(Scope("prj-1", "env-2"), "B"),
        secret(Scope("prj-1", "env-1", "svc-2"), "C"),
        secret(BOTH, "D"),
        secret(OWN, "E"),
    ]
    assert not resolved(chain_of(INSIDE), elsewhere)
    assert [s.key for s in resolved(chain_of(OWN), elsewhere).values()] == ["D", "E"]


def test_an_explanation_names_each_scope_the_nearest_first() -> None:
    far = secret(PROJECT, "A")
    told = rivals(chain_of(INSIDE), [far, secret(INSIDE, "B")], "A")
    assert told == ((INSIDE, None), (ENVIRONMENT, None), (PROJECT, far))


@pytest.mark.parametrize("key", ["A", "_a", "API_TOKEN", "a1", "X" * 128])
def test_names_of_variables_are_taken(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize("key", ["", "1A", "A-B", "A B", "Ä", "A\n", "A=B", "X" * 129, "A\0"])
def test_what_names_no_variable_is_refused(key: str) -> None:
    with pytest.raises(Fault, match="Not a name"):
        check_key(key)


@pytest.mark.parametrize(
    "key", ["PORT", "DATABASE_URL", "CS_X", "CODESTORE_DRAIN", "PATH", "LD_PRELOAD", "LISTEN_FDS"]
)
def test_what_the_platform_sets_is_reserved(key: str) -> None:
    with pytest.raises(Fault, match=r"taken: .* platform itself"):
        check_key(key)


@pytest.mark.parametrize("value", ["", "x", "ä\n\t ", "x" * LONGEST_VALUE])
def test_any_text_is_a_value_and_so_is_none_at_all(value: str) -> None:
    assert check_value(value) == value


@pytest.mark.parametrize("value", ["a-secret\0", "a-secret\ud800", "a-secret" + "ä" * 20_000])
def test_a_refused_value_is_not_shown(value: str) -> None:
    with pytest.raises(Fault, match="Value refused") as refused:
        check_value(value)
    assert "a-secret" not in str(refused.value.letter)
