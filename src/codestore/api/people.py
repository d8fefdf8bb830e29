"""Handlers for people: logging in and out, tokens, users, organizations, the audit log."""

from typing import Annotated

from fastapi import APIRouter, Query

from codestore.actions import accounts, auditing, devices, people
from codestore.actions.accounts import Issued, Login
from codestore.actions.people import Admitted
from codestore.api.desk import MAX_PAGE, MAX_SEQUENCE, DeskDep, PageDep, SessionDep, UserDep
from codestore.domain.audit import Entry
from codestore.domain.faults import invalid
from codestore.domain.names import shown
from codestore.domain.people import Token
from codestore.domain.roles import Role
from codestore.domain.secret import Secret
from codestore.domain.services import User
from codestore.ports import Pending
from codestore.wire import Listing
from codestore.wire.people import (
    DeviceLogin,
    DeviceView,
    EntryView,
    LoggedIn,
    LoggedOut,
    NewDeviceLogin,
    NewLogin,
    NewOrganization,
    NewPassword,
    NewRole,
    NewToken,
    NewUser,
    OrganizationView,
    Profile,
    TokenView,
    UserView,
    Verification,
)

router = APIRouter(prefix="/api", tags=["people"])


@router.post("/login", status_code=201)
async def log_in(body: NewLogin, desk: DeskDep) -> LoggedIn:
    """Log in to a local account: a fresh token for its password."""
    login = Login(body.organization, body.name, Secret(body.password), body.label)
    return logged_in(await accounts.log_in(desk.office, desk.doorman, login))


@router.post("/login/device", status_code=201)
async def begin_device(desk: DeskDep) -> DeviceView:
    """Begin to log in by the OpenID provider: a code to enter in a browser."""
    asked = await devices.begin(desk.provider)
    return DeviceView(
        asked.device_code.reveal(),
        asked.user_code,
        asked.uri,
        asked.complete_uri,
        asked.expires_in,
        asked.interval,
    )


@router.post("/login/device/token")
async def collect_device(body: NewDeviceLogin, desk: DeskDep) -> DeviceLogin:
    """Ask whether the code was entered; a fresh token once it was."""
    code = Secret(body.device_code)
    found = await devices.collect(desk.office, desk.provider, code, body.label)
    if isinstance(found, Pending):
        return DeviceLogin(None, found.slower)
    return DeviceLogin(logged_in(found), False)


@router.post("/logout")
async def log_out(desk: DeskDep, session: SessionDep) -> LoggedOut:
    """End the token that is used, unless it is the one in the platform's own folder."""
    return LoggedOut(await accounts.log_out(desk.office, *session))


@router.get("/whoami")
async def whoami(user: UserDep) -> Profile:
    """Tell who you are."""
    return profile(user)


@router.put("/password", status_code=204)
async def change_password(body: NewPassword, desk: DeskDep, user: UserDep) -> None:
    """Set your own password."""
    before = None if body.before is None else Secret(body.before)
    after = Secret(body.password)
    await accounts.change_password(desk.office, desk.doorman, user, (before, after))


@router.get("/tokens")
async def list_tokens(desk: DeskDep, user: UserDep, page: PageDep) -> Listing[TokenView]:
    """List your tokens."""
    found = await accounts.tokens(desk.office, user, page)
    items = [token_view(each) for each in found]
    return Listing(items, page.following(found))


@router.post("/tokens", status_code=201)
async def add_token(body: NewToken, desk: DeskDep, user: UserDep) -> TokenView:
    """Make another token of yours; it is told this once."""
    issued = await accounts.issue_token(desk.office, user, body.label, body.days)
    return token_view(issued.token, issued.secret)


@router.delete("/tokens/{id_}", status_code=204)
async def revoke_token(id_: str, desk: DeskDep, user: UserDep) -> None:
    """End one of your tokens."""
    await accounts.revoke_token(desk.office, user, id_)


@router.get("/users")
async def list_users(desk: DeskDep, user: UserDep, page: PageDep) -> Listing[UserView]:
    """List the users of your organization."""
    found = await people.users(desk.office, user, page)
    items = [_user(each) for each in found]
    return Listing(items, page.following(found))


@router.post("/users", status_code=201)
async def add_user(body: NewUser, desk: DeskDep, user: UserDep) -> UserView:
    """Add somebody to your organization; the password that is drawn is told this once."""
    role = _role(body.role)
    return _admitted(await people.add_user(desk.office, user, body.name, role, body.email))


@router.put("/users/{ref}/role")
async def set_role(ref: str, body: NewRole, desk: DeskDep, user: UserDep) -> UserView:
    """Give somebody another role."""
    return _user(await people.set_role(desk.office, user, ref, _role(body.role)))


@router.post("/users/{ref}/password", status_code=201)
async def draw_password(ref: str, desk: DeskDep, user: UserDep) -> UserView:
    """Draw another password for somebody who forgot theirs; their tokens end."""
    return _admitted(await people.draw_password(desk.office, user, ref))


@router.delete("/users/{ref}", status_code=204)
async def remove_user(
    ref: str,
    desk: DeskDep,
    user: UserDep,
    heir: Annotated[str | None, Query(max_length=100)] = None,
) -> None:
    """Remove somebody; their tokens end at once, what they own goes to ``heir``."""
    await people.remove_user(desk.office, user, ref, heir)


@router.get("/organizations")
async def list_organizations(
    desk: DeskDep, user: UserDep, page: PageDep
) -> Listing[OrganizationView]:
    """List every organization of the platform."""
    found = await people.organizations(desk.office, page)
    items = [OrganizationView(each.id, each.created_at) for each in found]
    return Listing(items, page.following(found))


@router.post("/organizations", status_code=201)
async def add_organization(body: NewOrganization, desk: DeskDep, user: UserDep) -> OrganizationView:
    """Make an organization with its first owner, whose password is told this once."""
    admitted = await people.add_organization(desk.office, user, body.name, body.owner)
    return OrganizationView(body.name, desk.office.clock.now(), _admitted(admitted))


@router.get("/audit")
async def list_entries(
    desk: DeskDep,
    user: UserDep,
    after: Annotated[int | None, Query(ge=0, le=MAX_SEQUENCE)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
) -> Listing[EntryView]:
    """List what people changed: the newest entries, or those after a number."""
    found = await auditing.entries(desk.office, user, after, limit)
    return Listing([_entry(each) for each in found], str(found[-1].sequence) if found else None)


@router.get("/audit/verification")
async def verify(
    desk: DeskDep, user: UserDep, noted: Annotated[str | None, Query(max_length=100)] = None
) -> Verification:
    """Check the audit log from its first entry on; ``noted`` is a seal that must be in it."""
    finding = await auditing.verify(desk.office, user, noted)
    chain = finding.chain
    whole = chain.broken_at is None and finding.found is not False
    return Verification(whole, chain.sequence, chain.seal, chain.broken_at, finding.found)


def profile(user: User) -> Profile:
    """Show who somebody is."""
    return Profile(user.id, user.name, user.organization, user.role.value)


def logged_in(issued: Issued) -> LoggedIn:
    """Show who logged in, with the token, this once."""
    return LoggedIn(profile(issued.user), token_view(issued.token, issued.secret))


def token_view(token: Token, secret: Secret | None = None) -> TokenView:
    """Show a token; the secret only when it was just made."""
    told = None if secret is None else secret.reveal()
    return TokenView(token.id, token.label, token.created_at, token.expires_at, told)


def _user(user: User) -> UserView:
    return UserView(user.id, user.name, user.organization, user.role.value, user.email)


def _admitted(admitted: Admitted) -> UserView:
    view = _user(admitted.user)
    view.password = admitted.password.reveal()
    return view


def _entry(entry: Entry) -> EntryView:
    deed = entry.deed
    told = (deed.at, deed.by, deed.act, deed.subject, deed.detail)
    return EntryView(entry.sequence, *told, entry.seal)


def _role(word: str) -> Role:
    try:
        return Role(word)
    except ValueError as error:
        raise invalid(
            "bad_role",
            "No such role",
            f'"{shown(word)}" is not a role.',
            hint=f"Use one of {', '.join(role.value for role in Role)}.",
        ) from error
