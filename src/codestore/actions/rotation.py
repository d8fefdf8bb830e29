"""Database passwords: replaced by a rollout of the same version, which drops nothing."""

from dataclasses import dataclass, replace
from datetime import timedelta

from codestore.actions.office import Office, emit_asked
from codestore.actions.places import Found, Place, find_place
from codestore.domain.deployments import Deployment, require_idle, with_new_login
from codestore.domain.environments import POLICIES
from codestore.domain.faults import conflict
from codestore.domain.services import User
from codestore.domain.versions import Version

_SLACK = timedelta(seconds=30)  # between the end of a drain and the moment nobody is left


@dataclass(frozen=True, slots=True)
class Replaced:
    """A replacement that was accepted. There is no way back to a password that is gone."""

    found: Found


async def rotate_password(office: Office, user: User, place: Place) -> Replaced:
    """Give a deployment's database another password; instances get it one after the other.

    Until the last one that has the old one is gone, both let in; then only the new one does, and
    whoever is connected by the old one is cut off.
    """
    act = "replace its password"
    async with office.store.begin() as records:
        found = await find_place(records, user, place, act)
    async with office.change(found.deployment) as records:
        found = await find_place(records, user, place, act)
        held = found.deployment
        require_idle(held)
        versions = await records.find(Version, service=held.service, number=held.spec.number)
        _require_database(found, versions[0])
        _require_settled(office, held)
        wish = office.wish(user, f"replace the database password of {found.service.name}")
        after = with_new_login(held, wish)
        await records.put(after)
        await emit_asked(records, wish, after)
        await office.audit(records, user, "db:rotate", found.path)
    return Replaced(replace(found, deployment=after))


def _require_database(found: Found, version: Version) -> None:
    if version.seal.manifest.database and found.deployment.status.live is not None:
        return
    raise conflict(
        "no_database",
        "There is no database",
        f"What serves in {found.deployment.kind} of {found.service.name} has no database.",
        f"cs service:info {found.service.name}",
    )


def _require_settled(office: Office, held: Deployment) -> None:
    """Refuse while instances may be leaving that have the password before the present one.

    There are two logins, by turns: the next one is that of the password before.
    """
    live = held.status.live
    if live is None or not held.spec.login:
        return
    until = live.since + timedelta(seconds=POLICIES[held.kind].drain) + _SLACK
    if office.clock.now() < until:
        raise conflict(
            "still_leaving",
            "Somebody has an older password still",
            f"Instances of before {live.since:%H:%M:%S} UTC may be finishing their requests.",
            f"Try again after {until:%H:%M:%S} UTC.",
        )
