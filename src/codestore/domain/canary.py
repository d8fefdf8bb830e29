"""Canary: a new version gets a share of the requests first, and all of them if it does well."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

ALL = 100
FEW = 20  # requests that a rate is taken of at least
LATELY = 400  # requests that a rate of late is taken of at least: a few accidents are no trend
WORSE = 2  # times the share that is allowed: more than that of late ends it, however it began
LEAVING = 0.1  # share of callers who may leave unanswered: people do, whatever the version
RECENT = timedelta(minutes=10)  # after that, what is counted of late is counted anew


@dataclass(frozen=True, slots=True)
class Canary:
    """How a version is let in: its share in percent, step by step, each held for ``hold`` seconds.

    It is given up when more than ``error_rate`` (a share) of its requests fail; see ``failed``.
    """

    steps: tuple[int, ...] = (5, 25, ALL)
    hold: float = 60.0
    error_rate: float = 0.01


@dataclass(frozen=True, slots=True)
class Tally:
    """How many requests were answered, and how many of them failed (5xx, or nobody answered)."""

    requests: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of the requests that a canary got, in a ``run`` of whoever counts them.

    ``requests`` were answered, ``failures`` of them badly; callers ``left`` without an answer, at
    least so many; ``waiting`` have none yet. An answer is there when it begins: a stream is one.
    """

    requests: int = 0
    failures: int = 0
    left: int = 0
    waiting: int = 0
    run: str = ""

    @property
    def arrived(self) -> int:
        """How many requests came."""
        return self.requests + self.left + self.waiting

    def after(self, base: "Trial") -> "Trial":
        """Return what came after ``base``; all, if the counters have begun anew since."""
        if not self.goes_on_from(base):
            return self
        return replace(
            self,
            requests=self.requests - base.requests,
            failures=self.failures - base.failures,
            left=max(0, self.left - base.left),
        )

    def goes_on_from(self, base: "Trial") -> bool:
        """Whether the counters are those of ``base``, and have not begun anew."""
        fell = self.requests < base.requests or self.failures < base.failures
        return base == Trial() or (self.run == base.run and not fell)


@dataclass(frozen=True, slots=True)
class Progress:
    """The step (from 0) that a canary has reached, since when its share is led to it.

    ``base`` is what had become of its requests when the step, or the last ten minutes of it, began:
    at ``base_at``.
    """

    step: int
    since: datetime
    base: Trial = field(default_factory=Trial)
    base_at: datetime | None = None

    def looked(self, trial: Trial, now: datetime) -> "Progress":
        """Return it with a base of late: a new one after ten minutes, or with new counters."""
        recent = now - (self.base_at or self.since) < RECENT
        if recent and trial.goes_on_from(self.base):
            return self
        return replace(self, base=trial, base_at=now)


def failed(canary: Canary, trial: Trial, base: Trial) -> Trial | None:
    """Return of what too many requests failed: of all, or clearly more than that after ``base``.

    A rate needs requests to be one: below ``FEW`` it is taken as if the missing had gone well.
    """
    lately, rate = trial.after(base), canary.error_rate
    if trial.failures > rate * max(trial.requests, FEW):
        return trial
    return lately if lately.failures > WORSE * rate * max(lately.requests, LATELY) else None


def forsaken(canary: Canary, trial: Trial, base: Trial) -> Trial | None:
    """Return of what too many callers left unanswered, in the same way: it may hang."""
    lately, share = trial.after(base), max(canary.error_rate, LEAVING)
    if trial.left > share * max(trial.requests + trial.left, FEW):
        return trial
    asked = lately.requests + lately.left
    return lately if lately.left > WORSE * share * max(asked, LATELY) else None


def stalls(trial: Trial, base: Trial) -> bool:
    """Whether somebody waits who came before ``base``, or nobody was answered after it.

    Only who waits still is a reason to wait: who left is no more to be answered.
    """
    before = base if trial.goes_on_from(base) else Trial()
    unanswered = before.arrived > trial.requests + trial.left
    return trial.waiting > 0 and (unanswered or trial.requests == before.requests)
