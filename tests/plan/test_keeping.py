"""What stays runnable."""

from dataclasses import replace

from codestore.domain.deployments import Live
from codestore.domain.manifest import Manifest, Run, RunKind
from codestore.domain.versions import Seal, Version
from codestore.plan.keeping import ready_digests
from tests.plan.test_canary import NOW, rolling

MANIFEST = Manifest("blog", Run(RunKind.ASGI, ("app:app",)))


def version(number: str, service: str = "svc-1") -> Version:
    seal = Seal(f"{service}/{number}", "content", MANIFEST)
    return Version(f"ver-{number}", service, number, None, "", seal, "ada", NOW)


def test_the_newest_of_each_service_stay_by_number_and_not_by_name() -> None:
    numbers = ("0.0.9", "0.0.10", "0.0.2")
    versions = [version(number, service) for number in numbers for service in ("a", "b")]
    assert ready_digests(versions, [], 2) == {"a/0.0.10", "a/0.0.9", "b/0.0.10", "b/0.0.9"}


def test_whatever_runs_or_may_be_gone_back_to_stays() -> None:
    held = rolling()
    previous = Live(0, "0.0.0", "d0", NOW)
    held = replace(held, status=replace(held.status, previous=previous))
    assert ready_digests([], [held], 1) == {"d0", "d1", "d2"}
