"""A manifest is read whole or refused, with the key, the line and what would be right."""

import pytest

from codestore.domain.canary import Trial, failed
from codestore.domain.document import Document
from codestore.domain.environments import POLICIES, Kind
from codestore.domain.faults import Fault
from codestore.domain.manifest import FILE, Manifest, RunKind, read_manifest
from codestore.domain.overrides import Override, resources

FILES = frozenset({"codestore.yaml", "src/schema.graphql", "uv.lock", "requirements.txt"})


def read(value: object, files: frozenset[str] = FILES) -> Manifest:
    return read_manifest(Document(value, FILE, {("health", "timeout"): 7}), files)


def test_only_a_name_is_needed() -> None:
    manifest = read({"service": "blog"})
    assert manifest.run.kind is RunKind.GRAPHQL
    assert manifest.run.arguments == ("src",)
    assert manifest.lock == "uv.lock"
    assert manifest.database


def test_a_full_manifest_says_it_all() -> None:
    manifest = read(
        {
            "service": "orders",
            "version": "0.1.0",
            "run": {"asgi": "app.main:app"},
            "python": {"lock": "requirements.txt"},
            "database": False,
            "migrate": "alembic -c 'my alembic.ini' upgrade head",
            "health": {"path": "/health", "timeout": "1.5s"},
            "secrets": ["API_TOKEN"],
            "services": ["blog"],
            "environments": {
                "private": {"standby": "2s"},
                "production": {"instances": {"min": 3, "max": 8}, "concurrency": 40},
            },
        }
    )
    assert manifest.migrate == ("alembic", "-c", "my alembic.ini", "upgrade", "head")
    assert manifest.health.timeout == 1.5
    assert manifest.overrides[Kind.PRIVATE].standby == 2
    assert manifest.overrides[Kind.PRODUCTION].min_instances == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"servce": "x"}, "servce: unknown key"),
        ({"service": "Blog"}, "service:"),
        ({"service": 7}, "service: must be text"),
        ({"service": "b" * 300}, "service:"),
        ({"service": "bloß"}, "service:"),
        ({"version": "1.0"}, "version:"),
        ({"version": 1.0}, "version: must be text"),
        ({"run": {"asgi": "app"}}, "run.asgi:"),
        ({"run": {"asgi": "a:b", "command": ["x"]}}, "exactly one"),
        ({"run": {"graphql": "lib"}}, "run.graphql: there is no"),
        ({"run": {"command": []}}, "run.command: is empty"),
        ({"run": {"command": ["node", 3]}}, "run.command:"),
        ({"run": "node server.js"}, "run: must be a mapping"),
        ({"database": "yes"}, "database: must be true or false"),
        ({"migrate": "alembic 'upgrade"}, "migrate: No closing quotation"),
        ({"health": {"path": "health"}}, "health.path:"),
        ({"health": {"timeout": "soon"}}, "health.timeout: must be a time"),
        ({"health": {"timeout": "2h"}}, "health.timeout: is out of range"),
        ({"python": {"lock": "poetry.lock"}}, "python.lock:"),
        ({"redis": True}, "redis:"),
        ({"secrets": ["1A"]}, "secrets:"),
        ({"environments": {"prod": {}}}, "environments.prod: unknown key"),
        ({"environments": {"production": {"standby": "5m"}}}, "production.standby: production ne"),
        ({"environments": {"production": {"stop": "5m"}}}, "production.stop: production never"),
        ({"environments": {"private": {"stop": "299s"}}}, "must not be less than standby"),
        ({"environments": {"development": {"stop": "5m"}}}, "development does not sleep"),
        ({"environments": {"demo": {"limits": {"disk": "2GiB"}}}}, "limits.disk: is out of range"),
        ({"environments": {"demo": {"limits": {"disk": "1MiB"}}}}, "limits.disk: is out of range"),
        ({"environments": {"private": {"standby": "0s"}}}, "private.standby: is out of range"),
        ({"environments": {"private": {"stop": "25h"}}}, "private.stop: is out of range"),
        ({"environments": {"private": {"stop": "never"}}}, "private.stop: must be a time"),
        ({"environments": {"private": {"stopp": "5m"}}}, "private.stopp: unknown key"),
        ({"python": {"preload": "no"}}, "python.preload: must be true or false"),
        ({"python": {"preloaded": True}}, "python.preloaded: unknown key"),
        ({"python": True}, "python: must be a mapping"),
        ({"environments": {"production": {"instances": {"min": 1}}}}, "instances.min"),
        ({"environments": {"staging": {"instances": {"min": 2, "max": 1}}}}, "greater than max"),
        ({"service": " "}, "service: is empty"),
        ({"secrets": ["A"] * 101}, "secrets: has 101 entries"),
    ],
)
def test_a_mistake_is_named(change: dict[str, object], words: str) -> None:
    with pytest.raises(Fault) as caught:
        read({"service": "blog"} | change)
    assert words in caught.value.letter.detail
    assert caught.value.letter.hint
    assert caught.value.letter.where.startswith(FILE)


@pytest.mark.parametrize(
    ("change", "words", "hint"),
    [
        ({"instances": {"max": 9}}, "instances.max: is out of range", "2 to 8."),
        ({"instances": {"max": "9"}}, "instances.max: must be a whole number, not text", "2 to 8."),
        ({"instances": {"max": True}}, "must be a whole number, not a boolean", "2 to 8."),
        ({"instances": {"max": 2.5}}, "must be a whole number, not a number (2.5)", "2 to 8."),
        ({"concurrency": 0}, "concurrency: is out of range", "1 to 10000."),
        ({"limits": {"cpu": 99}}, "limits.cpu: is out of range", "0.1 to 2."),
        ({"limits": {"cpu": float("nan")}}, "limits.cpu: is out of range", "0.1 to 2."),
        ({"limits": {"cpu": "much"}}, "limits.cpu: must be a number, not text", "0.1 to 2."),
        ({"canary": {"abort_on": {"error_rate": "150%"}}}, "rate: is out of range", "0% to 100%"),
        ({"canary": {"abort_on": {"error_rate": "1500%"}}}, "rate: is out of range", "0% to 100%"),
        ({"canary": {"abort_on": {"error_rate": 0.01}}}, "must be a percentage", "0% to 100%"),
        ({"canary": {"steps": []}}, "steps: is empty", "1 to 20 numbers"),
        ({"canary": {"steps": list(range(1, 22))}}, "steps: has 21 entries", "1 to 20 numbers"),
        ({"canary": {"steps": [5, 101]}}, "steps.1: is out of range", "1 to 100."),
        ({"canary": {"steps": 5}}, "must be a list of numbers, not a number", "1 to 20 numbers"),
    ],
)
def test_what_is_out_of_range_is_told_apart_from_what_is_of_another_kind(
    change: dict[str, object], words: str, hint: str
) -> None:
    with pytest.raises(Fault) as caught:
        read({"service": "blog", "environments": {"production": change}})
    assert words in caught.value.letter.detail
    assert hint in caught.value.letter.hint


@pytest.mark.parametrize(("said", "share"), [("0%", 0), ("0.5%", 0.005), ("100%", 1)])
def test_a_canary_may_be_given_up_at_any_failure_or_at_none(said: str, share: float) -> None:
    canary = {"abort_on": {"error_rate": said}}
    manifest = read({"service": "blog", "environments": {"production": {"canary": canary}}})
    found = manifest.overrides[Kind.PRODUCTION].canary
    assert found is not None
    assert found.error_rate == share
    assert (failed(found, Trial(1, 1), Trial()) is not None) is (share < 0.05)


def test_the_line_is_told_and_the_likely_key() -> None:
    with pytest.raises(Fault) as caught:
        read({"service": "blog", "health": {"timeout": []}})
    assert caught.value.letter.where == "codestore.yaml:7"
    with pytest.raises(Fault) as caught:
        read({"service": "blog", "helth": {}})
    assert caught.value.letter.hint == "Did you mean health?"


@pytest.mark.parametrize(
    ("kind", "said", "expected"),
    [
        ("private", {"standby": "2s", "stop": "10s"}, (2, 10)),
        ("private", {"standby": "2s", "stop": "2s"}, (2, 2)),
        ("private", {"stop": "5m"}, (None, 300)),
        ("demo", {"standby": "1h"}, (3600, None)),
        ("development", {"standby": "5m", "stop": "1h"}, (300, 3600)),
        ("staging", {"standby": "5m"}, (300, None)),
    ],
)
def test_where_it_may_be_set_standby_and_stop_are_read(
    kind: str, said: dict[str, str], expected: tuple[float | None, float | None]
) -> None:
    override = read({"service": "blog", "environments": {kind: said}}).overrides[Kind(kind)]
    assert (override.standby, override.stop) == expected


def test_a_manifest_may_lower_what_files_may_take() -> None:
    said = {"environments": {"production": {"limits": {"disk": "2GiB"}}}}
    override = read({"service": "blog", **said}).overrides[Kind.PRODUCTION]
    assert resources(POLICIES[Kind.PRODUCTION], override).disk == 2**31
    assert resources(POLICIES[Kind.PRODUCTION], Override()).disk == 2**33


def test_a_stop_before_standby_is_refused_with_its_line_and_what_would_be_right() -> None:
    value = {"service": "blog", "environments": {"private": {"standby": "10s", "stop": "2s"}}}
    lines = {("environments", "private", "standby"): 4, ("environments", "private", "stop"): 5}
    with pytest.raises(Fault) as caught:
        read_manifest(Document(value, FILE, lines), FILES)
    letter = caught.value.letter
    assert letter.where == "codestore.yaml:5"
    assert letter.detail == "environments.private.stop: must not be less than standby"
    assert letter.hint == "10 s or more."


def test_a_stop_without_standby_is_told_what_is_missing() -> None:
    with pytest.raises(Fault) as caught:
        read({"service": "blog", "environments": {"development": {"stop": "10m"}}})
    assert caught.value.letter.hint == "Say after which time: standby: 5m."


@pytest.mark.parametrize("preload", [True, False])
def test_a_word_about_preloading_alone_keeps_the_lock_that_is_found(preload: bool) -> None:
    manifest = read({"service": "blog", "python": {"preload": preload}})
    assert (manifest.lock, manifest.preload) == ("uv.lock", preload)
    chosen = read({"service": "blog", "python": {"preload": preload, "lock": "requirements.txt"}})
    assert (chosen.lock, chosen.preload) == ("requirements.txt", preload)
    without = read({"service": "blog", "python": {"preload": preload}}, FILES - {"uv.lock"})
    assert without.lock == "requirements.txt"


def test_libraries_may_be_preloaded_unless_it_is_said_otherwise() -> None:
    assert read({"service": "blog"}).preload
    assert read({"service": "blog", "python": {"lock": "uv.lock"}}).preload
    assert read({"service": "blog", "python": {}}).lock == "uv.lock"


@pytest.mark.parametrize("value", [None, [], "text", 3])
def test_a_document_that_is_no_mapping_is_refused(value: object) -> None:
    with pytest.raises(Fault):
        read(value)
