"""Data keys, their master keys, and ciphertexts that open where they belong and nowhere else."""

import json
import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from codestore.domain.faults import Fault
from codestore.domain.secret import Secret
from codestore.keyring import FileKeyring

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLACE = ("secret", "acme", "prj-1/-/-", "TOKEN")
VALUE = Secret("hunter2 and more")


def ring(folder: Path, now: str | None = None, before: str | None = None) -> FileKeyring:
    said = [None if text is None else Secret(text) for text in (now, before)]
    return FileKeyring(folder / "keyring.json", (said[0], said[1]))


def test_what_is_sealed_opens_at_its_place_also_in_the_next_life(tmp_path: Path) -> None:
    keys = ring(tmp_path)
    key = keys.make("dk-1", "acme", NOW)
    sealed = keys.seal(key, PLACE, VALUE)
    assert "hunter2" not in sealed + key.wrapped
    assert keys.seal(key, PLACE, VALUE) != sealed
    assert ring(tmp_path).open(key, PLACE, sealed) == VALUE


@pytest.mark.parametrize(
    "elsewhere",
    [
        ("secret", "acme", "prj-1/-/-", "OTHER"),
        ("secret", "acme", "prj-1/env-1/-", "TOKEN"),
        ("secret", "other", "prj-1/-/-", "TOKEN"),
        ("set", "acme", "prj-1/-/-", "TOKEN"),
        ("secret", "acme", "prj-1/-/-TOKEN", ""),
    ],
)
def test_what_is_moved_elsewhere_does_not_open(tmp_path: Path, elsewhere: tuple[str, ...]) -> None:
    keys = ring(tmp_path)
    key = keys.make("dk-1", "acme", NOW)
    sealed = keys.seal(key, PLACE, VALUE)
    with pytest.raises(Fault, match="cannot be opened"):
        keys.open(key, elsewhere, sealed)


def test_a_data_key_opens_for_its_organization_only(tmp_path: Path) -> None:
    keys = ring(tmp_path)
    key = keys.make("dk-1", "acme", NOW)
    sealed = keys.seal(key, PLACE, VALUE)
    for stolen in (replace(key, organization="other"), replace(key, id="dk-2")):
        with pytest.raises(Fault, match="cannot be opened"):
            ring(tmp_path).open(stolen, PLACE, sealed)
    with pytest.raises(Fault, match="cannot be opened"):
        keys.open(keys.make("dk-3", "acme", NOW), PLACE, sealed)


@pytest.mark.parametrize("damaged", ["", "AAAA", "not base64 !", "é"])
def test_what_was_changed_does_not_open(tmp_path: Path, damaged: str) -> None:
    keys = ring(tmp_path)
    key = keys.make("dk-1", "acme", NOW)
    with pytest.raises(Fault, match="cannot be opened") as refused:
        keys.open(key, PLACE, damaged)
    assert "hunter2" not in str(refused.value.letter)


def test_a_new_master_key_takes_over_step_by_step(tmp_path: Path) -> None:
    keys = ring(tmp_path)
    first = keys.newest
    key = keys.make("dk-1", "acme", NOW)
    sealed = keys.seal(key, PLACE, VALUE)

    keys.begin({first})
    second = keys.newest
    assert second != first
    keys.begin({first})  # it died here, and is told again: no third one
    assert keys.newest == second
    keys = ring(tmp_path)
    assert keys.newest == second
    assert keys.open(key, PLACE, sealed) == VALUE

    again = keys.rewrap(key)
    assert (again.master, keys.rewrap(again)) == (second, again)
    keys.finish({first, second})  # somebody's data key is wrapped by the first one still
    assert ring(tmp_path).open(key, PLACE, sealed) == VALUE
    keys.finish({second})
    assert ring(tmp_path).open(again, PLACE, sealed) == VALUE
    with pytest.raises(Fault, match="master key is missing"):
        ring(tmp_path).open(key, PLACE, sealed)


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    ring(tmp_path)
    file = tmp_path / "keyring.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["keyring.json"]
    file.chmod(0o640)
    with pytest.raises(Fault, match=r"mode 640") as refused:
        ring(tmp_path)
    assert json.loads(file.read_text())["masters"][0] not in str(refused.value.letter)


@pytest.mark.parametrize("text", ["", "{}", '{"masters": ["zz"]}', '{"masters": ["00"]}', "[]"])
def test_a_damaged_file_is_told_of_and_not_replaced(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keyring.json"
    file.touch(0o600)
    file.write_text(text)
    with pytest.raises(Fault, match="keyring is damaged"):
        ring(tmp_path)
    assert file.read_text() == text


def test_a_master_key_of_the_environment_is_written_nowhere(tmp_path: Path) -> None:
    said = "ab" * 32
    keys = ring(tmp_path, said)
    key = keys.make("dk-1", "acme", NOW)
    keys.begin({keys.newest})
    keys.finish({keys.newest})
    assert list(tmp_path.iterdir()) == []
    sealed = keys.seal(key, PLACE, VALUE)

    moved = ring(tmp_path, "cd" * 32, said)  # another one is said, beside the one before
    again = moved.rewrap(key)
    assert again.master == moved.newest
    assert ring(tmp_path, "cd" * 32).open(again, PLACE, sealed) == VALUE
    with pytest.raises(Fault, match="master key is missing"):
        ring(tmp_path, "cd" * 32).open(key, PLACE, sealed)


def test_from_the_file_to_the_environment(tmp_path: Path) -> None:
    key = ring(tmp_path).make("dk-1", "acme", NOW)
    keys = ring(tmp_path, "ab" * 32)
    again = keys.rewrap(key)
    keys.finish({again.master})
    assert json.loads((tmp_path / "keyring.json").read_text()) == {"masters": []}
    ring(tmp_path, "ab" * 32).seal(again, PLACE, VALUE)


@pytest.mark.parametrize("text", ["", "ab", "zz" * 32, "ab" * 33, " " + "ab" * 32])
def test_a_variable_that_is_no_key_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(Fault, match="64 hex digits") as refused:
        ring(tmp_path, text)
    assert len(text) < 3 or text.strip() not in str(refused.value.letter)
