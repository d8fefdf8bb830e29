"""What to try from inside a deployment, by what is known of its neighbours."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from codestore.domain.deployments import Deployment
from codestore.domain.environments import POLICIES
from codestore.domain.keys import key_scope
from codestore.domain.routing import Access
from codestore.domain.verification import PLATFORM, SKIPPED, Aim, Attempt, verifiable

MOST: Final = 100
"""Neighbours that are tried at a time; where there are more, they have turns."""
METADATA: Final = (
    "169.254.169.254:80",  # Amazon, Google, Microsoft, Oracle, DigitalOcean, Hetzner, OpenStack
    "169.254.170.2:80",  # Amazon's containers
    "100.100.100.200:80",  # Alibaba
    "[fd00:ec2::254]:80",  # Amazon, over IPv6
)
SERVER: Final = ("codestore", "postgres", "template1")
"""Databases of the server that are no deployment's."""
_OF_THE_PLATFORM: Final = (
    *(Aim.MASTER_KEY, Aim.KEYRING, Aim.PROFILE, Aim.BUNDLES, Aim.CLUSTER, Aim.PLATFORM_LOGS),
    *(Aim.PROCESSES, Aim.KEEPER, Aim.ADMIN, Aim.DISCOVERY, Aim.API, Aim.NAMES),
)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another deployment: where it answers (words of the driver), and whether it has a database.

    ``digest`` is a salted one of its password: it opens nothing, but the password is known by it.
    """

    deployment: Deployment
    url: str = ""
    addresses: tuple[str, ...] = ()
    database: bool = False
    digest: str = ""

    @property
    def asleep(self) -> bool:
        """Whether a caller would wake it."""
        return self.deployment.status.standby is not None


def drawn(
    deployment: Deployment, others: Iterable[Deployment], turn: str
) -> tuple[list[Deployment], list[Deployment]]:
    """Return the neighbours to try this time, and those that have to wait; ``turn`` decides."""
    found = [each for each in others if each.id != deployment.id and verifiable(each)]
    if len(found) > MOST:
        found.sort(key=lambda each: hashlib.sha256(f"{turn}/{each.id}".encode()).digest())
    return found[:MOST], found[MOST:]


def attempts(
    deployment: Deployment, neighbours: Sequence[Neighbour], waiting: Sequence[Deployment] = ()
) -> list[Attempt]:
    """Return everything to try, beginning with what must succeed.

    What is ``waiting`` is noted as not tried.
    """
    own = [Attempt(aim, deployment.id) for aim in (Aim.OWN_HOME, Aim.OWN_DATABASE)]
    platform = [Attempt(aim, PLATFORM) for aim in _OF_THE_PLATFORM]
    platform += [Attempt(Aim.STATE, PLATFORM, name) for name in SERVER]
    platform += [Attempt(Aim.METADATA, PLATFORM, address) for address in METADATA]
    theirs = [each for held in neighbours for each in _at(deployment, held)]
    return [*own, *platform, *theirs, *(Attempt(Aim.MORE, each.id) for each in waiting)]


def answered_here(attempt: Attempt) -> str | None:
    """Return the answer of what need not be tried inside, if that is so."""
    if attempt.aim is Aim.MORE:
        return f"{SKIPPED}: at most {MOST} neighbours at a time, by turns"
    return None


def _at(deployment: Deployment, neighbour: Neighbour) -> list[Attempt]:
    other = neighbour.deployment
    own, live = deployment.status.live, other.status.live
    found = [Attempt(aim, other.id) for aim in (Aim.HOME, Aim.LOGS)]
    if live is not None and (own is None or live.digest != own.digest):  # the same is no secret
        found.append(Attempt(Aim.CODE, other.id, live.digest))
    if neighbour.database:
        found += [Attempt(aim, other.id, other.database) for aim in (Aim.DATABASE, Aim.ROLE)]
        found.append(Attempt(Aim.PASSWORD, other.id, neighbour.digest))
    found += [
        Attempt(
            Aim.PORT if address.startswith("tcp:") else Aim.SOCKET,
            other.id,
            address,
            quiet=neighbour.asleep,
        )
        for address in neighbour.addresses
    ]
    return found + _calls(deployment, neighbour)


def _calls(deployment: Deployment, neighbour: Neighbour) -> list[Attempt]:
    """Return what to try at the gateway, but for what opens to everybody, or to our key."""
    other = neighbour.deployment
    if POLICIES[other.kind].access is Access.PUBLIC:
        return []
    found = [Attempt(aim, other.id, neighbour.url) for aim in (Aim.NO_KEY, Aim.MADE_UP_KEY)]
    ours = key_scope(deployment)
    if ours and ours != key_scope(other):
        found.append(Attempt(Aim.OUR_KEY, other.id, other.hash))
    return found
