"""What is promised of secrets: what an instance is given, and that what is set is what is given.

Said anew here, on purpose: which secret wins is not asked of those who decide it.
"""

import json
from collections.abc import Iterable

from codestore.domain.deployments import Deployment
from codestore.domain.instances import Workload
from codestore.domain.secrets import SealedSecret, SecretSet, SetRef
from tests.crashes.ledger import Ledger

PLATFORMS = {"PROJECT_ID", "ENVIRONMENT_ID", "SERVICE_ID", "DATABASE_URL"}


def given(ledger: Ledger, held: Deployment, workload: Workload) -> None:
    """An instance is given the set of its revision: nothing newer, nothing older, nothing else."""
    lives = (held.status.live, held.status.previous)
    refs = [held.spec.secrets, *(live.secrets for live in lives if live is not None)]
    known = {ref.revision: ref for ref in refs if ref is not None}
    seen = {
        key: value.reveal() for key, value in workload.environment.items() if key not in PLATFORMS
    }
    if workload.revision in known:
        assert seen == opened(ledger, known[workload.revision]), "other secrets than were said"
        assert set(seen) <= set(workload.masked), "secrets that would be in the log"


def opened(ledger: Ledger, ref: SetRef) -> dict[str, str]:
    """Read a set that was written."""
    held = ledger.nouns[ref.id]
    assert isinstance(held, SecretSet)
    values: dict[str, str] = json.loads(json.loads(held.sealed)[2])
    assert sorted(values) == list(ref.keys)
    return values


def spread(ledger: Ledger) -> None:
    """What is set is what is given, but where a change failed, or a version came back with its own.

    And everything is sealed under a key that is there.
    """
    secrets = [noun for noun in ledger.nouns.values() if isinstance(noun, SealedSecret)]
    for held in ledger.deployments.values():
        live = held.status.live
        if live is None or held.id in ledger.drifted:
            continue
        assert live.secrets is not None
        assert opened(ledger, live.secrets) == _won(held, secrets), "not what is set"


def _won(held: Deployment, secrets: Iterable[SealedSecret]) -> dict[str, str]:
    if held.project is None:
        order = [f"-/-/{held.service}", f"-/{held.environment}/{held.service}"]
    else:
        inside = f"{held.project}/{held.environment}"
        order = [f"{held.project}/-/-", f"{inside}/-", f"{inside}/{held.service}"]
    found: dict[str, str] = {}
    for scope in order:
        found |= {s.key: json.loads(s.sealed)[2] for s in secrets if str(s.scope) == scope}
    return found
