"""An operation as a value: what is done, in the middle of what, and how time goes on then."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Op:
    """``name`` is one of the acts. ``wait`` says how people or time go on afterwards: not at all,
    for some turns (a number), until every change is ``concluded``, or until all is ``quiet``.

    It is done in the middle of what is done then, after ``during`` pauses; or turns are taken in
    the middle of it, after ``split`` pauses.
    """

    name: str
    arguments: tuple[Any, ...] = ()
    wait: str = "concluded"
    during: int = 0
    split: int = 0

    def __str__(self) -> str:
        said = [repr(self.name), repr(self.arguments), f"wait={self.wait!r}"]
        said += [f"during={self.during}"] if self.during else []
        said += [f"split={self.split}"] if self.split else []
        return f"Op({', '.join(said)})"
