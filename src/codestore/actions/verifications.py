"""Verifications: asked for, and what the last one of each deployment has found."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from codestore.actions import queries
from codestore.actions.office import Office
from codestore.actions.queries import Placed, Selection
from codestore.domain.faults import conflict
from codestore.domain.services import User
from codestore.domain.verification import Progress, Verification, verifiable


@dataclass(frozen=True, slots=True)
class Report:
    """Deployments with their last verification, if there ever was one.

    ``neighbours`` is everything that the user's organization has, by id.
    """

    verified: list[tuple[Placed, Verification | None]]
    neighbours: Mapping[str, Placed]


async def verify(office: Office, user: User, chosen: Selection) -> Report:
    """Ask for a verification of these deployments, as far as something of them is live."""
    neighbours, live = await _chosen(office, user, chosen)
    if not live:
        raise conflict(
            "nothing_live",
            "Nothing to verify",
            "Nothing is live there, so there is no inside from which its walls could be tried.",
            "cs env:list",
        )
    async with office.store.begin() as records:
        now = office.clock.now()
        for placed in live:
            held = placed.deployment
            known = await records.get(Verification, held.id)
            known = known or Verification(held.id, held.organization, Progress.ASKED)
            asked = replace(known, state=Progress.ASKED, asked_at=now, asked_by=user.name)
            await records.put(asked)
        places = ", ".join(path_of(placed) for placed in live)
        await office.audit(records, user, "env:verify", places)
    return await _report(office, user, live, neighbours)


async def last(office: Office, user: User, chosen: Selection) -> Report:
    """Return what was found last in these deployments, as far as something of them is live."""
    neighbours, live = await _chosen(office, user, chosen)
    return await _report(office, user, live, neighbours)


async def of_organization(office: Office, user: User) -> dict[str, Verification]:
    """Return every verification of the user's organization, by deployment."""
    async with office.store.begin() as records:
        found = await records.find(Verification, organization=user.organization)
    return {each.id: each for each in found}


def path_of(placed: Placed) -> str:
    """Return where a deployment is: ``shop/staging/blog``, or ``blog/private``."""
    if placed.project:
        return f"{placed.project}/{placed.environment}/{placed.service}"
    return f"{placed.service}/{placed.environment}"


async def _chosen(
    office: Office, user: User, chosen: Selection
) -> tuple[dict[str, Placed], list[Placed]]:
    """Return everything there is by id, and what of that is chosen and live."""
    seen = await queries.select(office, user, chosen)
    neighbours = {each.deployment.id: each for each in await queries.census(office, user)}
    live = [
        neighbours[held.deployment.id]
        for held in seen
        if verifiable(held.deployment) and held.deployment.id in neighbours
    ]
    return neighbours, sorted(live, key=path_of)


async def _report(
    office: Office, user: User, live: list[Placed], neighbours: Mapping[str, Placed]
) -> Report:
    found = await of_organization(office, user)
    return Report([(each, found.get(each.deployment.id)) for each in live], neighbours)
