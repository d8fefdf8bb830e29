"""Which secrets a change gets: said once, before anything of it is started, and kept with it."""

from codestore.domain.deployments import Deployment, brought_back, sets_of, with_secrets
from codestore.reconcile.doors import Doors
from codestore.reconcile.subject import Subject, subject_of
from codestore.safe import Safe


async def resolve_secrets(asked: Deployment, doors: Doors) -> Subject | None:
    """Say which secrets the change under way gets, unless that is said; read it with them.

    On a way back they are those with which the version served here last; else what is set now.
    """
    async with doors.store.begin() as records:
        safe = await Safe.unlock(records, doors.keyring, doors.clock, asked.organization)
        deployment = await records.get(Deployment, asked.id)
        if deployment is None:
            return None
        if not deployment.unresolved:
            return await subject_of(records, doors, deployment)
        before, spec = brought_back(deployment), deployment.spec
        if before is None:
            values = await safe.resolve(deployment.scope)
        else:
            values = await safe.opened(before)
        fresh = await safe.keep(asked.id, spec.number, spec.revision, values)
        after = with_secrets(deployment, fresh)
        await records.put(after)
        await safe.forget_sets(asked.id, but=sets_of(after))
        return await subject_of(records, doors, after)
