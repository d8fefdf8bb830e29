"""How a deployment sleeps and wakes."""

from collections.abc import Iterator

from codestore.cli.view import Document, span

_BEYOND = "+Inf"


def resting(standby: float | None, stop: float | None) -> str:
    """Say after which idle times, in seconds, something is frozen and stopped."""
    if standby is None or stop is None:
        return "never"
    return f"after {span(standby)}, stopped after {span(stop)}"


def woken(wakes: dict[str, Document]) -> Iterator[str]:
    """Say how often it woke from each depth, and how long callers waited for that."""
    for depth, held in wakes.items():
        count = held["count"]
        often = "once" if count == 1 else f"{count} times"
        quantiles = ", ".join(_quantile(held, share) for share in ("p50", "p99"))
        yield f"{often} from {depth}, {quantiles}"


def _quantile(held: Document, share: str) -> str:
    """Return a quantile as a bound; behind the last bucket only the other side is known."""
    bound = held[f"{share}_ms"]
    if bound is not None:
        return f"{share} ≤ {bound:g} ms"
    last = max(int(name) for name in held["buckets"] if name != _BEYOND)
    return f"{share} > {last} ms"
