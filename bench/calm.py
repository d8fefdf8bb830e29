"""Measures only while nobody else uses the machine, as far as that can be had."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

import psutil

from bench.sleepers import processes_below
from tests.support.platform import Platform

LIMIT = 0.12  # cores that others may use while something is measured
LOOK = 0.5  # seconds of a look whether it is calm
TRIES = 6  # of a measurement; the last one counts whatever happens meanwhile
T = TypeVar("T")


class Calm:
    """Waits for others to be calm, measures, and measures again if they were not.

    Whether a measurement counts is decided by what others did, never by its result.
    """

    def __init__(self, platform: Platform, patience: float = 60.0) -> None:
        """``patience``: seconds that others are waited for, each time."""
        self._keeper = platform.status()["processes"]["keeper"]
        self._patience = patience
        self.cores: list[float] = []
        self.repeated = 0

    def take(self, measure: Callable[[], T]) -> T:
        """Return a measurement; those taken in noise are taken again."""
        for number in range(1, TRIES + 1):
            self._wait()
            found, cores = self._during(measure)
            if cores <= LIMIT or number == TRIES:
                self.cores.append(cores)
                return found
            self.repeated += 1
        raise AssertionError("not reached")

    def _wait(self) -> None:
        given_up = time.monotonic() + self._patience
        while time.monotonic() < given_up:
            if self._during(lambda: time.sleep(LOOK))[1] <= LIMIT:
                return

    def _during(self, measure: Callable[[], T]) -> tuple[T, float]:
        """Return what was measured, and how many cores others had meanwhile."""
        began, before = time.monotonic(), self._others()
        found = measure()
        return found, (self._others() - before) / (time.monotonic() - began)

    def _others(self) -> float:
        times = psutil.cpu_times()
        all_ = times.user + times.system + times.nice + times.irq + times.softirq + times.steal
        ours = 0.0
        for process in (*processes_below(self._keeper), *processes_below(os.getpid())):
            try:
                held = process.cpu_times()
            except psutil.Error:
                continue
            ours += held.user + held.system + held.children_user + held.children_system
        return float(all_) - ours
