"""The end of a deployment in the records, and of a service when its last one is gone."""

from collections.abc import Sequence

from codestore.domain.deployments import Deployment
from codestore.domain.environments import Environment
from codestore.domain.events import Event, EventKind, event_of
from codestore.domain.keys import Key
from codestore.domain.services import Service
from codestore.domain.verification import Verification
from codestore.domain.versions import Version
from codestore.ports import Records
from codestore.reconcile.doors import Doors
from codestore.safe import Safe


async def bury(deployment: Deployment, untold: Sequence[Event], doors: Doors) -> None:
    """Forget a deployment that is gone, in one transaction with what goes with it.

    All deployments of the service are locked first, in one order: two of them may be buried at
    the same time, and one of both has to see that it was the last.
    """
    now = doors.clock.now()
    async with doors.store.begin() as records:
        safe = await Safe.unlock(records, doors.keyring, doors.clock, deployment.organization)
        found = await records.find(Deployment, service=deployment.service)
        ids = sorted(held.id for held in found)
        left = {id_ for id_ in ids if await records.get(Deployment, id_) is not None}
        if deployment.id not in left:
            return
        gone = event_of(deployment, EventKind.REMOVED, "removed, with its data", now)
        await records.emit(*untold, gone)
        verified = await records.find(Verification, id=deployment.id)
        await records.remove(deployment, *verified)
        await safe.forget_sets(deployment.id)
        await records.remove(*await safe.at(deployment.scope))
        if left == {deployment.id}:
            await _bury_service(records, deployment.service)
            await records.remove(*await safe.of_service(deployment.service))


async def _bury_service(records: Records, id_: str) -> None:
    service = await records.get(Service, id_)
    if service is None:
        return
    await records.remove(
        *await records.find(Key, scope=id_),
        *await records.find(Version, service=id_),
        *await records.find(Environment, service=id_),
        service,
    )
