"""Proving who you are: personal tokens, and the password of a local account."""

import asyncio
from dataclasses import dataclass

from codestore.actions.doorman import Doorman
from codestore.actions.office import Office
from codestore.domain import passwords
from codestore.domain.faults import Fault, FaultKind, Letter, not_found
from codestore.domain.names import LONGEST_NAME, shown
from codestore.domain.people import (
    TOKEN_PREFIX,
    USUAL_DAYS,
    Password,
    Token,
    checked_label,
    end_of,
    token_digest,
)
from codestore.domain.secret import Secret
from codestore.domain.services import User
from codestore.ports import Page

_NOBODY = passwords.unmatched()
"""Compared with when there is no such account, so that finding out takes as long."""


@dataclass(frozen=True, slots=True)
class Login:
    """What somebody gives to log in to a local account; ``label`` is what the token is called."""

    organization: str
    name: str
    password: Secret
    label: str


@dataclass(frozen=True, slots=True)
class Issued:
    """A token that was made for a user: the only time that it is seen."""

    user: User
    token: Token
    secret: Secret


async def authenticate(office: Office, secret: Secret) -> tuple[User, Token]:
    """Return the user a token belongs to, and what is kept of it."""
    digest = token_digest(secret)
    async with office.store.begin() as records:
        found = await records.find(Token, digest=digest)
        user = await records.get(User, found[0].user if found else "")
    if not found or user is None or not found[0].opens(digest, office.clock.now()):
        raise Fault(
            Letter(
                FaultKind.UNAUTHENTICATED,
                "unauthenticated",
                "Not logged in",
                "The API needs a token that is valid and has not expired.",
                "cs login ORGANIZATION/NAME --url URL",
            )
        )
    return user, found[0]


async def log_in(office: Office, doorman: Doorman, login: Login) -> Issued:
    """Return a fresh token to whoever knows the password of a local account."""
    label = checked_label(login.label)
    account = login.organization[:LONGEST_NAME], login.name[:LONGEST_NAME]  # it is remembered
    doorman.admit(account, office.clock.now())
    async with office.store.begin() as records:
        found = await records.find(User, organization=login.organization, name=login.name)
        kept = await records.get(Password, found[0].id if found else "")
    async with doorman.turn():
        hashed = kept.hashed if kept is not None else _NOBODY
        right = await asyncio.to_thread(passwords.matches, login.password, hashed)
    if kept is None or not right:
        raise _wrong_password("There is no such account with this password.")
    doorman.succeeded(account)
    return await issue_token(office, found[0], label, USUAL_DAYS, act="login")


async def issue_token(
    office: Office, user: User, label: str, days: int, act: str = "token:add"
) -> Issued:
    """Return a fresh token of a user who has proved who they are."""
    now = office.clock.now()
    secret = Secret(f"{TOKEN_PREFIX}{office.clock.token()}")
    ends = end_of(days, now)
    token = Token(
        office.new_id("tok"), user.id, checked_label(label), token_digest(secret), now, ends
    )
    async with office.store.begin() as records:
        if await records.get(User, user.id) is None:  # removed meanwhile
            raise not_found("user", user.name)
        await records.put(token)
        await office.audit(records, user, act, token.id, f"{token.label}, until {ends:%Y-%m-%d}")
    return Issued(user, token, secret)


async def tokens(office: Office, user: User, page: Page) -> list[Token]:
    """Return the user's own tokens."""
    async with office.store.begin() as records:
        return await records.find(Token, page, user=user.id)


async def revoke_token(office: Office, user: User, ref: str) -> Token:
    """End one of the user's own tokens, by id."""
    async with office.store.begin() as records:
        found = await records.find(Token, user=user.id, id=ref)
        if not found:
            raise not_found("token", shown(ref), "cs token:list shows yours.")
        await records.remove(found[0])
        await office.audit(records, user, "token:revoke", found[0].id, found[0].label)
    return found[0]


async def log_out(office: Office, user: User, token: Token) -> bool:
    """End the token that is used; whether it was: the one in the platform's own folder stays."""
    if token.expires_at is None:
        return False
    async with office.store.begin() as records:
        await records.remove(token)
        await office.audit(records, user, "logout", token.id, token.label)
    return True


def _wrong_password(detail: str) -> Fault:
    return Fault(
        Letter(FaultKind.UNAUTHENTICATED, "wrong_password", "Not logged in", detail, "Try again.")
    )


async def change_password(
    office: Office, doorman: Doorman, user: User, words: tuple[Secret | None, Secret]
) -> None:
    """Set the user's own password, from the first of the words to the second.

    Who has a password already must know it.
    """
    before, after = words
    passwords.checked(after)
    async with office.store.begin() as records:
        kept = await records.get(Password, user.id)
    if kept is not None:
        account = user.organization, user.name
        doorman.admit(account, office.clock.now())
        async with doorman.turn():
            right = await asyncio.to_thread(passwords.matches, before or Secret(""), kept.hashed)
        if not right:
            raise _wrong_password("This is not the password so far.")
        doorman.succeeded(account)
    fresh = await hashed(office, user, after)
    async with office.store.begin() as records:
        await records.put(fresh)
        await office.audit(records, user, "password", user.name)


async def hashed(office: Office, user: User, password: Secret) -> Password:
    """Return what is kept of a password."""
    kept = await asyncio.to_thread(passwords.hashed, password, office.clock.token())
    return Password(user.id, kept)
