"""Mistakes that somebody could make: small patches, each of which the harness must catch.

A figure of crashes survived says nothing if the harness would not have noticed. When a text is not
found any more because the platform has changed, change the patch with it: the mistake is still
possible.
"""

from tests.crashes.bugs.bug import Bug
from tests.crashes.bugs.keys import OPENING
from tests.crashes.bugs.people import PEOPLE
from tests.crashes.bugs.plans import PLANS
from tests.crashes.bugs.secrets import KEPT
from tests.crashes.bugs.turns import TURNS

BUGS: tuple[Bug, ...] = (*TURNS, *PLANS, *PEOPLE, *KEPT, *OPENING)

__all__ = ["BUGS", "Bug"]
