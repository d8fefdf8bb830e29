"""What the bench of standby takes down of each count of deployments, and how that is told."""

import statistics
from dataclasses import dataclass, field

from bench.common import table

PROCESSES = ("keeper", "control", "envoy", "postgres")
RESTARTED = 1000  # deployments at which the sockets must be back within a second


@dataclass(slots=True)
class Taken:
    """What one count came to. Seconds, KiB."""

    count: int
    up: float = 0.0
    sockets: float = 0.0
    held: int = 0
    routed: int = 0
    places: int = 0
    rest: float = 0.0
    shared: dict[str, float] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    busy: dict[str, float] = field(default_factory=dict)
    silence: float = 0.0
    strangers: float = 0.0
    routes: list[float] = field(default_factory=list)
    creates: list[float] = field(default_factory=list)
    wakes: list[float] = field(default_factory=list)


def tell_all(found: list[Taken]) -> None:
    tell_memory(found)
    tell_start(found)
    tell_silence(found)
    tell_times(found)
    for each in found:
        for line in each.others:
            print(f"at {each.count} runs: {line}")


def tell_memory(found: list[Taken]) -> None:
    """Tell it by process; what each deployment adds is taken from 100 of them on."""
    first, last = found[0], found[-1]
    total = [sum(each.memory.values()) for each in found]
    rows = [("\nown memory (PSS), MiB", *_counts(found), "KiB each")]
    base = next((each for each in found if each.count >= 100), first)
    more = last.count - base.count

    def slope(name: str) -> str:
        return f"{(last.memory[name] - base.memory[name]) / more:.1f}" if more else ""

    for name in PROCESSES:
        rows.append((f"  {name}", *(f"{x.memory[name] / 1024:.1f}" for x in found), slope(name)))
    each_ = (total[-1] - sum(base.memory.values())) / more if more else 0.0
    rows.append(("  all", *(f"{x / 1024:.1f}" for x in total), f"{each_:.1f}"))
    everything = (f"{sum(x.shared.values()) / 1024:.1f}" for x in found)
    rows.append(("  with what files are mapped", *everything, ""))
    table(rows)
    print(f"a deployment from {base.count} to {last.count}: {verdict(each_, 120, 'KiB')}")


def tell_start(found: list[Taken]) -> None:
    first = found[0]
    rows = [("\nseconds", *_counts(found))]
    rows.append(("  cs up", *(f"{x.up:.2f}" for x in found)))
    rows.append((f"    more than at {first.count}", *(f"{x.up - first.up:.2f}" for x in found)))
    rows.append(("  first socket to last", *(f"{x.sockets:.2f}" for x in found)))
    rows.append(("  sockets held when it was up", *(f"{x.held}" for x in found)))
    rows.append(("  routes known then", *(f"{x.routed} of {x.places}" for x in found)))
    rows.append(("  then busy for", *(f"{x.rest:.0f}" for x in found)))
    rows.append(("  processes of deployments", *(f"{len(x.others)}" for x in found)))
    table(rows)
    for each in found:
        if each.count == RESTARTED:
            print(f"sockets at {each.count}: {verdict(each.sockets, 1, 's')}")


def tell_silence(found: list[Taken]) -> None:
    last = found[-1]
    rows = [(f"\nprocessor in {last.silence:g} s of silence, %", *_counts(found))]
    for name in PROCESSES:
        rows.append((f"  {name}", *(f"{x.busy[name] / x.silence * 100:.2f}" for x in found)))
    sums = [sum(x.busy.values()) / x.silence * 100 for x in found]
    rows.append(("  all", *(f"{x:.2f}" for x in sums)))
    rows.append(("  others meanwhile, cores", *(f"{x.strangers:.2f}" for x in found)))
    table(rows)
    print(f"at {last.count}: {verdict(sums[-1], 2, '% of a core')}")


def tell_times(found: list[Taken]) -> None:
    """Tell how long things took, and how many times longer than at the smallest count."""
    first, last = found[0], found[-1]
    rows = [("\nms, medians (min–max)", *_counts(found))]
    for what, take in (
        ("  a new route visible", [x.routes for x in found]),
        ("  a service created", [x.creates for x in found]),
        ("  a wake from stopped", [x.wakes for x in found]),
    ):
        cells = (
            f"{statistics.median(x) * 1000:.1f} ({min(x) * 1000:.1f}–{max(x) * 1000:.1f})"
            for x in take
        )
        rows.append((what, *cells))
    table(rows)
    for what, over, under, limit in (
        ("a new route", last.routes, first.routes, 3),
        ("a service created", last.creates, first.creates, None),
        ("a wake from stopped", last.wakes, first.wakes, None),
    ):
        ratio = statistics.median(over) / statistics.median(under)
        print(f"{what} at {last.count} ÷ at {first.count}: {verdict(ratio, limit, '×')}")


def verdict(value: float, limit: float | None, unit: str) -> str:
    if limit is None:
        return f"{value:.2f} {unit}"
    return f"{value:.2f} {unit}, at most {limit:g}: {'ok' if value <= limit else 'MISSED'}"


def _counts(found: list[Taken]) -> list[str]:
    return [f"{each.count}" for each in found]
