"""Steps on a terminal: what runs now turns, what is over stays with its time."""

from rich.console import Console
from rich.status import Status
from rich.text import Text


class Spinner:
    """A line at the bottom of standard error, below the lines that are final."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._status = Status("", console=self._console)

    def start(self) -> None:
        """Begin to turn."""
        self._status.start()

    def turn(self, line: str) -> None:
        """Say what runs now."""
        self._status.update(Text(line))

    def keep(self, line: str) -> None:
        """Leave a final line above."""
        self._console.print(Text(line))

    def stop(self) -> None:
        """End, and leave no trace."""
        self._status.stop()
