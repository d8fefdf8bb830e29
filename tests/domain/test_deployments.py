"""One change at a time; a failure goes back to what served; secrets do not print."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from codestore.domain.deployments import Deployment, Spec, State, Wish, doomed, retargeted
from codestore.domain.environments import Kind
from codestore.domain.faults import Fault, failed
from codestore.domain.marking import mark_available, mark_failed, mark_live
from codestore.domain.names import check_name
from codestore.domain.secret import Secret

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
WISH = Wish("ada", NOW, "push 0.0.2")


def newborn() -> Deployment:
    spec = Spec(1, 1, "0.0.1", "d1", "ada", NOW, "create")
    return Deployment("dep-1", "0" * 32, "svc-1", "env-1", Kind.PRIVATE, None, "blog", NOW, spec)


def living() -> Deployment:
    return mark_available(mark_live(newborn(), NOW), 1, 1, None, NOW)


def test_a_life_from_birth_to_removal() -> None:
    born = newborn()
    assert born.state is State.DEPLOYING
    live = mark_available(mark_live(born, NOW), 1, 1, None, NOW)
    assert live.state is State.READY
    pushed = retargeted(live, "0.0.2", "d2", WISH)
    assert pushed.state is State.DEPLOYING
    assert pushed.spec.revision == 2
    back = mark_failed(pushed, failed("start_failed", "It does not start", "boom"), NOW)
    assert back.state is State.READY
    assert (back.spec.number, back.spec.digest, back.spec.revision) == ("0.0.1", "d1", 1)
    assert back.status.failure is not None
    assert back.status.failure.generation == 2
    again = mark_live(retargeted(back, "0.0.3", "d3", WISH), NOW)
    assert again.spec.revision == 3
    assert again.status.failure is None
    assert doomed(again, WISH).state is State.REMOVING
    assert doomed(doomed(again, WISH), WISH) == doomed(again, WISH)


def test_a_first_version_that_fails_leaves_a_failed_deployment() -> None:
    dead = mark_failed(newborn(), failed("x", "y", "z"), NOW)
    assert dead.state is State.FAILED
    assert retargeted(dead, "0.0.2", "d2", WISH).state is State.DEPLOYING


def test_a_second_change_is_refused_naming_who_holds_it_and_since_when() -> None:
    pushed = retargeted(mark_live(newborn(), NOW), "0.0.2", "d2", WISH)
    with pytest.raises(Fault) as caught:
        retargeted(pushed, "0.0.3", "d3", WISH)
    assert caught.value.letter.code == "busy"
    assert "ada since 2026-01-02 03:04:05 UTC: push 0.0.2" in caught.value.letter.detail


def test_since_moves_only_when_something_changed() -> None:
    live = mark_available(mark_live(newborn(), NOW), 1, 1, None, NOW)
    later = mark_available(live, 1, 1, None, NOW + timedelta(hours=1))
    assert later.status.conditions == live.status.conditions
    degraded = mark_available(live, 0, 1, None, NOW + timedelta(hours=1))
    assert degraded.state is State.DEGRADED
    assert degraded.status.conditions != live.status.conditions


@pytest.mark.parametrize("name", ["", "a", "-a", "a-", "1a", "A", "b" * 41, "bloß", "a/b", "a\0b"])
def test_a_bad_name_is_refused_and_shown_harmlessly(name: str) -> None:
    with pytest.raises(Fault) as caught:
        check_name("service", name)
    assert caught.value.letter.detail.isprintable()
    assert len(caught.value.letter.detail) < 200


def test_a_secret_hides_wherever_it_is_printed() -> None:
    secret = Secret("hunter2")
    held = replace(newborn(), database=f"{secret}")
    for text in (repr(secret), str(secret), f"{secret:>20}", repr([secret]), repr(held)):
        assert "hunter2" not in text
    assert secret.matches("hunter2")
    assert not secret.matches("hunter3")
