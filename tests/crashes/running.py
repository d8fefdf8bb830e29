"""Running many histories, and telling what became of them."""

import sys
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from tests.crashes.histories import FIXED
from tests.crashes.playing import History, Played, count_points, play_all


@dataclass
class Tally:
    """How many histories were played, how often the process died, and what went wrong."""

    histories: int = 0
    kills: int = 0
    points: int = 0
    failures: list[tuple[History, str]] = field(default_factory=list)

    def add(self, history: History, played: Played) -> None:
        self.histories += 1
        self.kills += len(played.died)
        self.points += played.points
        if played.error is not None:
            self.failures.append((history, told(played)))


def run(histories: Iterable[History], most: int = 0) -> Tally:
    """Play histories; with ``most`` end when so many went wrong."""
    tally = Tally()
    for history, played in play_all(histories):
        tally.add(history, played)
        if most and len(tally.failures) >= most:
            break
    return tally


def systematic(histories: Iterable[History] = FIXED) -> Iterator[History]:
    """Yield each history with a kill at every point that it passes, one at a time."""
    for history in histories:
        (points,) = count_points([history])
        for point in range(1, points + 1):
            yield replace(history, kills=(point,), name=f"{history.name}, killed at {point}")


def told(played: Played) -> str:
    """Return in a line what went wrong, and which check found it."""
    error = played.error
    assert error is not None
    frames = traceback.extract_tb(error.__traceback__)
    frame = next((f for f in reversed(frames) if "/tests/" in f.filename), frames[-1])
    said = " ".join(str(error).split())[:200] or (frame.line or "")
    return f"{type(error).__name__} in {frame.name}: {said} [{frame.line}]"


def show(history: History, said: str) -> None:
    """Print a failure, so that it can be played again."""
    sys.stdout.write(f"\n{history.name}: {said}\n{history}\n")
    sys.stdout.flush()
