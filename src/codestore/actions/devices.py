"""Logging in by an OpenID provider: it says who somebody is, an owner has said that they belong."""

from dataclasses import dataclass, replace

from codestore.actions.accounts import Issued, issue_token
from codestore.actions.office import Office
from codestore.domain.faults import Fault, FaultKind, Letter, not_found
from codestore.domain.people import USUAL_DAYS, checked_label
from codestore.domain.secret import Secret
from codestore.domain.services import User
from codestore.ports import Asked, Identities, Identity, Pending

_LONGEST_CODE = 4_096  # characters


@dataclass(frozen=True, slots=True)
class Provider:
    """An OpenID provider, and the one organization whose people it knows."""

    identities: Identities
    organization: str


async def begin(provider: Provider | None) -> Asked:
    """Ask the provider for a code that somebody enters in a browser."""
    return await _configured(provider).identities.ask()


async def collect(
    office: Office, provider: Provider | None, device_code: Secret, label: str
) -> Issued | Pending:
    """Return a fresh token once somebody has entered the code, and is a user here."""
    known = _configured(provider)
    label = checked_label(label)
    if not 0 < len(device_code.reveal()) <= _LONGEST_CODE:
        raise _stranger("That is not a code.")
    found = await known.identities.collect(device_code)
    if isinstance(found, Pending):
        return found
    user = await _user(office, known.organization, found)
    return await issue_token(office, user, label, USUAL_DAYS, act="login")


async def _user(office: Office, organization: str, identity: Identity) -> User:
    """Return the user with this address.

    From the first time on it must be the same person: a provider may give an address to another.
    """
    async with office.store.begin() as records:
        found = await records.find(User, organization=organization, email=identity.email)
        if not found or found[0].subject not in ("", identity.subject):
            raise _stranger(f"Nobody in {organization} has your e-mail address.")
        user = replace(found[0], subject=identity.subject)
        if user != found[0]:
            await records.put(user)
    return user


def _configured(provider: Provider | None) -> Provider:
    if provider is None:
        raise not_found("provider", "OpenID", "Log in with an account: cs login ORGANIZATION/NAME")
    return provider


def _stranger(detail: str) -> Fault:
    hint = "Ask an owner: cs user:add NAME --email ADDRESS"
    return Fault(Letter(FaultKind.UNAUTHENTICATED, "not_a_user", "Not logged in", detail, hint))
