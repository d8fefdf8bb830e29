"""Keys: what opens what, how one is replaced, and how calls are counted."""

from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codestore.domain.environments import POLICIES, Kind
from codestore.domain.faults import Fault
from codestore.domain.keys import (
    LONGEST_OVERLAP,
    MOST_CLIENTS,
    MOST_KEYS,
    Client,
    Key,
    KeyKind,
    KeyState,
    Usage,
    check_email,
    check_overlap,
    check_room,
    counted,
    hint_of,
    opens,
    plain_key,
    rotated,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DEVELOPER = Key("key-1", "prj-1", KeyKind.DEVELOPER, "sealed", NOW)
CLIENT = Key("key-2", "prj-1", KeyKind.CLIENT, "sealed", NOW, "cli-1")


def fresh(number: int) -> Key:
    return replace(DEVELOPER, id=f"key-new-{number}")


@contextmanager
def refused(code: str):
    with pytest.raises(Fault) as raised:
        yield
    assert raised.value.letter.code == code


def test_a_developers_key_opens_every_environment_a_clients_production_only():
    opened = {
        kind: (opens(DEVELOPER, policy, NOW), opens(CLIENT, policy, NOW))
        for kind, policy in POLICIES.items()
    }
    assert opened.pop(Kind.PRODUCTION) == (True, True)
    assert set(opened.values()) == {(True, False)}


def test_a_key_that_has_ended_opens_nothing_from_that_very_moment():
    policy = POLICIES[Kind.PRODUCTION]
    for key in (DEVELOPER, CLIENT):
        ending = replace(key, expires_at=NOW + HOUR)
        assert ending.state is KeyState.RETIRING
        assert opens(ending, policy, NOW + HOUR - timedelta(microseconds=1))
        assert not opens(ending, policy, NOW + HOUR)


def test_the_old_key_opens_beside_the_new_one_for_the_overlap():
    change = rotated([DEVELOPER], fresh(1), NOW, HOUR)
    assert change.fresh == fresh(1)
    assert change.retiring == (replace(DEVELOPER, expires_at=NOW + HOUR),)
    assert change.ended == ()


def test_another_rotation_never_prolongs_what_is_ending():
    ending = replace(DEVELOPER, expires_at=NOW + timedelta(minutes=5))
    change = rotated([ending, fresh(1)], fresh(2), NOW, HOUR)
    assert [key.expires_at for key in change.retiring] == [ending.expires_at, NOW + HOUR]


def test_without_an_overlap_all_old_ones_end_now():
    ending = replace(DEVELOPER, expires_at=NOW + HOUR)
    change = rotated([ending, fresh(1)], fresh(2), NOW, timedelta())
    assert change.retiring == ()
    assert change.ended == (ending, fresh(1))


def test_what_is_over_is_forgotten_by_the_way():
    over = replace(DEVELOPER, expires_at=NOW)
    change = rotated([over, fresh(1)], fresh(2), NOW, HOUR)
    assert change.ended == (over,)


def test_there_are_never_more_than_a_few_at_once():
    held = [DEVELOPER]
    for number in range(MOST_KEYS - 1):
        change = rotated(held, fresh(number), NOW, HOUR)
        held = [*change.retiring, change.fresh]
    assert len(held) == MOST_KEYS
    with refused("too_many_keys"):
        rotated(held, fresh(9), NOW, HOUR)
    assert rotated(held, fresh(9), NOW, timedelta()).ended == tuple(held)
    assert rotated(held, fresh(9), NOW + HOUR, HOUR).fresh == fresh(9)


def test_keys_have_256_bits_behind_a_prefix_and_the_hint_opens_nothing():
    key = plain_key(KeyKind.CLIENT, "0123456789abcdef" * 4)
    assert key.reveal().startswith("cs_cli_")
    assert plain_key(KeyKind.DEVELOPER, "a" * 64).reveal() == "cs_dev_" + "a" * 64
    assert hint_of(key) == "cs_cli_012345…"
    assert str(key) == "[hidden]"


@pytest.mark.parametrize("seconds", [0, 1, LONGEST_OVERLAP.total_seconds()])
def test_an_overlap_has_a_bound(seconds):
    assert check_overlap(seconds).total_seconds() == seconds


@pytest.mark.parametrize("seconds", [-1, LONGEST_OVERLAP.total_seconds() + 1, float("nan"), 1e300])
def test_what_is_no_overlap_is_refused(seconds):
    with refused("bad_overlap"):
        check_overlap(seconds)


@pytest.mark.parametrize("text", ["ada@example.org", " Ada@Example.ORG ", "a+b@localhost"])
def test_an_address_is_an_address(text):
    assert check_email(text) == text.strip().lower()


@pytest.mark.parametrize(
    "text", ["", "ada", "@x", "a@", "a b@x.org", "a@b@c", "a\0@x", "ä@x", "a@x/../y", "a" * 99]
)
def test_what_is_no_address_is_refused(text):
    with refused("bad_email"):
        check_email(text)


def test_a_project_has_only_so_many_clients():
    held = [Client(f"cli-{n}", "prj-1", f"a{n}@x", NOW, "ann") for n in range(MOST_CLIENTS)]
    check_room(held[1:], "shop")
    with refused("too_many_clients"):
        check_room(held, "shop")


def test_calls_are_added_across_deployments_restarts_and_counters_that_begin_anew():
    usage = counted(Usage("cli-1"), "run1", {"a": 3, "b": 2}, NOW)
    assert (usage.requests, usage.used_at) == (5, NOW)
    again = counted(usage, "run1", {"a": 3, "b": 2}, NOW + HOUR)
    assert again == usage  # and nothing is written
    usage = counted(usage, "run1", {"a": 4, "b": 1}, NOW + HOUR)  # b was published anew
    assert (usage.requests, usage.used_at) == (7, NOW + HOUR)
    usage = counted(usage, "run2", {"a": 4}, NOW + 2 * HOUR)  # all began anew
    assert usage.requests == 11
    usage = counted(usage, "run3", {}, NOW + 3 * HOUR)
    assert (usage.requests, usage.used_at) == (11, NOW + 2 * HOUR)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9), st.booleans()), max_size=30))
def test_no_call_is_lost_or_counted_twice_if_each_is_seen(steps):
    totals, run, usage, called = {}, 0, Usage("cli-1"), 0
    for hash_, more, restarts in steps:
        if restarts:
            run, totals = run + 1, {}
        totals[hash_] = totals.get(hash_, 0) + more
        called += more
        usage = counted(usage, f"run{run}", totals, NOW)
    assert usage.requests == called
