"""Which act each route of the API is: one table. What is not in it is refused to everybody.

The acts themselves, and who may do them, are in :mod:`codestore.domain.roles`.
"""

from collections.abc import Mapping
from typing import Final

from fastapi import Request

_PLACE: Final = "/api/environments/{owner}/{name}/services/{service}"
PUBLIC: Final = frozenset(
    {
        ("POST", "/api/login"),
        ("POST", "/api/login/device"),
        ("POST", "/api/login/device/token"),
    }
)
"""Routes that ask for no token: they are where one comes from."""
ACTS: Final[Mapping[tuple[str, str], str]] = {
    ("GET", "/api/whoami"): "whoami",
    ("POST", "/api/logout"): "logout",
    ("PUT", "/api/password"): "password",
    ("GET", "/api/tokens"): "token:list",
    ("POST", "/api/tokens"): "token:add",
    ("DELETE", "/api/tokens/{id_}"): "token:revoke",
    ("GET", "/api/users"): "user:list",
    ("POST", "/api/users"): "user:add",
    ("PUT", "/api/users/{ref}/role"): "user:role",
    ("POST", "/api/users/{ref}/password"): "user:password",
    ("DELETE", "/api/users/{ref}"): "user:remove",
    ("GET", "/api/organizations"): "organization:list",
    ("POST", "/api/organizations"): "organization:add",
    ("GET", "/api/audit"): "audit",
    ("GET", "/api/audit/verification"): "audit:verify",
    ("GET", "/api/services"): "service:list",
    ("POST", "/api/services"): "service:create",
    ("GET", "/api/services/{ref}"): "service:info",
    ("DELETE", "/api/services/{ref}"): "service:remove",
    ("GET", "/api/services/{ref}/versions"): "version:list",
    ("POST", "/api/services/{ref}/versions"): "push",
    ("GET", "/api/services/{ref}/source"): "pull",
    ("POST", "/api/services/{ref}/promote"): "promote",
    ("POST", "/api/services/{ref}/roll"): "service:roll",
    ("GET", "/api/projects"): "project:list",
    ("POST", "/api/projects"): "project:create",
    ("GET", "/api/projects/{ref}"): "project:info",
    ("DELETE", "/api/projects/{ref}"): "project:delete",
    ("GET", "/api/projects/{ref}/services"): "project:service:list",
    ("POST", "/api/projects/{ref}/services"): "project:service:add",
    ("GET", "/api/projects/{ref}/services/{service}"): "project:service:info",
    ("DELETE", "/api/projects/{ref}/services/{service}"): "project:service:remove",
    ("POST", "/api/projects/{ref}/services/{service}/promote"): "project:service:promote",
    ("POST", "/api/projects/{ref}/services/{service}/roll"): "project:service:roll",
    ("GET", f"{_PLACE}/rollout"): "rollout:status",
    ("POST", f"{_PLACE}/rollout/pause"): "rollout:pause",
    ("POST", f"{_PLACE}/rollout/resume"): "rollout:resume",
    ("POST", f"{_PLACE}/rollout/abort"): "rollout:abort",
    ("POST", f"{_PLACE}/database/password"): "db:rotate",
    ("POST", f"{_PLACE}/hold"): "hold",
    ("DELETE", f"{_PLACE}/hold"): "unhold",
    ("GET", "/api/projects/{ref}/clients"): "project:client:list",
    ("POST", "/api/projects/{ref}/clients"): "project:client:add",
    ("DELETE", "/api/projects/{ref}/clients/{client}"): "project:client:remove",
    ("POST", "/api/projects/{ref}/keys"): "key:rotate",
    ("POST", "/api/services/{ref}/keys"): "key:rotate",
    ("GET", "/api/secrets"): "secret:list",
    ("POST", "/api/secrets/reveal"): "secret:reveal",
    ("POST", "/api/secrets/rekey"): "secret:rekey",
    ("POST", "/api/secrets"): "secret:add",
    ("PUT", "/api/secrets"): "secret:update",
    ("DELETE", "/api/secrets/{key}"): "secret:remove",
    ("GET", "/api/secrets/{key}/explain"): "secret:explain",
    ("GET", "/api/environments"): "env:list",
    ("GET", "/api/environments/{owner}/{name}"): "env:show",
    ("GET", "/api/verifications"): "env:verify",
    ("POST", "/api/verifications"): "env:verify",
    ("GET", "/api/deployments/{id_}"): "service:info",
    ("GET", "/api/status"): "status",
    ("GET", "/api/plan"): "plan",
    ("GET", "/api/events"): "events",
    ("GET", "/api/events/stream"): "events",
    ("GET", "/api/logs"): "logs",
    ("GET", "/api/logs/stream"): "logs",
    ("GET", "/api/watch"): "watch",
    ("GET", "/api/sla"): "sla",
    ("GET", "/metrics"): "metrics",
}


def act_of(request: Request) -> str:
    """Return the act that a request is. Raises KeyError for a route that has none."""
    return ACTS[request.method, request.scope["route"].path]
