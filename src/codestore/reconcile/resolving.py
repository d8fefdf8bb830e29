"""Which secrets a change gets: said once, before anything of it is started, and kept with it."""

from codestore.domain.deployments import Deployment, brought_back, sets_of, with_secrets
from codestore.domain.services import Service
from codestore.ports import Records
from codestore.reconcile.doors import Doors
from codestore.safe import Safe


async def resolve_secrets(id_: str, doors: Doors) -> None:
    """Say which secrets the change under way gets, unless that is said.

    On a way back they are those with which the version served here last; else what is set now.
    """
    async with doors.store.begin() as records:
        safe = await unlocked(id_, records, doors)
        deployment = await records.get(Deployment, id_)
        if safe is None or deployment is None or not deployment.unresolved:
            return
        before, spec = brought_back(deployment), deployment.spec
        if before is None:
            values = await safe.resolve(deployment.scope)
        else:
            values = await safe.opened(before)
        fresh = await safe.keep(id_, spec.number, spec.revision, values)
        after = with_secrets(deployment, fresh)
        await records.put(after)
        await safe.forget_sets(id_, but=sets_of(after))


async def unlocked(id_: str, records: Records, doors: Doors) -> Safe | None:
    """Open the safe of the organization that a deployment is of; ``None`` when it is gone."""
    for deployment in await records.find(Deployment, id=id_):
        service = await records.get(Service, deployment.service)
        if service is not None:
            organization = service.organization
            return await Safe.unlock(records, doors.keyring, doors.clock, organization)
    return None
