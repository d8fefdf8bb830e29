"""What is tried from inside a deployment, for each pair of environments."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from codestore.domain.deployments import Deployment, Live, Spec, Status
from codestore.domain.environments import Kind
from codestore.domain.standby import Depth, Standby
from codestore.domain.verification import CONTROLS, PLATFORM, Aim, Attempt
from codestore.plan.attempts import MOST, Neighbour, answered_here, attempts, drawn

NOW = datetime(2026, 5, 4, tzinfo=UTC)


def deployment(
    kind: Kind, id_: str = "", project: str | None = None, digest: str = "digest"
) -> Deployment:
    live = Live(1, "0.0.1", digest, NOW)
    spec = Spec(1, 1, "0.0.1", "digest", "ann", NOW, "a push")
    name = id_ or f"dep-{kind}"
    return Deployment(
        name, f"hash-{name}", "svc-1", f"env-{kind}", kind, project, f"d_{name}", NOW, spec,
        Status(1, live),
    )  # fmt: skip


PRIVATE, DEMO = deployment(Kind.PRIVATE), deployment(Kind.DEMO)
SHOP = {
    kind: deployment(kind, project="prj-1")
    for kind in (Kind.DEVELOPMENT, Kind.STAGING, Kind.PRODUCTION)
}
OTHER = deployment(Kind.STAGING, "dep-other", "prj-2", "another")


def at(me: Deployment, other: Deployment, **known: object) -> dict[Aim, Attempt]:
    made = attempts(me, [Neighbour(other, **known)])  # type: ignore[arg-type]
    return {each.aim: each for each in made if each.whose == other.id}


def test_what_must_succeed_comes_first() -> None:
    first, second, *rest = attempts(PRIVATE, [])
    assert {first.aim, second.aim} == CONTROLS
    assert {each.whose for each in rest} == {PLATFORM}


def test_what_is_the_platforms_is_always_tried() -> None:
    found = {each.aim for each in attempts(PRIVATE, []) if each.whose == PLATFORM}
    for aim in (Aim.MASTER_KEY, Aim.KEEPER, Aim.ADMIN, Aim.PROCESSES, Aim.STATE, Aim.METADATA):
        assert aim in found


GATEWAY = (Aim.NO_KEY, Aim.MADE_UP_KEY, Aim.OUR_KEY)


@pytest.mark.parametrize(
    ("me", "other", "calls"),
    [
        (PRIVATE, DEMO, ()),  # everybody may call it
        (DEMO, PRIVATE, GATEWAY[:2]),  # we have no key to try
        (PRIVATE, SHOP[Kind.STAGING], GATEWAY),
        (SHOP[Kind.STAGING], PRIVATE, GATEWAY),
        (SHOP[Kind.STAGING], SHOP[Kind.PRODUCTION], GATEWAY[:2]),  # the project's key opens both
        (SHOP[Kind.STAGING], OTHER, GATEWAY),
    ],
)
def test_a_key_is_tried_where_it_must_not_open(
    me: Deployment, other: Deployment, calls: tuple[Aim, ...]
) -> None:
    assert tuple(aim for aim in at(me, other) if aim in GATEWAY) == calls


def test_files_and_databases_of_every_neighbour_are_tried() -> None:
    found = at(PRIVATE, OTHER, database=True, digest="abc")
    assert {Aim.HOME, Aim.CODE, Aim.LOGS, Aim.DATABASE, Aim.ROLE, Aim.PASSWORD} <= set(found)
    assert found[Aim.DATABASE].address == OTHER.database
    assert found[Aim.PASSWORD].address == "abc"


def test_code_of_the_same_version_is_no_secret() -> None:
    assert Aim.CODE not in at(PRIVATE, SHOP[Kind.STAGING])


def test_a_neighbour_without_a_database_is_not_looked_for_there() -> None:
    assert not {Aim.DATABASE, Aim.ROLE, Aim.PASSWORD} & set(at(PRIVATE, OTHER))


def test_where_a_neighbour_answers_is_tried_but_nobody_is_woken() -> None:
    addresses = ("unix:/run/s/x", "tcp://127.0.0.1:4000")
    found = at(PRIVATE, OTHER, addresses=addresses)
    assert (found[Aim.SOCKET].address, found[Aim.PORT].address) == addresses
    assert not found[Aim.SOCKET].quiet
    asleep = Standby(Depth.STOPPED, NOW, NOW)
    sleeper = replace(OTHER, status=replace(OTHER.status, standby=asleep))
    assert at(PRIVATE, sleeper, addresses=addresses)[Aim.SOCKET].quiet


def test_only_what_lives_is_a_neighbour() -> None:
    unborn = replace(DEMO, status=Status())
    leaving = replace(OTHER, spec=replace(OTHER.spec, removed=True))
    assert drawn(PRIVATE, [PRIVATE, unborn, leaving, SHOP[Kind.STAGING]], "") == (
        [SHOP[Kind.STAGING]],
        [],
    )


def test_of_too_many_neighbours_each_has_its_turn() -> None:
    many = [deployment(Kind.DEMO, f"dep-{n}") for n in range(3 * MOST)]
    tried = set()
    for turn in range(40):
        now, later = drawn(PRIVATE, many, str(turn))
        assert (len(now), len(later)) == (MOST, 2 * MOST)
        tried |= {each.id for each in now}
    assert len(tried) == len(many)
    waiting = [each for each in attempts(PRIVATE, [], later) if each.aim is Aim.MORE]
    assert len(waiting) == 2 * MOST
    assert all(str(answered_here(each)).startswith("skipped: ") for each in waiting)
