"""Who may do what in an organization: one table, from acts to the least role that may do them.

An act is named like the command that asks for it. Beside it stands what the table cannot know: a
service's private environment is its owner's alone, whatever the role (``require_owner``).
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from codestore.domain.faults import Fault, FaultKind, Letter


class Role(StrEnum):
    """What a user is in their organization: each may do what those below it may."""

    OWNER = "owner"
    MAKER = "maker"
    VIEWER = "viewer"


HOME: Final = "local"
"""The organization that a platform is born with; its owners run the platform."""

_RANK: Final = {Role.VIEWER: 0, Role.MAKER: 1, Role.OWNER: 2}
_ACTS: Final[Mapping[Role, tuple[str, ...]]] = {
    Role.VIEWER: (
        "whoami logout password token:add token:list token:revoke user:list",
        "status metrics events logs plan watch sla",
        "service:list service:info version:list project:list project:info env:list env:show",
        "project:service:list project:service:info rollout:status secret:list secret:explain",
    ),
    Role.MAKER: (
        "service:create push promote pull service:roll service:remove",
        "project:create project:delete",
        "project:service:add project:service:promote project:service:roll project:service:remove",
        "rollout:pause rollout:resume rollout:abort hold unhold",
        "secret:add secret:update secret:remove secret:reveal",
        "project:client:add project:client:list project:client:remove key:rotate db:rotate",
        "env:verify",
    ),
    Role.OWNER: (
        "user:add user:role user:password user:remove audit audit:verify",
        "organization:add organization:list secret:rekey secret:rekey-master",
    ),
}
LEAST: Final[Mapping[str, Role]] = {
    act: role for role, lines in _ACTS.items() for line in lines for act in line.split()
}
"""The least role for each act."""
OF_THE_PLATFORM: Final = frozenset({"organization:add", "organization:list", "secret:rekey-master"})
"""Acts that are for owners of ``HOME`` only: they are about every organization."""


def may(role: Role, organization: str, act: str) -> bool:
    """Whether a role in an organization may do something. Raises KeyError for an unknown act."""
    enough = _RANK[role] >= _RANK[LEAST[act]]
    return enough and (act not in OF_THE_PLATFORM or organization == HOME)


def require_role(role: Role, organization: str, act: str) -> None:
    """Refuse an act that the role does not allow."""
    if may(role, organization, act):
        return
    place, whose = (f" of {HOME}", f" of {organization}") if act in OF_THE_PLATFORM else ("", "")
    raise Fault(
        Letter(
            FaultKind.FORBIDDEN,
            "not_allowed",
            "Not allowed",
            f"{act} is for the role {LEAST[act]}{place} and above; yours is {role}{whose}.",
            "Ask an owner of your organization; cs user:list shows them.",
        )
    )
