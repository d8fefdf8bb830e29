"""What happens while a change is waited for: a spinner on a terminal, plain lines in a pipe."""

import sys
from types import TracebackType
from typing import Any, Protocol

from codestore.cli.loading import load
from codestore.cli.output import Output
from codestore.cli.view import seconds

_WAITING = "waiting for the platform…"
_STEPS = frozenset({"step_started", "step_done", "step_failed"})
# ``live`` and ``failed`` are not told here: only the end of the wait says how it went. How the
# version before slept and woke meanwhile is no step of the change.
_SILENT = frozenset({"asked", "live", "failed", "removed", "standby", "woken", "wake_failed"})


class Teller(Protocol):
    """Where steps are shown: started once, then turned and kept to, and stopped."""

    def start(self) -> None:
        """Begin."""

    def turn(self, line: str) -> None:
        """Say what runs now."""

    def keep(self, line: str) -> None:
        """Say what is over."""

    def stop(self) -> None:
        """End."""


class Plain:
    """Lines on standard error, one for each step that is over."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def start(self) -> None:
        """Nothing to begin."""

    def turn(self, line: str) -> None:
        """A pipe is told when the step is over."""

    def keep(self, line: str) -> None:
        """Print a line."""
        self._output.note(line)

    def stop(self) -> None:
        """Nothing to end."""


class Steps:
    """Shows the events of a change; ``names`` tells the environment of each deployment."""

    def __init__(self, output: Output, names: dict[str, str]) -> None:
        self._names = names
        self._running: dict[str, str] = {}
        self._idle = _WAITING
        self._teller: Teller = (
            load("forms.spinner").Spinner() if sys.stderr.isatty() else Plain(output)
        )

    def __enter__(self) -> "Steps":
        self._teller.start()
        self._teller.turn(self._idle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._teller.stop()

    def say(self, line: str) -> None:
        """Tell something that is not a step."""
        self._teller.keep(line)

    def show(self, event: dict[str, Any]) -> None:
        """Tell an event."""
        id_, kind = event["deployment"], event["kind"]
        if kind in _SILENT:
            return
        environment = self._names.get(id_) or event["environment"]
        line = f"{environment:<12} {event['message']}"
        if kind == "step_started":
            self._running[id_] = f"{line}…"
        elif kind in _STEPS:
            self._running.pop(id_, None)
            self._teller.keep(_over(f"{line}…", event))
        else:
            self._teller.keep(line)
        if kind == "canary":
            self._idle = f"{line}…"  # for as long as its share is held there is nothing to do
        self._teller.turn("\n  ".join(self._running.values()) or self._idle)


def _over(line: str, event: dict[str, Any]) -> str:
    took = event.get("duration")
    word = "  failed" if event["kind"] == "step_failed" else ""
    return f"{line}{word}" + ("" if took is None else f"  {seconds(took)}")
