"""Who belongs to an organization, in which role; and organizations themselves."""

from dataclasses import dataclass, replace
from typing import Final

from codestore.actions.accounts import hashed
from codestore.actions.office import Office, find_named
from codestore.domain.faults import conflict, invalid, not_found
from codestore.domain.names import check_name, shown
from codestore.domain.people import Organization, Password, Token
from codestore.domain.roles import Role
from codestore.domain.secret import Secret
from codestore.domain.services import Project, Service, User
from codestore.ports import Page, Records

_INITIAL_DIGITS: Final = 24  # of a password that is drawn: 96 bits
_LONGEST_EMAIL: Final = 254


@dataclass(frozen=True, slots=True)
class Admitted:
    """A user with a password that was drawn: the only time that it is seen."""

    user: User
    password: Secret


async def organizations(office: Office, page: Page) -> list[Organization]:
    """Return every organization of the platform."""
    async with office.store.begin() as records:
        return await records.find(Organization, page)


async def add_organization(office: Office, user: User, name: str, owner: str) -> Admitted:
    """Make an organization with its first owner."""
    check_name("organization", name)
    first = _user(office, owner, name, Role.OWNER, "")
    admitted, kept = await _admitted(office, first)
    async with office.store.begin() as records:
        if await records.get(Organization, name) is not None:
            raise conflict(
                "organization_exists",
                "Organization exists",
                f"There is an organization called {name} already.",
                "Choose another name.",
            )
        await records.put(Organization(name, office.clock.now()), first, kept)
        await office.audit(records, user, "organization:add", name, f"owner {owner}")
    return admitted


async def users(office: Office, user: User, page: Page) -> list[User]:
    """Return the users of the user's organization."""
    async with office.store.begin() as records:
        return await records.find(User, page, organization=user.organization)


async def add_user(office: Office, user: User, name: str, role: Role, email: str) -> Admitted:
    """Add somebody to the user's organization."""
    fresh = _user(office, name, user.organization, role, email)
    admitted, kept = await _admitted(office, fresh)
    async with office.store.begin() as records:
        await _require_free_email(records, fresh)
        await records.put(fresh, kept)
        await office.audit(records, user, "user:add", name, f"as {role}")
    return admitted


async def set_role(office: Office, user: User, ref: str, role: Role) -> User:
    """Give somebody of the organization another role; one owner must stay."""
    async with office.store.begin() as records:
        await records.trail.last(user.organization)  # held: two owners may not go at once
        before = await _find_user(records, user, ref)
        after = replace(before, role=role)
        if after == before:
            return after
        await _require_another_owner(records, before)
        await records.put(after)
        detail = f"{before.role} became {role}"
        await office.audit(records, user, "user:role", before.name, detail)
    return after


async def draw_password(office: Office, user: User, ref: str) -> Admitted:
    """Draw another password for somebody who forgot theirs; their tokens go."""
    async with office.store.begin() as records:
        whom = await _find_user(records, user, ref)
    admitted, kept = await _admitted(office, whom)
    async with office.store.begin() as records:
        await _find_user(records, user, whom.id)
        await records.put(kept)
        await _revoke_all(records, whom)
        await office.audit(records, user, "user:password", whom.name)
    return admitted


async def remove_user(office: Office, user: User, ref: str, heir: str | None) -> User:
    """Remove somebody; their tokens end at once. What they own goes to ``heir``."""
    async with office.store.begin() as records:
        await records.trail.last(user.organization)  # held: two owners may not go at once
        gone = await _find_user(records, user, ref)
        await _require_another_owner(records, gone)
        owned = await _owned(records, gone)
        if owned:
            await _hand_over(records, user, gone, owned, heir)
        await _revoke_all(records, gone)
        await records.remove(Password(gone.id, ""), gone)
        detail = f"{len(owned)} of theirs went to {heir}" if owned else ""
        await office.audit(records, user, "user:remove", gone.name, detail)
    return gone


async def _hand_over(
    records: Records,
    user: User,
    gone: User,
    owned: list[Service | Project],
    heir: str | None,
) -> None:
    if heir is None:
        names = ", ".join(held.name for held in owned[:5])
        raise conflict(
            "user_owns",
            "Things belong to them",
            f"{gone.name} owns {len(owned)} services and projects: {names}.",
            f"Say who gets them: cs user:remove {gone.name} --heir NAME",
        )
    new = await _find_user(records, user, heir)
    if new.id == gone.id:
        raise invalid("bad_heir", "Not an heir", f"{gone.name} is who goes.")
    await records.put(*(replace(held, owner=new.id) for held in owned))


async def _owned(records: Records, owner: User) -> list[Service | Project]:
    services = await records.find(Service, organization=owner.organization)
    projects = await records.find(Project, organization=owner.organization)
    owned: list[Service | Project] = [*services, *projects]
    return [held for held in owned if held.owner == owner.id]


async def _revoke_all(records: Records, whom: User) -> None:
    await records.remove(*await records.find(Token, user=whom.id))


async def _find_user(records: Records, user: User, ref: str) -> User:
    """Return a user of the same organization by name or id."""
    found = await find_named(records, User, user, ref)
    if found is None:
        raise not_found("user", shown(ref), "cs user:list shows them.")
    return found


async def _require_another_owner(records: Records, leaving: User) -> None:
    """Refuse to take an organization its last owner."""
    everybody = await records.find(User, organization=leaving.organization)
    owners = [held.id for held in everybody if held.role is Role.OWNER]
    if owners == [leaving.id]:
        raise conflict(
            "last_owner",
            "The last owner",
            f"{leaving.name} is the only owner of {leaving.organization}.",
            "Make another one first: cs user:role NAME owner",
        )


async def _require_free_email(records: Records, fresh: User) -> None:
    same = {"organization": fresh.organization, "email": fresh.email}
    if fresh.email and await records.find(User, **same):
        raise conflict(
            "email_exists",
            "The address is taken",
            f"Somebody in {fresh.organization} has this address already.",
            "cs user:list shows who.",
        )


def _user(office: Office, name: str, organization: str, role: Role, email: str) -> User:
    check_name("user", name)
    email = email.strip().lower()
    plain = email.isascii() and email.isprintable() and " " not in email
    if email and not (plain and "@" in email[1:-1] and len(email) <= _LONGEST_EMAIL):
        raise invalid("bad_email", "Not an address", f'"{shown(email)}" is not an e-mail address.')
    return User(office.new_id("usr"), name, organization, role, email)


async def _admitted(office: Office, user: User) -> tuple[Admitted, Password]:
    drawn = Secret(office.clock.token()[:_INITIAL_DIGITS])
    return Admitted(user, drawn), await hashed(office, user, drawn)
