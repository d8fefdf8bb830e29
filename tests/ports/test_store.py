"""The Store door: one suite for every implementation."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from codestore.domain.deployments import Deployment
from codestore.domain.environments import Environment, Kind
from codestore.domain.faults import Fault, FaultKind
from codestore.domain.keys import Client, Key
from codestore.domain.people import Token
from codestore.domain.services import Project, Service, User
from codestore.domain.versions import Version
from codestore.ports import Noun, Page, Store
from codestore.store.memory import MemoryStore
from codestore.store.postgres import PostgresStore
from tests.store import nouns
from tests.support.postgres import RunningServer

HOSTILE = ("' OR ''='", "x'; DROP TABLE codestore.users; --", "%", "a\0b", "\ud800", "")


@pytest.fixture(params=["memory", "postgres"])
async def store(
    request: pytest.FixtureRequest, postgres_server: RunningServer
) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    opened = await PostgresStore.open(postgres_server.database("codestore"))
    yield opened
    await opened.close()


async def put(store: Store, *held: Noun) -> None:
    async with store.begin() as records:
        await records.put(*held)


async def last(store: Store) -> int:
    async with store.begin() as records:
        found = await records.events(0, 1, newest=True)
        return found[0].sequence if found else 0


MAKERS = (
    nouns.user,
    nouns.organization,
    nouns.token,
    nouns.password,
    nouns.service,
    nouns.project,
    nouns.environment,
    nouns.version,
    nouns.deployment,
    nouns.key,
    nouns.data_key,
    nouns.secret,
    nouns.secret_set,
    nouns.client,
    nouns.usage,
)


@pytest.mark.parametrize("make", MAKERS)
async def test_what_is_put_is_got_and_found_until_removed(store: Store, make: Any) -> None:
    noun = make()
    await put(store, noun)
    async with store.begin() as records:
        assert await records.get(type(noun), noun.id) == noun
        assert await records.find(type(noun), id=noun.id) == [noun]
        await records.remove(noun)
        await records.remove(noun)
        assert await records.get(type(noun), noun.id) is None
    async with store.begin() as records:
        assert await records.find(type(noun), id=noun.id) == []


async def test_put_again_replaces_and_keeps_the_place(store: Store) -> None:
    scope = f"scope-{nouns.number()}"
    first, second = nouns.key(scope=scope), nouns.key(scope=scope)
    await put(store, first, second)
    changed = replace(first, sealed="again")
    await put(store, changed)
    async with store.begin() as records:
        assert await records.find(Key, scope=scope) == [changed, second]


FILTERS: list[tuple[type[Any], Any, tuple[str, ...]]] = [
    (User, nouns.user, ("organization", "name", "email")),
    (Token, nouns.token, ("user", "digest")),
    (Service, nouns.service, ("organization", "name")),
    (Project, nouns.project, ("organization", "name")),
    (Environment, nouns.environment, ("service", "project", "name")),
    (Version, nouns.version, ("service", "number")),
    (Deployment, nouns.deployment, ("service", "environment", "project", "hash")),
    (Key, nouns.key, ("scope",)),
    (Client, nouns.client, ("project", "email")),
]


@pytest.mark.parametrize(
    ("kind", "make", "field"), [(kind, make, name) for kind, make, all_ in FILTERS for name in all_]
)
async def test_every_filter_finds_its_own(
    store: Store, kind: type[Any], make: Any, field: str
) -> None:
    value = f"value-{nouns.number()}"
    mine = make(**{field: value})
    await put(store, mine, make())
    async with store.begin() as records:
        assert await records.find(kind, **{field: value}) == [mine]


async def test_filters_are_all_met(store: Store) -> None:
    environment = f"env-{nouns.number()}"
    demo = nouns.deployment(environment=environment)
    staging = replace(nouns.deployment(environment=environment), kind=Kind.STAGING)
    await put(store, demo, staging)
    async with store.begin() as records:
        assert await records.find(Deployment, environment=environment, kind="staging") == [staging]
        version = nouns.version()
        await records.put(version)
        assert await records.find(Version, digest=version.digest) == [version]


async def test_an_unknown_filter_is_a_mistake(store: Store) -> None:
    async with store.begin() as records:
        with pytest.raises(ValueError, match="description"):
            await records.find(Project, description="x")
        with pytest.raises(ValueError, match="message"):
            await records.events(0, 1, message="x")


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_values_find_nothing_and_break_nothing(store: Store, text: str) -> None:
    await put(store, nouns.user())
    async with store.begin() as records:
        assert await records.find(User, name=text) == []
        assert await records.get(User, text) is None
        assert await records.events(0, 10, deployment=text) == []
        with pytest.raises(Fault):
            await records.find(User, Page(10, text))
        assert await records.find(User)


async def test_text_of_services_may_hold_nul(store: Store) -> None:
    project = nouns.project(description="a\0b")
    await put(store, project)
    async with store.begin() as records:
        assert await records.get(Project, project.id) == project


UNIQUE: list[tuple[str, Any, tuple[str, ...]]] = [
    ("token", nouns.token, ("digest",)),
    ("user", nouns.user, ("name",)),
    ("service", nouns.service, ("organization", "name")),
    ("project", nouns.project, ("organization", "name")),
    ("version", nouns.version, ("service", "number")),
    ("client", nouns.client, ("project", "email")),
    ("deployment", nouns.deployment, ("hash",)),
    ("deployment", nouns.deployment, ("environment", "service")),
]


@pytest.mark.parametrize(("word", "make", "fields"), UNIQUE)
async def test_what_is_taken_is_refused(
    store: Store, word: str, make: Any, fields: tuple[str, ...]
) -> None:
    one = make()
    await put(store, one)
    other = make(**{name: getattr(one, name) for name in fields})
    with pytest.raises(Fault) as caught:
        await put(store, other)
    letter = caught.value.letter
    assert (letter.kind, letter.code) == (FaultKind.CONFLICT, f"{word}_exists")
    assert letter.detail
    assert letter.hint
    assert getattr(one, "digest", "-") not in letter.detail.split()
    await put(store, one)


async def test_pages_go_on_after_the_last_row(store: Store) -> None:
    organization = f"org-{nouns.number()}"
    held = [nouns.service(organization=organization) for _ in range(5)]
    await put(store, *held)
    async with store.begin() as records:
        first = await records.find(Service, Page(2), organization=organization)
        rest = await records.find(Service, Page(9, first[-1].id), organization=organization)
        assert first + rest == held
        await records.remove(first[-1])
        with pytest.raises(Fault) as caught:
            await records.find(Service, Page(9, first[-1].id), organization=organization)
        assert caught.value.letter.code == "page_lost"


async def test_an_exception_undoes_everything(store: Store) -> None:
    kept, lost = nouns.service(), nouns.service()
    await put(store, kept)
    with pytest.raises(RuntimeError):
        async with store.begin() as records:
            await records.put(lost, replace(kept, owner="somebody else"))
            await records.emit(nouns.event("dep-lost"))
            raise RuntimeError
    async with store.begin() as records:
        assert await records.get(Service, lost.id) is None
        assert await records.get(Service, kept.id) == kept
        assert await records.events(0, 9, deployment="dep-lost") == []


async def test_a_transaction_that_met_a_fault_is_never_committed(store: Store) -> None:
    one, innocent = nouns.user(), nouns.user()
    await put(store, one)
    with pytest.raises(Fault, match="User exists"):
        async with store.begin() as records:
            await records.put(innocent)
            with pytest.raises(Fault):
                await records.put(nouns.user(name=one.name))
    async with store.begin() as records:
        assert await records.get(User, innocent.id) is None


async def test_events_are_numbered_and_read_in_order(store: Store) -> None:
    start, id_ = await last(store), f"dep-{nouns.number()}"
    for text in ("one", "two", "three"):
        async with store.begin() as records:
            await records.emit(nouns.event(id_, text))
    async with store.begin() as records:
        found = await records.events(start, 9, deployment=id_)
        assert [held.message for held in found] == ["one", "two", "three"]
        assert start < found[0].sequence < found[1].sequence < found[2].sequence
        assert await records.events(found[0].sequence, 1) == found[1:2]
        assert await records.events(0, 2, newest=True, deployment=id_) == found[1:]


async def test_old_events_are_forgotten_some_at_a_time(store: Store) -> None:
    start, id_, old = await last(store), f"dep-{nouns.number()}", datetime(2001, 1, 1, tzinfo=UTC)
    async with store.begin() as records:
        await records.emit(*(nouns.event(id_, str(n), at=old) for n in range(3)))
        await records.emit(nouns.event(id_, "new"))

    async def forget(limit: int) -> int:
        async with store.begin() as records:
            return await records.forget(old + timedelta(seconds=1), limit)

    with pytest.raises(RuntimeError):
        async with store.begin() as records:
            assert await records.forget(old + timedelta(seconds=1), 9) == 3
            raise RuntimeError
    async with store.begin() as records:
        assert len(await records.events(start, 9, deployment=id_)) == 4
        assert await records.forget(old, 9) == 0
    assert [await forget(2) for _ in range(3)] == [2, 1, 0]
    async with store.begin() as records:
        (kept,) = await records.events(start, 9, deployment=id_)
        await records.emit(nouns.event(id_, "next"))
        found = await records.events(kept.sequence, 9, deployment=id_)
    assert (kept.message, [each.message for each in found]) == ("new", ["next"])
    assert kept.sequence == start + 4


async def test_events_are_found_by_everything_they_belong_to(store: Store) -> None:
    service = nouns.service(organization=f"org-{nouns.number()}")
    n = nouns.number()
    mine = nouns.event(f"dep-{n}", service=service.id, environment=f"e{n}", project=f"p{n}")
    async with store.begin() as records:
        await records.put(service)
        await records.emit(mine, nouns.event("dep-other"))
        await records.remove(service)
    async with store.begin() as records:
        for name in ("deployment", "service", "environment", "project"):
            (found,) = await records.events(0, 9, **{name: str(getattr(mine, name))})
            assert replace(found, sequence=0) == mine


async def test_events_know_the_organization_of_their_service(store: Store) -> None:
    service = nouns.service(organization=f"org-{nouns.number()}")
    await put(store, service)
    async with store.begin() as records:
        await records.emit(nouns.event("dep-o", service=service.id), nouns.event("dep-o"))
        assert len(await records.events(0, 9, organization=service.organization)) == 1


async def test_who_watches_is_told_of_changes_and_events(store: Store) -> None:
    changed, told = nouns.deployment(), f"dep-{nouns.number()}"
    async with asyncio.timeout(10), aclosing(store.watch()) as watch:  # type: ignore[type-var]
        assert await anext(watch) == "*"
        await put(store, nouns.service(), changed)
        assert await anext(watch) == changed.id
        async with store.begin() as records:
            await records.emit(nouns.event(told))
        assert await anext(watch) == told
        async with store.begin() as records:
            await records.remove(changed)
        assert await anext(watch) == changed.id


async def test_what_is_rolled_back_is_not_told(store: Store) -> None:
    lost, kept = nouns.deployment(), nouns.deployment()
    async with asyncio.timeout(10), aclosing(store.watch()) as watch:  # type: ignore[type-var]
        assert await anext(watch) == "*"
        with pytest.raises(RuntimeError):
            async with store.begin() as records:
                await records.put(lost)
                raise RuntimeError
        await put(store, kept)
        assert await anext(watch) == kept.id


async def test_two_who_change_a_deployment_come_one_after_the_other(store: Store) -> None:
    held = nouns.deployment()
    await put(store, held)

    async def raise_serving() -> None:
        async with store.begin() as records:
            now = await records.get(Deployment, held.id)
            assert now is not None
            await asyncio.sleep(0.005)
            status = replace(now.status, serving=now.status.serving + 1)
            await records.put(replace(now, status=status))

    await asyncio.gather(*(raise_serving() for _ in range(8)))
    async with store.begin() as records:
        now = await records.get(Deployment, held.id)
        assert now is not None
        assert now.status.serving == 8


async def test_who_leads_may_ask_again(store: Store) -> None:
    async with asyncio.timeout(10):
        await store.lead()
        await store.lead()


async def test_who_watches_without_events_is_told_of_changes_only(store: Store) -> None:
    changed = nouns.deployment()
    watch_changes = store.watch(events=False)
    async with asyncio.timeout(10), aclosing(watch_changes) as watch:  # type: ignore[type-var]
        assert await anext(watch) == "*"
        async with store.begin() as records:
            await records.emit(nouns.event(f"dep-{nouns.number()}"))
        await put(store, changed)
        assert await anext(watch) == changed.id
