"""Nouns of every kind, for the tests of stores: with names of their own, or drawn by Hypothesis."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from codestore.domain.audit import Entry
from codestore.domain.deployments import Deployment, Spec
from codestore.domain.environments import Environment, Kind
from codestore.domain.events import Event, EventKind
from codestore.domain.keys import Client, Key, KeyKind, Usage
from codestore.domain.manifest import Manifest, Run, RunKind
from codestore.domain.overrides import Override
from codestore.domain.people import Organization, Password, Token
from codestore.domain.roles import Role
from codestore.domain.secrets import DataKey, Scope, SealedSecret, SecretSet
from codestore.domain.services import Project, Service, User
from codestore.domain.verification import Release, Verification
from codestore.domain.versions import Seal, Version

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
_numbers = itertools.count(1)


def number() -> int:
    return next(_numbers)


def user(**fields: str) -> User:
    n = number()
    return replace(User(f"usr-{n}", f"ann{n}", "acme", Role.MAKER), **fields)  # type: ignore[arg-type]


def organization(**fields: str) -> Organization:
    return replace(Organization(f"acme{number()}", NOW), **fields)  # type: ignore[arg-type]


def token(**fields: str) -> Token:
    n = number()
    held = Token(f"tok-{n}", f"usr-{n}", "laptop", f"digest{n}", NOW, NOW)
    return replace(held, **fields)  # type: ignore[arg-type]


def password(**fields: str) -> Password:
    return replace(Password(f"usr-{number()}", "hashed"), **fields)


def service(**fields: str) -> Service:
    n = number()
    return replace(Service(f"svc-{n}", f"blog{n}", "usr-1", "acme", NOW), **fields)  # type: ignore[arg-type]


def project(**fields: str) -> Project:
    n = number()
    return replace(Project(f"prj-{n}", f"shop{n}", "", "usr-1", "acme", NOW), **fields)  # type: ignore[arg-type]


def environment(**fields: str) -> Environment:
    return replace(Environment(f"env-{number()}", "staging", Kind.STAGING), **fields)  # type: ignore[arg-type]


def version(**fields: str) -> Version:
    n = number()
    seal = Seal(f"digest{n}", "content", Manifest("blog", Run(RunKind.ASGI, ("app:app",))))
    held = Version(f"ver-{n}", f"svc-{n}", "1.0.0", None, "", seal, "usr-1", NOW)
    return replace(held, **fields)  # type: ignore[arg-type]


def deployment(**fields: str) -> Deployment:
    n = number()
    spec = Spec(1, 1, "1.0.0", "digest", "ann", NOW, "a push")
    held = Deployment(
        id=f"dep-{n}",
        hash=f"{n:032x}",
        service=f"svc-{n}",
        environment=f"env-{n}",
        kind=Kind.DEMO,
        project=None,
        database=f"d_{n}",
        created_at=NOW,
        spec=spec,
    )
    return replace(held, **fields)  # type: ignore[arg-type]


def key(**fields: str) -> Key:
    return replace(Key(f"key-{number()}", "svc-1", KeyKind.DEVELOPER, "sealed", NOW), **fields)  # type: ignore[arg-type]


def data_key(**fields: str) -> DataKey:
    return replace(DataKey(f"dk-{number()}", "acme", "master", "wrapped", NOW), **fields)  # type: ignore[arg-type]


def secret(**fields: str) -> SealedSecret:
    n = number()
    scope = Scope("prj-1", "env-1")
    held = SealedSecret(f"sec-{n}", "acme", scope, f"KEY_{n}", "dk-1", "sealed", "ann", NOW)
    return replace(held, **fields)  # type: ignore[arg-type]


def secret_set(**fields: str) -> SecretSet:
    held = SecretSet(f"set-{number()}", "acme", "dep-1", "1.0.0", "dk-1", "sealed", NOW)
    return replace(held, **fields)  # type: ignore[arg-type]


def client(**fields: str) -> Client:
    n = number()
    return replace(Client(f"cli-{n}", "prj-1", f"ann{n}@example.org", NOW, "ann"), **fields)  # type: ignore[arg-type]


def usage(**fields: str) -> Usage:
    return replace(Usage(f"cli-{number()}", 3, NOW, "run", {"a": 3}), **fields)  # type: ignore[arg-type]


def event(deployment_: str, message: str = "", **fields: Any) -> Event:
    held = Event(deployment_, "svc-1", "env-1", None, 1, EventKind.ASKED, message, NOW)
    return replace(held, **fields)


st.register_type_strategy(datetime, st.datetimes(timezones=st.just(UTC)))
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
st.register_type_strategy(
    Manifest,
    st.builds(
        Manifest,
        service=st.text(),
        run=st.from_type(Run),
        overrides=st.dictionaries(st.sampled_from(Kind), st.from_type(Override)),
    ),
)
DRAWN = {
    kind: st.from_type(kind)
    for kind in (
        *(User, Organization, Token, Password, Entry, Service, Project, Environment, Version),
        *(Deployment, Key, Client, Usage, Event),
        *(DataKey, SealedSecret, SecretSet, Verification, Release),
    )
}
