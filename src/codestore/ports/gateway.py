"""Where requests come in: routes, and what is counted of requests there."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from codestore.domain.canary import Tally, Trial
from codestore.domain.routing import Route
from codestore.domain.secret import Secret


@dataclass(frozen=True, slots=True)
class Counters:
    """What a proxy has counted for a deployment since it started.

    ``answers`` by class of status (``2xx``); ``failures`` are those that break a promise: 5xx,
    and requests that nobody answered. ``durations`` are cumulative: an upper bound in seconds
    (infinity at the end) and the number of requests that took at most so long; ``total`` is the
    sum of all durations in seconds. ``sources`` are requests and failures by whatever part of the
    proxy counted them. Each rises from zero on in a ``run`` of the proxy, whoever asks; one that is
    gone is told as long as it is known. ``refused`` are requests that a limit kept away, by the
    code of what they were told; they are nowhere else.
    """

    requests: int = 0
    failures: int = 0
    active: int = 0
    answers: Mapping[str, int] = field(default_factory=dict)
    durations: tuple[tuple[float, int], ...] = ()
    total: float = 0.0
    sources: Mapping[str, Tally] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at the counters. ``epoch`` names the run of the proxy: with another, all began
    anew.

    Where an epoch ends with this process too, ``run`` names what sources go on in.
    """

    epoch: str
    counters: Mapping[str, Counters] = field(default_factory=dict)
    run: str = ""


@dataclass(frozen=True, slots=True)
class Calls:
    """How often each client called in a ``run`` of the proxy, by its id and the deployment's hash.

    One that did not call may be missing; what is lower than before began at zero again.
    """

    run: str
    totals: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


class Gateway(Protocol):
    """Routes requests to instances; keys are checked there. Requests never pass through us."""

    async def publish(self, route: Route) -> None:
        """Make the route what requests meet. Returns when the proxy has confirmed it."""

    async def withdraw(self, hash_: str) -> None:
        """Answer 404 there again. Returns when the proxy has confirmed it."""

    def published(self, hash_: str) -> Route | None:
        """Return the route as it was last published, for comparison."""

    def holds(self, hash_: str) -> bool:
        """Tell whether there may be a route: until the proxy has confirmed that there is none."""

    async def restore(self, routes: Sequence[Route]) -> None:
        """Take the whole set at the start of the control process."""

    async def knock(self, hash_: str, key: Secret) -> int:
        """Call a route with a key, as anybody would; return the status of the answer.

        Raises an UNAVAILABLE fault when there is none.
        """

    def url(self, hash_: str) -> str:
        """Return the address people use, with no trailing slash."""


class Traffic(Protocol):
    """What the gateway counts: requests under way, how many there were, how they ended."""

    async def active(self, hash_: str) -> Mapping[str, int]:
        """Return how many requests are under way, by endpoint address."""

    async def loads(self, hashes: Collection[str]) -> Mapping[str, int]:
        """Return how many requests are under way, by hash; none is not listed.

        Raises an UNAVAILABLE fault when the proxy does not answer.
        """

    async def split(self, hash_: str, revision: int) -> Trial:
        """Return what became of the requests that the split of a route led to a revision."""

    async def reading(self, hashes: Collection[str]) -> Reading:
        """Read all counters of these deployments. Raises an UNAVAILABLE fault as above."""

    async def calls(self) -> Calls:
        """Read how often each client called. Raises an UNAVAILABLE fault as above."""

    def idle_since(self, hash_: str, within: float) -> datetime | None:
        """Return since when no request was under way; ``None`` while one is, or nobody knows yet.

        Whoever asks has the traffic there followed from now on, so closely that what is told is
        at most ``within`` seconds old. What the proxy answers itself does not count.
        """

    def touch(self, hash_: str) -> None:
        """Take this moment for one at which a request was under way."""
