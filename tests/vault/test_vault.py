"""What is sealed opens with the master key only; what is derived is the same every time."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codestore.domain.faults import Fault
from codestore.domain.secret import Secret
from codestore.vault import FileVault

VAULT = FileVault(bytes(range(32)))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_sealed_can_be_opened_and_shows_nothing(text: str) -> None:
    sealed = VAULT.seal(Secret(text))
    assert VAULT.open(sealed).reveal() == text
    assert len(text) < 4 or text not in sealed
    assert sealed != VAULT.seal(Secret(text))  # equal secrets do not look equal


@pytest.mark.parametrize(
    "how", [lambda s: s[:-4], lambda s: "v1." + "A" * 60, lambda s: "", str.swapcase]
)
def test_what_was_changed_does_not_open(how) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(Fault, match="cannot be opened"):
        VAULT.open(how(VAULT.seal(Secret("a secret"))))


def test_another_master_key_opens_nothing() -> None:
    with pytest.raises(Fault, match="cannot be opened"):
        FileVault(bytes(32)).open(VAULT.seal(Secret("a secret")))


def test_a_derived_secret_depends_on_the_purpose_and_the_key_alone() -> None:
    assert VAULT.derive("database:a") == FileVault(bytes(range(32))).derive("database:a")
    assert VAULT.derive("database:a") != VAULT.derive("database:b")
    assert VAULT.derive("database:a") != FileVault(bytes(32)).derive("database:a")
    assert len(VAULT.derive("x").reveal()) == 64


def test_a_vault_keeps_its_key(tmp_path: Path) -> None:
    file = tmp_path / "master.key"
    first, second = FileVault.open_file(file), FileVault.open_file(file)
    assert first.derive("x") == second.derive("x")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_a_damaged_key_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "master.key"
    file.write_bytes(b"short")
    with pytest.raises(Fault, match="has 5 bytes"):
        FileVault.open_file(file)
