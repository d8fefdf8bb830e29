"""What Envoy counts, as values: its figures of each cluster, and what they say of a deployment.

Which of its many counters are the right ones was found by trial, and is held by
``tests/gateway/test_gateway_counters.py``:

- ``upstream_rq_completed`` and the classes of status count a request once, by its last try, when
  the head of the answer is there, whether the service made it or the router in its place (503 if
  nobody could be reached, 504 if nothing came). A client that left before is in neither.
- A request beyond ``max_requests`` is a 5xx there, although its caller is told 429. It is counted
  as overflow too, by which it can be taken off again.
- ``upstream_rq_total`` counts a request when an instance gets it, ``upstream_rq_active`` until its
  stream ends. A try that reached nobody is in neither, and no other is made a second time.
- A request beyond the rate is counted by the filter that refuses it, under the deployment's hash.
- Refused keys, and whatever else is answered before a cluster is chosen, are in no cluster. For
  these, and for bodies that are too large, Envoy has no counter by deployment.
"""

import re
from collections.abc import Collection, Iterable, Mapping

from codestore.domain.canary import Tally, Trial
from codestore.ports import Counters

Figures = dict[str, float]
"""Of one cluster: ``active``, ``completed``, ``5xx``, ``le=0.5``, ..., by Envoy's words."""

HASH = "[0-9a-f]{32}"

NAME = "[0-9a-f]{32}(-[0-9]+)?-[0-9a-f]{8}"
"""What clusters of deployments count under (see there): hash, revision of a split, digest."""

KEPT = "active|total|completed|[1-5]xx|active_overflow|pending_overflow|time"
"""The figures that Envoy keeps, as a regular expression. Every other would cost memory."""

CALLED = r"vhost\.[0-9a-f]{32}\.route\.[a-z0-9-]+\.upstream_rq_total"
"""What requests of clients count under (see ``scopes``), as a regular expression."""

LIMITED = r"http_local_rate_limit\.rate_limited"
"""What requests beyond a rate count under, behind the hash of the deployment (see ``limits``)."""

BUCKETS = (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000)
"""Upper bounds in milliseconds by which durations are told."""

SOURCES = 64
"""Clusters of a deployment that are remembered: those that are there, and the newest gone ones."""

_LINE = re.compile(
    r"^envoy_cluster_upstream_rq_(\w+)"
    r'\{(?:envoy_response_code_class="(\d)",)?envoy_cluster_name="([^"]+)"(?:,le="([^"]+)")?\}'
    r" (\S+)$",
    re.MULTILINE,
)
_CALL_LINE = re.compile(
    r'^envoy_vhost_route_upstream_rq_total\{envoy_virtual_host="([^"]+)",envoy_route="([^"]+)"\}'
    r" (\S+)$",
    re.MULTILINE,
)
_LIMITED_LINE = re.compile(
    r'^envoy_http_local_rate_limit_rate_limited\{envoy_local_http_ratelimit_prefix="([0-9a-f]{32})"\}'
    r" (\S+)$",
    re.MULTILINE,
)
_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
_LIMITED = "rate_limited"
_NOW = "active"  # the only figure that goes down
_SUM = "time_sum"


def read_figures(text: str) -> dict[str, Figures]:
    """Read Envoy's statistics in the format of Prometheus, by cluster; limits are under the hash.

    Of its formats this is the only one that has the sum of the durations, too.
    """
    found: dict[str, Figures] = {}
    for name, class_, cluster, bound, value in _LINE.findall(text):
        figure = f"{class_}xx" if class_ else f"le={bound}" if bound else name
        found.setdefault(cluster, {})[figure] = float(value)
    for hash_, value in _LIMITED_LINE.findall(text):
        found.setdefault(hash_, {})[_LIMITED] = float(value)
    return found


def read_calls(text: str) -> dict[str, dict[str, int]]:
    """Read how often each client called, by its id and the hash of the deployment.

    A request is counted when an instance gets it, however it ends.
    """
    found: dict[str, dict[str, int]] = {}
    for hash_, client, value in _CALL_LINE.findall(text):
        found.setdefault(client, {})[hash_] = int(float(value))
    return found


def owner(cluster: str) -> str:
    """Return the hash of the deployment that a cluster belongs to."""
    return cluster.partition("-")[0]


def by_hash(
    figures: Mapping[str, Figures], hashes: Collection[str]
) -> dict[str, dict[str, Figures]]:
    """Sort the clusters by these deployments, of which one may have none."""
    found: dict[str, dict[str, Figures]] = {hash_: {} for hash_ in hashes}
    for cluster, own in figures.items():
        if (hash_ := owner(cluster)) in found:
            found[hash_][cluster] = own
    return found


def tally(figures: Figures) -> Tally:
    """Tell how many requests were answered, and how many of them failed."""
    refused = _refused(figures)
    return Tally(
        requests=max(0, int(figures.get("completed", 0) - refused)),
        failures=max(0, int(figures.get("5xx", 0) - refused)),
    )


def trial(figures: Figures, run: str) -> Trial:
    """Tell what became of all requests, of those that were not answered, too.

    Those who ``left`` may be more, by the streams that are open and the requests that could not be
    handed to anybody.
    """
    counted = tally(figures)
    silent = max(0, int(figures.get("total", 0)) - counted.requests)
    left = max(0, silent - int(figures.get(_NOW, 0)))
    return Trial(counted.requests, counted.failures, left, silent - left, run)


def counters(figures: Figures) -> Counters:
    """Say figures in the words of the door. Whoever a limit refused is in ``refused`` only."""
    counted = tally(figures)
    refused = {"too_many_requests": figures.get(_LIMITED, 0), "too_busy": _refused(figures)}
    answers = {class_: int(figures.get(class_, 0)) for class_ in _CLASSES}
    answers["5xx"] = counted.failures
    return Counters(
        requests=counted.requests,
        failures=counted.failures,
        active=int(figures.get(_NOW, 0)),
        answers={class_: count for class_, count in answers.items() if count},
        durations=tuple(
            (float(figure.removeprefix("le=")) / 1000, int(count))
            for figure, count in figures.items()
            if figure.startswith("le=")
        ),
        total=figures.get(_SUM, 0.0) / 1000,
        refused={code: int(count) for code, count in refused.items() if count},
    )


class Ledger:
    """Keeps what Envoy forgets, so that what is told of a deployment never falls.

    A cluster that goes takes its counters along, and one that is changed is another one, which
    counts under another name (see ``clusters``). What was last seen of a name that has gone is
    added to what is told from then on. Lost is what happened between that look and its end, so
    there should be a look just before each change.

    All is told from zero on: ``before`` is what had been counted until the ledger was opened, of
    which part may have been forgotten by then.
    """

    def __init__(self, before: Mapping[str, Figures]) -> None:
        self._before = {name: _lasting(figures) for name, figures in before.items()}
        self._last: dict[str, dict[str, Figures]] = {}
        self._gone: dict[str, Figures] = {}
        self._sources: dict[str, dict[str, Tally]] = {}

    def __contains__(self, hash_: str) -> bool:
        """Tell whether anybody ever asked for a deployment."""
        return hash_ in self._last

    def enter(self, seen: Mapping[str, Figures], hashes: Collection[str]) -> dict[str, Figures]:
        """Take in one look at all clusters of some deployments; return the figures of each."""
        return {hash_: self._enter(hash_, own) for hash_, own in by_hash(seen, hashes).items()}

    def sources(self, hash_: str) -> Mapping[str, Tally]:
        """Return what each cluster of a deployment had counted when it was last seen.

        Whoever compares it with what another ledger told misses nothing that this one saw.
        """
        return dict(self._sources.get(hash_, {}))

    def forget(self, hash_: str) -> None:
        """Let go of a deployment that is no more."""
        self._sources.pop(hash_, None)
        self._last.pop(hash_, None)
        self._gone.pop(hash_, None)

    def _enter(self, hash_: str, clusters: dict[str, Figures]) -> Figures:
        gone = [self._gone.get(hash_, {})]
        for name, figures in self._last.get(hash_, {}).items():
            if _fell(figures, clusters.get(name, {})):
                gone += [figures, _negative(self._before.pop(name, {}))]
        self._last[hash_] = {name: _lasting(figures) for name, figures in clusters.items()}
        self._gone[hash_] = total(gone)
        known = self._sources.get(hash_, {})
        gone_before = {name: seen for name, seen in known.items() if name not in clusters}
        present = {name: tally(own) for name, own in clusters.items() if name != hash_}
        self._sources[hash_] = dict(list((gone_before | present).items())[-SOURCES:])
        before = [_negative(self._before.get(name, {})) for name in clusters]
        return total([self._gone[hash_], *clusters.values(), *before])


def _lasting(figures: Figures) -> Figures:
    """Leave out what is about the moment only."""
    return {figure: value for figure, value in figures.items() if figure != _NOW}


def _fell(then: Figures, now: Figures) -> bool:
    # Not the sum of durations: Envoy adds that up anew each time, from rounded ones.
    return any(now.get(figure, 0) < value for figure, value in then.items() if figure != _SUM)


def _negative(figures: Figures) -> Figures:
    return {figure: -value for figure, value in figures.items()}


def _refused(figures: Figures) -> float:
    return figures.get("active_overflow", 0) + figures.get("pending_overflow", 0)


def total(every: Iterable[Figures]) -> Figures:
    """Add figures up."""
    made: Figures = {}
    for figures in every:
        for figure, value in figures.items():
            made[figure] = made.get(figure, 0) + value
    return made
