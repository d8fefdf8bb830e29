"""What Prometheus may ask: the states of your deployments, their requests, their wakes."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import structlog
from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, HistogramMetricFamily, Metric

from codestore.actions import queries
from codestore.actions.queries import Placed
from codestore.actions.sla import budgets
from codestore.actions.verifications import of_organization
from codestore.api.desk import Desk, DeskDep, UserDep
from codestore.api.red import text_of
from codestore.api.standby import BEYOND, cumulative, of_each_depth
from codestore.domain.deployments import State
from codestore.domain.faults import Fault
from codestore.domain.promise import Budget
from codestore.domain.standby import Histogram
from codestore.domain.verification import Verdict, Verification, count
from codestore.ports import Counters

router = APIRouter(tags=["watching"])
log = structlog.get_logger(__name__)
PLACE = ("service", "environment", "project")


class Exposition(Response):
    """An answer in Prometheus's text format."""

    media_type = CONTENT_TYPE_PLAIN_0_0_4


@router.get("/metrics", response_class=Exposition)
async def metrics(desk: DeskDep, user: UserDep) -> Exposition:
    """Tell the figures of your deployments to Prometheus."""
    found = await queries.census(desk.office, user)
    counted, kept = await _counted(desk, found), await budgets(desk.office, found)
    verified = await of_organization(desk.office, user)
    return Exposition(await asyncio.to_thread(exposition, found, counted, kept, verified))


def exposition(
    placed: Sequence[Placed],
    counted: Mapping[str, Counters],
    kept: Mapping[str, Budget],
    verified: Mapping[str, Verification],
) -> bytes:
    """Return all figures in Prometheus's text format."""
    return generate_latest(Census(placed, verified)) + text_of(placed, counted, kept).encode()


async def _counted(desk: Desk, placed: Sequence[Placed]) -> Mapping[str, Counters]:
    """Ask the gateway; while it does not answer, everything else is told without it."""
    if not placed:
        return {}
    try:
        return (await desk.reading([held.deployment.hash for held in placed])).counters
    except Fault as fault:
        log.warning("requests are not known", error=str(fault))
        return {}


class Census:
    """Collects the figures of the deployments it is given; nothing is kept between two looks."""

    def __init__(self, placed: Sequence[Placed], verified: Mapping[str, Verification]) -> None:
        self._placed = placed
        self._verified = [
            (held, found)
            for held in placed
            if (found := verified.get(held.deployment.id)) is not None and found.at is not None
        ]

    def collect(self) -> Iterator[Metric]:
        """Yield every family of figures."""
        yield self._deployments()
        yield self._states()
        yield self._instances()
        yield self._wakes()
        yield self._breaches()
        yield self._verified_at()

    def _deployments(self) -> Metric:
        counts = Counter(held.deployment.state for held in self._placed)
        family = GaugeMetricFamily(
            "codestore_deployments", "How many deployments are in each state.", labels=("state",)
        )
        for state in State:
            family.add_metric((state.value,), counts[state])
        return family

    def _states(self) -> Metric:
        family = GaugeMetricFamily(
            "codestore_deployment_state",
            "1 for the state that a deployment is in.",
            labels=(*PLACE, "state"),
        )
        for held in self._placed:
            family.add_metric((*_place(held), held.deployment.state.value), 1)
        return family

    def _instances(self) -> Metric:
        family = GaugeMetricFamily(
            "codestore_instances", "Instances that accept requests.", labels=PLACE
        )
        for held in self._placed:
            family.add_metric(_place(held), held.deployment.status.serving)
        return family

    def _wakes(self) -> Metric:
        family = HistogramMetricFamily(
            "codestore_wake_seconds",
            "How long requests waited for a wake, by the depth of the standby.",
            labels=(*PLACE, "depth"),
        )
        for held in self._placed:
            for depth, histogram in of_each_depth(held.deployment.status.wakes):
                labels = (*_place(held), depth.value)
                family.add_metric(labels, _buckets(histogram), histogram.total)
        return family

    def _breaches(self) -> Metric:
        family = GaugeMetricFamily(
            "codestore_breaches",
            "What was reached from inside that should not be, when it was verified last.",
            labels=PLACE,
        )
        for held, found in self._verified:
            family.add_metric(_place(held), count(found.findings, Verdict.REACHED))
        return family

    def _verified_at(self) -> Metric:
        family = GaugeMetricFamily(
            "codestore_verified_timestamp_seconds",
            "When walls were tried last, if that proved something; in Unix seconds.",
            labels=PLACE,
        )
        for held, found in self._verified:
            if found.at is not None and not found.unproved:
                family.add_metric(_place(held), found.at.timestamp())
        return family


def _place(held: Placed) -> tuple[str, str, str]:
    return held.service, held.environment, held.project


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """Return the cumulative buckets; their bounds are in seconds here."""
    return [
        (BEYOND if bound is None else str(bound / 1000), count)
        for bound, count in cumulative(histogram)
    ]
