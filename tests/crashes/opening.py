"""Whom a route lets in: said anew here, on purpose; it is not asked of those who decide it."""

from datetime import datetime, timedelta

from codestore.domain.deployments import Deployment
from codestore.domain.environments import Kind
from codestore.domain.keys import Key, KeyKind
from codestore.domain.routing import Route
from tests.crashes.ledger import Ledger


def in_force(ledger: Ledger, held: Deployment, now: datetime) -> set[str]:
    """Return the keys that open a deployment: developers' everywhere, clients' in production."""
    scope = held.project or held.service
    found = (noun for noun in ledger.nouns.values() if isinstance(noun, Key))
    return {
        key.sealed
        for key in found
        if key.scope == scope
        and (key.kind is KeyKind.DEVELOPER or held.kind is Kind.PRODUCTION)
        and (key.expires_at is None or now < key.expires_at)
    }


def opening(route: Route) -> set[str]:
    """Return the keys that the proxy lets in."""
    return {secret.reveal() for secret in (*route.keys, *(each.key for each in route.callers))}


def is_as_written(ledger: Ledger, held: Deployment, route: Route, now: datetime) -> bool:
    """Whether a route opens to whom it should; a key that ends this second may be in it."""
    if held.kind is Kind.DEMO:
        return not opening(route)
    least, most = (in_force(ledger, held, at) for at in (now, now - timedelta(seconds=1)))
    return least <= opening(route) <= most
