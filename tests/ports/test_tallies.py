"""The Tallies door of a transaction: one suite for every implementation."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from codestore.domain.canary import Tally
from codestore.domain.looks import Look, spread
from codestore.domain.promise import MINUTE, MINUTES, MOST, Hour
from codestore.ports import Gone, Store
from tests.ports.test_store import store
from tests.store import nouns

__all__ = ["store"]

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
AGES = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def hour(deployment: str, start: datetime = NOON, **minutes: tuple[int, int]) -> Hour:
    """Return an hour with some minutes, as in ``m7=(requests, failures)``."""
    requests, failures = [0] * MINUTES, [0] * MINUTES
    for name, (asked, failed) in minutes.items():
        requests[int(name[1:])], failures[int(name[1:])] = asked, failed
    return Hour(deployment, start, tuple(requests), tuple(failures))


def fresh() -> str:
    return f"dep-{nouns.number()}"


def look(run: str = "", **totals: tuple[int, int]) -> Look:
    """Return a look at one source each."""
    told = {id_: {"one": Tally(*pair)} for id_, pair in totals.items()}
    return Look(NOON, run or f"run-{nouns.number()}", told)


async def add(
    store: Store, *hours: Hour, seen: Look | None = None, gone: Gone | None = None
) -> None:
    async with store.begin() as records:
        await records.tallies.add(hours, seen or look(), gone or {})


async def hours_of(store: Store, deployment: str) -> list[Hour]:
    async with store.begin() as records:
        return await records.tallies.hours(deployment, *AGES)


async def last(store: Store) -> Look | None:
    async with store.begin() as records:
        return await records.tallies.last()


async def test_what_is_added_is_there_minute_by_minute(store: Store) -> None:
    id_ = fresh()
    await add(store, hour(id_, m0=(3, 1), m59=(70_000, 0)))
    await add(store, hour(id_, m0=(1, 0), m7=(2, 2)), hour(fresh(), m0=(9, 9)))
    (found,) = await hours_of(store, id_)
    assert found == hour(id_, m0=(4, 1), m7=(2, 2), m59=(70_000, 0))
    assert found.total == Tally(70_006, 3)


async def test_the_same_hour_twice_in_one_call_is_added_twice(store: Store) -> None:
    id_ = fresh()
    await add(store, hour(id_, m1=(1, 1)), hour(id_, m1=(1, 0)), hour(id_, NOON + HOUR, m1=(5, 0)))
    assert await hours_of(store, id_) == [
        hour(id_, m1=(2, 1)),
        hour(id_, NOON + HOUR, m1=(5, 0)),
    ]


async def test_a_minute_that_is_full_stays_so(store: Store) -> None:
    id_ = fresh()
    await add(store, hour(id_, m1=(MOST - 1, MOST), m2=(1, 0)))
    await add(store, hour(id_, m1=(5, 5)))
    assert await hours_of(store, id_) == [hour(id_, m1=(MOST, MOST), m2=(1, 0))]


@pytest.mark.parametrize("most", [1, 255, 256, 65_535, 65_536, MOST])
async def test_numbers_of_any_size_are_kept(store: Store, most: int) -> None:
    id_ = fresh()
    whole = Hour(id_, NOON, tuple(range(most - 59, most + 1)), (0, most) * 30)
    await add(store, whole if most > 59 else hour(id_, m3=(most, 0), m4=(0, most)))
    (found,) = await hours_of(store, id_)
    assert found == (whole if most > 59 else hour(id_, m3=(1, 0), m4=(0, 1)))


async def test_hours_are_found_by_time_and_in_order(store: Store) -> None:
    id_ = fresh()
    held = [hour(id_, NOON + n * HOUR, m5=(n + 1, n % 2)) for n in range(5)]
    await add(store, *reversed(held))
    async with store.begin() as records:
        found = await records.tallies.hours(id_, NOON + HOUR, NOON + 3 * HOUR)
        assert found == held[1:3]
        assert await records.tallies.hours(fresh(), *AGES) == []


async def test_the_worst_hours_are_those_with_the_worst_minutes(store: Store) -> None:
    one, two = fresh(), fresh()
    many = hour(one, **{f"m{n}": (9, 8) for n in range(60)})
    single = hour(two, m3=(9, 9))
    equal = hour(one, NOON + 2 * HOUR, m3=(8, 8))
    good = hour(two, NOON + HOUR, m3=(1000, 0))
    late, early = hour(two, NOON + 3 * HOUR, m1=(99, 99)), hour(two, NOON - HOUR, m1=(99, 99))
    other = hour(fresh(), m1=(99, 99))
    await add(store, many, single, equal, good, late, early, other)
    await add(store, hour(one, m59=(1, 0)))
    many = many.adding(hour(one, m59=(1, 0)))
    async with store.begin() as records:
        worst = records.tallies.worst
        found = await worst([one, two], NOON, NOON + 3 * HOUR, 9)
        assert found == [single, equal, many]
        assert await worst([one, two], NOON, NOON + 3 * HOUR, 2) == found[:2]
        assert await worst([one], NOON, NOON + 3 * HOUR, 1) == [equal]
        assert await worst([], NOON, NOON + 3 * HOUR, 9) == []


async def test_sums_are_of_whole_hours_between_two_times(store: Store) -> None:
    one, two, none = fresh(), fresh(), fresh()
    await add(
        store,
        hour(one, m0=(10, 1), m59=(10, 1)),
        hour(one, NOON + HOUR, m0=(5, 5)),
        hour(one, NOON + 2 * HOUR, m0=(1000, 1000)),
        hour(two, NOON - HOUR, m0=(1000, 1000)),
        hour(two, m3=(2**32 - 1, 0), m4=(2**32 - 1, 0)),
        hour(fresh(), m0=(7, 7)),
    )
    async with store.begin() as records:
        sums = await records.tallies.sums([one, two, none], NOON, NOON + 2 * HOUR)
        assert sums == {one: Tally(25, 7), two: Tally(2**33 - 2, 0)}
        assert await records.tallies.sums([], NOON, NOON + HOUR) == {}


async def test_old_hours_are_deleted_and_the_others_stay(store: Store) -> None:
    id_ = fresh()
    await add(store, *(hour(id_, NOON + n * HOUR, m5=(1, 0)) for n in range(3)))
    async with store.begin() as records:
        await records.tallies.prune(NOON + HOUR)
    assert [held.start for held in await hours_of(store, id_)] == [NOON + HOUR, NOON + 2 * HOUR]


async def test_the_last_look_is_remembered(store: Store) -> None:
    seen = look(**{"dep-a": (5, 1), "dep-b": (2**40, 0)})
    await add(store, seen=seen)
    assert await last(store) == seen


async def test_totals_that_a_look_does_not_tell_stay_in_a_run(store: Store) -> None:
    first = look(**{"dep-a": (5, 1), "dep-b": (7, 0)})
    await add(store, seen=first)
    told = {"dep-b": {"one": Tally(8, 8), "two": Tally(9, 0)}, "dep-c": {"one": Tally(1, 0)}}
    await add(store, seen=Look(NOON + MINUTE, first.run, told))
    await add(store, seen=Look(NOON + MINUTE, first.run, {"dep-b": {"two": Tally(3, 0)}}))
    totals = {
        "dep-a": {"one": Tally(5, 1)},
        "dep-b": {"one": Tally(8, 8), "two": Tally(3, 0)},
        "dep-c": {"one": Tally(1, 0)},
    }
    assert await last(store) == Look(NOON + MINUTE, first.run, totals)


async def test_another_run_makes_everything_before_it_void(store: Store) -> None:
    await add(store, seen=look(**{"dep-a": (5, 1), "dep-b": (7, 0)}))
    anew = look(**{"dep-b": (1, 0)})
    await add(store, seen=anew)
    assert await last(store) == anew
    await add(store, seen=look(anew.run))
    assert await last(store) == anew


async def test_sources_that_are_gone_are_forgotten_and_no_others(store: Store) -> None:
    run = look().run
    both = {"one": Tally(5, 1), "two": Tally(6, 0)}
    await add(store, seen=Look(NOON, run, {"dep-a": both, "dep-b": both, "dep-c": both}))
    gone = {"dep-a": ["two", "unheard of"], "dep-b": ["one", "two"], "dep-x": ["one"]}
    await add(store, seen=Look(NOON, run, {"dep-a": {"one": Tally(7, 1)}}), gone=gone)
    left = {"dep-a": {"one": Tally(7, 1)}, "dep-c": both}
    assert await last(store) == Look(NOON, run, left)
    await add(store, seen=Look(NOON, run, {"dep-b": {"one": Tally(1, 0)}}))  # it came again
    assert await last(store) == Look(NOON, run, left | {"dep-b": {"one": Tally(1, 0)}})


async def test_an_exception_undoes_hours_and_look_together(store: Store) -> None:
    id_, seen = fresh(), look(**{"dep-a": (5, 1)})
    await add(store, hour(id_, m1=(1, 0)), seen=seen)
    with pytest.raises(RuntimeError):
        async with store.begin() as records:
            await records.tallies.add(
                [hour(id_, m1=(1, 0))], look(**{"dep-a": (6, 1)}), {"dep-a": ["one"]}
            )
            await records.tallies.prune(AGES[1])
            raise RuntimeError
    assert await hours_of(store, id_) == [hour(id_, m1=(1, 0))]
    assert await last(store) == seen


async def test_two_who_count_at_once_come_one_after_the_other(store: Store) -> None:
    """Each adds one more than it found: were they side by side, some would find the same."""
    id_, seen = fresh(), look(**{"dep-n": (0, 0)})
    await add(store, seen=seen)

    async def count() -> None:
        async with store.begin() as records:
            before = await records.tallies.last()
            assert before is not None
            await asyncio.sleep(0.005)
            found = before.totals["dep-n"]["one"].requests + 1
            now = Look(NOON, seen.run, {"dep-n": {"one": Tally(found, 0)}})
            await records.tallies.add([hour(id_, m1=(found, 0))], now, {})

    await asyncio.gather(*(count() for _ in range(8)))
    assert await hours_of(store, id_) == [hour(id_, m1=(sum(range(1, 9)), 0))]
    found = await last(store)
    assert found is not None
    assert found.totals == {"dep-n": {"one": Tally(8, 0)}}


async def test_two_who_only_add_at_once_lose_nothing(store: Store) -> None:
    id_ = fresh()
    run = look().run
    await asyncio.gather(*(add(store, hour(id_, m1=(1, 1)), seen=look(run)) for _ in range(8)))
    assert await hours_of(store, id_) == [hour(id_, m1=(8, 8))]


async def test_times_come_back_in_utc_whatever_the_server_thinks(store: Store) -> None:
    id_ = fresh()
    await add(store, hour(id_, m1=(1, 0)))
    (found,), seen = await hours_of(store, id_), await last(store)
    assert seen is not None
    assert found.start.utcoffset() == seen.at.utcoffset() == timedelta()


async def test_a_long_absence_of_many_is_written_at_once(store: Store) -> None:
    ids = [fresh() for _ in range(50)]
    hours = [
        part for id_ in ids for part in spread(id_, Tally(10_000, 100), NOON, NOON + 24 * HOUR)
    ]
    assert len(hours) == 50 * 24
    await add(store, *hours)
    await add(store, *hours)
    async with store.begin() as records:
        sums = await records.tallies.sums(ids, *AGES)
    assert sums == dict.fromkeys(ids, Tally(20_000, 200))


async def test_events_are_found_by_time(store: Store) -> None:
    id_ = fresh()
    times = [NOON + n * MINUTE for n in range(5)]
    async with store.begin() as records:
        await records.emit(*(nouns.event(id_, str(n), at=at) for n, at in enumerate(times)))  # type: ignore[arg-type]
    async with store.begin() as records:
        during = (times[1], times[3])
        found = await records.events(0, 9, during=during, deployment=id_)
        assert [each.message for each in found] == ["1", "2"]
        newest = await records.events(0, 1, newest=True, during=during, deployment=id_)
        assert [each.message for each in newest] == ["2"]
        assert await records.events(0, 9, during=(times[2], times[2]), deployment=id_) == []
