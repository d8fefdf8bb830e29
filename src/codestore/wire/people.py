"""Who you are."""

from dataclasses import dataclass


@dataclass(slots=True)
class Profile:
    """Who you are."""

    id: str
    name: str
    organization: str
