"""A mistake that somebody could make, as a patch."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bug:
    """``old`` stands exactly once in ``file`` (below ``codestore``); ``new`` takes its place."""

    name: str
    file: str
    old: str
    new: str
