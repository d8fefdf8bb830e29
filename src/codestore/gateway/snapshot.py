"""What Envoy should hold, as values: versioned resources, and the way from one set to another.

A version is a digest of the resource itself. Two control processes that want the same thing
therefore agree on every version, and an Envoy that outlives one is told nothing twice by the next.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment


class Kind(StrEnum):
    """The kinds of resource handed out, by the type URL that xDS knows them by."""

    CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
    ENDPOINTS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
    SCOPE = "type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration"


@dataclass(frozen=True, slots=True)
class Resource:
    """One named thing of one kind. ``body`` is its serialized protobuf (it may contain keys)."""

    kind: Kind
    name: str
    version: str
    body: bytes = field(repr=False)

    @classmethod
    def of(cls, kind: Kind, name: str, message: Any) -> "Resource":
        """Freeze a protobuf message under a name; the version follows from its content."""
        body: bytes = message.SerializeToString(deterministic=True)
        return cls(kind, name, sha256(body).hexdigest()[:16], body)


@dataclass(frozen=True, slots=True)
class Delta:
    """What to tell a client so that it holds what is wanted."""

    upserts: tuple[Resource, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything wanted at one moment. ``number`` grows with every change of one publisher."""

    number: int
    by_kind: Mapping[Kind, Mapping[str, Resource]]

    @classmethod
    def of(cls, number: int, resources: Iterable[Resource]) -> "Snapshot":
        """Sort resources by kind and name; of two with the same name the later one counts."""
        by_kind: dict[Kind, dict[str, Resource]] = {kind: {} for kind in Kind}
        for resource in resources:
            by_kind[resource.kind][resource.name] = resource
        return cls(number, by_kind)

    def wants(self, kind: Kind, name: str, version: str) -> bool:
        """Tell whether exactly this version of a resource is wanted."""
        resource = self.by_kind[kind].get(name)
        return resource is not None and resource.version == version

    def endpoints(self, name: str) -> Resource:
        """Return where requests of a cluster go, whether or not that is a resource of its own."""
        if known := self.by_kind[Kind.ENDPOINTS].get(name):
            return known
        held = self.by_kind[Kind.CLUSTER].get(name)
        gone = ClusterLoadAssignment(cluster_name=name)
        assignment = Cluster.FromString(held.body).load_assignment if held else gone
        return Resource.of(Kind.ENDPOINTS, name, assignment)

    def replacing(self, old: Iterable[Resource], new: Iterable[Resource]) -> "Snapshot":
        """Return the next snapshot: this one without ``old``, with ``new``."""
        by_kind = {kind: dict(named) for kind, named in self.by_kind.items()}
        for resource in old:
            by_kind[resource.kind].pop(resource.name, None)
        for resource in new:
            by_kind[resource.kind][resource.name] = resource
        return Snapshot(self.number + 1, by_kind)


def delta(wanted: Mapping[str, Resource], held: Mapping[str, str]) -> Delta:
    """Compare what is wanted with the versions a client holds (name → version)."""
    return Delta(
        upserts=tuple(r for name, r in wanted.items() if held.get(name) != r.version),
        removed=tuple(name for name in held if name not in wanted),
    )
