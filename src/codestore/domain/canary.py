"""Canary: a new version gets a share of the requests first, and all of them if it does well."""

from dataclasses import dataclass
from datetime import datetime

ALL = 100
FEW = 20  # requests that a rate is taken of at least


@dataclass(frozen=True, slots=True)
class Canary:
    """How a version is let in: its share in percent, step by step, each held for ``hold`` seconds.

    It is given up when more than ``error_rate`` (a share) of its requests fail.
    """

    steps: tuple[int, ...] = (5, 25, ALL)
    hold: float = 60.0
    error_rate: float = 0.01


@dataclass(frozen=True, slots=True)
class Progress:
    """The step (from 0) that a canary has reached, since when its share is led to it."""

    step: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Tally:
    """How many requests were answered, and how many of them failed (5xx, or nobody answered)."""

    requests: int = 0
    failures: int = 0


def does_badly(canary: Canary, tally: Tally) -> bool:
    """Whether too many requests failed.

    A rate needs requests to be one: below ``FEW`` it is taken as if the missing had gone well.
    """
    return tally.failures > canary.error_rate * max(tally.requests, FEW)
