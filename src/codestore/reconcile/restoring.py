"""What the gateway should route when the control process starts: the routes as they were."""

from codestore.domain.deployments import Deployment
from codestore.domain.routing import Route
from codestore.plan.desired import desired, routed
from codestore.reconcile.doors import Doors
from codestore.reconcile.subject import read_subject


async def restored_routes(doors: Doors) -> list[Route]:
    """Return a route for every deployment that ever served, to the endpoints there are now.

    Where there is none, callers get a 503 until the loop has started an instance.
    """
    async with doors.store.begin() as records:
        deployments = await records.find(Deployment)
    routes = [await _route(held, doors) for held in deployments]
    return [route for route in routes if route is not None]


async def _route(deployment: Deployment, doors: Doors) -> Route | None:
    if deployment.status.live is None or deployment.spec.removed:
        return None
    async with doors.store.begin() as records:
        subject = await read_subject(records, doors.vault, deployment.id)
    if subject is None:
        return None
    wanted = desired(subject.deployment, subject.version.seal, subject.keys)
    view = await doors.driver.observe(deployment.id)
    unavailable = None if view.endpoints else "This service is being started."
    return routed(wanted.route, view.endpoints, deployment.status.live.revision, unavailable)
