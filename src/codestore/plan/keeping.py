"""What stays runnable: whatever runs or may be gone back to, and the newest of each service."""

from collections import defaultdict
from collections.abc import Iterable

from codestore.domain.deployments import Deployment
from codestore.domain.versions import Number, Version


def ready_digests(
    versions: Iterable[Version], deployments: Iterable[Deployment], count: int
) -> frozenset[str]:
    """Return the digests of the ``count`` newest versions of each service, and of all in use.

    In use is what a deployment wants, what serves there, and what served there before.
    """
    of_service: dict[str, list[Version]] = defaultdict(list)
    for version in versions:
        of_service[version.service].append(version)
    digests = set()
    for own in of_service.values():
        own.sort(key=lambda version: Number.parse(version.number), reverse=True)
        digests |= {version.digest for version in own[:count]}
    for deployment in deployments:
        status = deployment.status
        digests.add(deployment.spec.digest)
        digests |= {held.digest for held in (status.live, status.previous) if held is not None}
    return frozenset(digests)
