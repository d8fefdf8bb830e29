"""Autoscaling against traces: the platform's rule and a naive one, on simulated instances.

    python -m bench.autoscaler [--rounds N] [--seed N] [--plots FOLDER]

Each instance answers 40 requests at once, 50 ms each, and is ready 1 s after it was wanted; what
is beyond that waits in one queue, first come, first served. A request is given up after 10 s.
Requests under way are read every second, waiting ones too, and decided on every 2 s; 2 to 8
instances are allowed. Arrivals are a Poisson process whose rate follows the trace, with noise of
10 % that lasts for seconds; the seed also says when within its 2 s a jump meets the rule. The
naive rule wants (requests under way ÷ 40) instances at once, up and down. Ideal are, at every
moment, as many as the trace without noise needs at 70 % of 40. Nothing is measured here: the same
seed gives the same figures.
"""

import argparse
import math
import random
import statistics
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.common import arguments, table
from codestore.plan.autoscaling import Load, Scaling, decide, read

SCALING = Scaling(minimum=2, maximum=8, target=40)
SERVICE = 0.05  # seconds for one request; also the tick of the simulation
SECOND = round(1 / SERVICE)  # ticks
START = 1.0  # seconds until a new instance takes requests
PATIENCE = 10.0  # seconds after which a request is given up
SLOW = 1.0  # seconds
TURN = 2 * SECOND  # ticks between decisions
NOISE = 0.1
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
PLOTS = Path(__file__).parent / "plots"


@dataclass(frozen=True, slots=True)
class Trace:
    """How many requests would be under way at a moment (seconds) if nothing had to wait.

    ``jump`` is when it suddenly needs more instances.
    """

    name: str
    seconds: int
    load: Callable[[float], float]
    jump: float | None = None


def ramp(moment: float) -> float:
    """Five minutes up, two minutes there, two minutes down."""
    up = min(max(moment - 60, 0) / 300, 1)
    down = min(max(moment - 480, 0) / 120, 1)
    return 20 + 200 * (up - down)


def night(moment: float) -> float:
    """A day within an hour, from midnight to midnight; at night nearly nobody comes."""
    return 2 + 178 * (1 - math.cos(2 * math.pi * moment / 3600)) ** 2 / 4


TRACES = (
    Trace("step", 360, lambda moment: 20 if moment < 120 else 200, 120),
    Trace("spike", 360, lambda moment: 300 if 120 <= moment < 130 else 20, 120),
    Trace("ramp", 780, ramp),
    Trace("sawtooth", 600, lambda moment: 20 + 3 * (moment % 60)),
    Trace("night", 3600, night),
)


class Windows:
    """The platform's rule."""

    def __init__(self) -> None:
        self._load = Load()

    def read(self, requests: int, moment: datetime) -> None:
        self._load = read(self._load, requests, SCALING, moment)

    def decide(self, count: int, ready: int, moment: datetime) -> int:
        decision = decide(self._load, SCALING, count, ready, moment)
        self._load = decision.load
        return decision.count


class Naive:
    """As many as the last reading needs, at once."""

    def __init__(self) -> None:
        self._last = 0

    def read(self, requests: int, moment: datetime) -> None:
        self._last = requests

    def decide(self, count: int, ready: int, moment: datetime) -> int:
        return SCALING.limited(math.ceil(self._last / SCALING.target))


@dataclass(slots=True)
class Service:
    """Instances, as the moments at which they are (or will be) ready, and who waits for them."""

    instances: list[float] = field(default_factory=lambda: [0.0] * SCALING.minimum)
    queue: deque[list[float]] = field(default_factory=deque)  # (arrived at, how many)
    answered: int = 0
    slow: int = 0
    late: int = 0

    @property
    def under_way(self) -> int:
        return round(sum(many for _, many in self.queue))

    def ready(self, moment: float) -> int:
        return sum(at <= moment for at in self.instances)

    def scale(self, count: int, moment: float) -> None:
        """Start at the end and stop from there; what is stopped finishes within this tick."""
        del self.instances[count:]
        self.instances += [moment + START] * (count - len(self.instances))

    def answer(self, moment: float) -> None:
        """Answer as many as fit into one tick; whoever waited too long has gone."""
        while self.queue and moment - self.queue[0][0] >= PATIENCE:
            self.late += int(self.queue.popleft()[1])
        room = self.ready(moment) * SCALING.target
        while self.queue and room > 0:
            arrived, many = self.queue[0]
            served = min(many, room)
            self.answered += int(served)
            self.slow += int(served) if moment - arrived >= SLOW else 0
            room -= served
            self.queue[0][1] -= served
            if not self.queue[0][1]:
                self.queue.popleft()


@dataclass(frozen=True, slots=True)
class Point:
    """One second of a run."""

    load: float
    under_way: int
    ideal: int
    wanted: int
    ready: int


@dataclass(frozen=True, slots=True)
class Run:
    """What became of a trace under a rule. Shares in per cent, times in seconds."""

    points: tuple[Point, ...]
    enough: float | None
    late: float
    slow: float
    short: float
    cost: float
    changes: int


def arrivals(trace: Trace, seed: int) -> list[int]:
    """Return how many requests come in each tick."""
    dice = random.Random(f"{trace.name} {seed}")
    noise, came = 0.0, []
    for tick in range(trace.seconds * SECOND):
        if tick % SECOND == 0:
            noise = 0.8 * noise + 0.6 * dice.gauss(0, NOISE)  # its deviation stays what it is
        came.append(poisson(max(0.0, trace.load(tick * SERVICE) * (1 + noise)), dice))
    return came


def poisson(mean: float, dice: random.Random) -> int:
    if mean > 30:
        return max(0, round(dice.gauss(mean, math.sqrt(mean))))
    left, number = math.exp(-mean), -1
    product = 1.0
    while product > left:
        product *= dice.random()
        number += 1
    return max(0, number)


def simulate(trace: Trace, came: Sequence[int], rule: Windows | Naive, phase: int) -> Run:
    """Run a trace; ``phase``: the tick of the first decision."""
    service, wanted, changes, points = Service(), SCALING.minimum, 0, []
    enough, short, cost, ideal = None, 0, 0, 0
    for tick, many in enumerate(came):
        moment = tick * SERVICE
        now = BEGAN + timedelta(seconds=moment)
        load = trace.load(moment)
        if many:
            service.queue.append([moment, many])
        if (tick - phase) % SECOND == 0:
            rule.read(service.under_way, now)
        if (tick - phase) % TURN == 0:
            before, wanted = wanted, rule.decide(wanted, service.ready(moment), now)
            changes += wanted != before
            service.scale(wanted, moment)
        ready, needed = service.ready(moment), SCALING.limited(SCALING.instances(load))
        if tick % SECOND == 0:
            points.append(Point(load, service.under_way, needed, wanted, ready))
        service.answer(moment)
        serves = ready * SCALING.target >= load
        short += not serves
        if serves and enough is None and trace.jump is not None and moment >= trace.jump:
            enough = moment - trace.jump
        cost, ideal = cost + len(service.instances), ideal + needed
    all_of_them = sum(came) / 100
    return Run(
        points=tuple(points),
        enough=enough,
        late=service.late / all_of_them,
        slow=(service.slow + service.late) / all_of_them,
        short=short * SERVICE,
        cost=cost / ideal,
        changes=changes,
    )


HEADS = (
    "trace",
    "rule",
    "enough after, s",
    "over 10 s, %",
    "over 1 s, %",
    "too few, s",
    "÷ ideal",
    "changes",
)


def rows(trace: Trace, runs: dict[str, list[Run]]) -> list[tuple[str, ...]]:
    """Return the figures of each rule, and the naive one's medians against the other's."""
    figures = {rule: columns(those) for rule, those in runs.items()}
    told = [(trace.name, rule, *map(median_and_range, those)) for rule, those in figures.items()]
    ratios = []
    for over, under in zip(figures["naive"], figures["windows"], strict=True):
        sensible = bool(under) and statistics.median(under) > 0
        ratio = statistics.median(over) / statistics.median(under) if sensible else 0
        ratios.append(f"{ratio:.3g} ×" if sensible else "–")
    return [*told, (trace.name, "naive ÷ windows", *ratios)]


def columns(runs: Sequence[Run]) -> list[list[float]]:
    return [
        [run.enough for run in runs if run.enough is not None],
        [run.late for run in runs],
        [run.slow for run in runs],
        [run.short for run in runs],
        [run.cost for run in runs],
        [run.changes for run in runs],
    ]


def median_and_range(values: Sequence[float]) -> str:
    if not values:
        return "–"
    middle = f"{statistics.median(values):.3g}"
    lowest, highest = f"{min(values):.3g}", f"{max(values):.3g}"
    return middle if lowest == highest else f"{middle} ({lowest}–{highest})"


# Plots: two panels over time, drawn by hand.

WIDTH, LEFT, RIGHT = 900, 62, 16
PANELS = ((40, 190), (274, 424))  # top and bottom
HEIGHT = 472
GREY, BLUE, ORANGE, RED = "#9a9a9a", "#1f5fa8", "#e08214", "#c0392b"


@dataclass(frozen=True, slots=True)
class Panel:
    """Where values are drawn: from the left to the right, from the bottom to the top."""

    top: int
    bottom: int
    seconds: int
    highest: float

    def at(self, moment: float, value: float) -> tuple[float, float]:
        x = LEFT + (WIDTH - LEFT - RIGHT) * moment / self.seconds
        height = min(value, self.highest) / self.highest
        return x, self.bottom - (self.bottom - self.top) * height

    def line(self, values: Sequence[float], style: str, *, steps: bool = False) -> str:
        """Draw values that are equally far apart; with ``steps`` each stays until the next."""
        parts, last, apart = [], None, self.seconds / len(values)
        for number, value in enumerate(values):
            if steps and value == last and number < len(values) - 1:
                continue
            x, y = self.at(number * apart, value)
            if last is None:
                parts.append(f"M{x:.1f} {y:.1f}")
            else:
                parts.append(f"H{x:.1f}V{y:.1f}" if steps else f"L{x:.1f} {y:.1f}")
            last = value
        return f'<path d="{"".join(parts)}" fill="none" {style}/>'

    def axes(self, title: str, unit: str, step: float) -> str:
        drawn = [text(LEFT, self.top - 22, title, "font-weight='bold'")]
        for number in range(int(self.highest / step) + 1):
            _, y = self.at(0, number * step)
            drawn.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#e4e4e4"/>')
            drawn.append(text(LEFT - 8, y + 4, f"{number * step:g}", "text-anchor='end'"))
        divisor, word, each = (60, "minutes", 300) if self.seconds > 1000 else (1, "seconds", 60)
        for moment in range(0, self.seconds + 1, each):
            x, _ = self.at(moment, 0)
            drawn.append(f'<path d="M{x:.1f} {self.bottom}v5" stroke="#444"/>')
            label = f"{moment // divisor}"
            drawn.append(text(x, self.bottom + 18, label, "text-anchor='middle'"))
        drawn.append(text((LEFT + WIDTH) / 2, self.bottom + 34, word, "text-anchor='middle'"))
        middle = (self.top + self.bottom) / 2
        turned = f"text-anchor='middle' transform='rotate(-90 16 {middle:.0f})'"
        drawn.append(text(16, middle, unit, turned))
        return "".join(drawn)


def text(x: float, y: float, words: str, style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{words}</text>'


def legend(y: int, entries: Sequence[tuple[str, str]]) -> str:
    drawn, x = [], LEFT + 210
    for words, style in entries:
        drawn.append(f'<path d="M{x} {y - 4}h22" {style}/>' + text(x + 28, y, words))
        x += 44 + 7 * len(words)
    return "".join(drawn)


def plot(trace: Trace, windows: Run, naive: Run) -> str:
    """Return a picture of both runs."""
    load = Panel(*PANELS[0], trace.seconds, SCALING.maximum * SCALING.target * 1.25)
    count = Panel(*PANELS[1], trace.seconds, SCALING.maximum + 1)
    grey, blue = f'stroke="{GREY}" stroke-width="2"', f'stroke="{BLUE}" stroke-width="2"'
    thin = f'stroke="{BLUE}" stroke-width="1"'
    orange = f'stroke="{ORANGE}" stroke-width="2" stroke-dasharray="6 3"'
    red = f'stroke="{RED}" stroke-width="1" stroke-opacity="0.45"'
    every = math.ceil(trace.seconds / 600)
    under_way = [point.under_way for point in windows.points[::every]]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
            ' font-family="sans-serif" font-size="13" fill="#222">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
            load.axes(f"{trace.name}: load", "requests at once", 100),
            legend(PANELS[0][0] - 22, [("under way (cut off at 400)", thin), ("trace", grey)]),
            load.line(under_way, thin),
            load.line([point.load for point in windows.points[::every]], grey),
            count.axes(f"{trace.name}: instances", "instances", 2),
            legend(
                PANELS[1][0] - 22,
                [("ideal", grey), ("naive, ready", red), ("wanted", orange), ("ready", blue)],
            ),
            count.line([point.ideal for point in windows.points], grey, steps=True),
            count.line([point.ready for point in naive.points], red, steps=True),
            count.line([point.ready for point in windows.points], blue, steps=True),
            count.line([point.wanted for point in windows.points], orange, steps=True),
            "</svg>\n",
        ]
    )


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=20, choices=range(1, 101), metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--plots", type=Path, default=PLOTS, metavar="FOLDER")


def main() -> None:
    told = arguments(__doc__, options)
    told.plots.mkdir(exist_ok=True)
    lines: list[tuple[str, ...]] = [HEADS]
    for trace in TRACES:
        runs: dict[str, list[Run]] = {"windows": [], "naive": []}
        for seed in range(told.seed, told.seed + told.rounds):
            came = arrivals(trace, seed)
            phase = random.Random(seed).randrange(TURN)
            runs["windows"].append(simulate(trace, came, Windows(), phase))
            runs["naive"].append(simulate(trace, came, Naive(), phase))
        lines += rows(trace, runs)
        picture = plot(trace, runs["windows"][0], runs["naive"][0])
        (told.plots / f"autoscaler-{trace.name}.svg").write_text(picture)
    table(lines)
    print(f"\nmedian (min–max) of {told.rounds}; plots of seed {told.seed} in {told.plots}")


if __name__ == "__main__":
    main()
