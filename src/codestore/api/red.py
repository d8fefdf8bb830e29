"""Rates, errors and durations of requests, for Prometheus: as the gateway has counted them.

A counter begins anew when the gateway does, as Prometheus expects of counters. What nobody has ever
called has no sample. The lines are written here: 2,000 deployments have 44,000 of them, for which
prometheus-client takes half a second.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import isinf

from codestore.actions.queries import Placed
from codestore.api.standby import BEYOND
from codestore.domain.promise import Budget
from codestore.ports import Counters

_ESCAPED = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def text_of(
    placed: Sequence[Placed], counted: Mapping[str, Counters], budgets: Mapping[str, Budget]
) -> str:
    """Return every family in the text format.

    ``counted`` are counters by the hash of a deployment, ``budgets`` those of the month by its id.
    """
    called = [
        (_labels(held), counters)
        for held in placed
        if (counters := counted.get(held.deployment.hash)) is not None and _any(counters)
    ]
    promised = [
        (_labels(held), budget)
        for held in placed
        if (budget := budgets.get(held.deployment.id)) is not None
    ]
    return "".join((*_requests(called), *_promises(promised)))


def _requests(called: Sequence[tuple[str, Counters]]) -> Iterator[str]:
    name = "codestore_requests_total"
    yield _head(
        name, "counter", "Requests that no limit kept away, by class of status of the answer."
    )
    for labels, counters in called:
        for code, count in counters.answers.items():
            yield f'{name}{{{labels},code="{code}"}} {count}\n'
    name = "codestore_request_failures_total"
    yield _head(name, "counter", "Requests that failed: answered by a 5xx, or by nobody.")
    for labels, counters in called:
        yield f"{name}{{{labels}}} {counters.failures}\n"
    name = "codestore_requests_refused_total"
    yield _head(
        name, "counter", "Requests that a limit of rate or number kept away, answered by a 429."
    )
    for labels, counters in called:
        for reason, count in counters.refused.items():
            yield f'{name}{{{labels},reason="{reason}"}} {count}\n'
    name = "codestore_request_duration_seconds"
    yield _head(name, "histogram", "How long requests took.")
    for labels, counters in called:
        if counters.durations:
            for bound, count in counters.durations:
                yield f'{name}_bucket{{{labels},le="{_bound(bound)}"}} {count}\n'
            yield f"{name}_sum{{{labels}}} {counters.total}\n"
            yield f"{name}_count{{{labels}}} {counters.durations[-1][1]}\n"
    name = "codestore_requests_in_flight"
    yield _head(name, "gauge", "Requests that are under way.")
    for labels, counters in called:
        yield f"{name}{{{labels}}} {counters.active}\n"


def _promises(promised: Sequence[tuple[str, Budget]]) -> Iterator[str]:
    """Before its first request a deployment has no availability, and all of its budget."""
    name = "codestore_error_budget_left_ratio"
    yield _head(
        name, "gauge", "What is left of this month's error budget; below 0 it is overspent."
    )
    for labels, budget in promised:
        yield f"{name}{{{labels}}} {budget.left}\n"
    name = "codestore_availability_ratio"
    yield _head(name, "gauge", "The share of this month's requests that did not fail.")
    for labels, budget in promised:
        if budget.availability is not None:
            yield f"{name}{{{labels}}} {budget.availability}\n"


def _any(counters: Counters) -> bool:
    return bool(counters.requests or counters.failures or counters.active or counters.refused)


def _head(name: str, type_: str, told: str) -> str:
    return f"# HELP {name} {told}\n# TYPE {name} {type_}\n"


def _labels(held: Placed) -> str:
    service, environment, project = (
        value.translate(_ESCAPED) for value in (held.service, held.environment, held.project)
    )
    return f'service="{service}",environment="{environment}",project="{project}"'


def _bound(bound: float) -> str:
    return BEYOND if isinf(bound) else str(bound)
