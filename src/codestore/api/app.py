"""The application: every router, every error in one shape, docs at /docs."""

from collections.abc import Collection

from fastapi import FastAPI

from codestore import __version__
from codestore.api import (
    keys,
    metrics,
    openapi,
    people,
    problems,
    projects,
    rollouts,
    secrets,
    services,
    sla,
    verifications,
    watching,
)
from codestore.api.desk import Desk
from codestore.api.doorway import Doorway
from codestore.api.limits import BodyLimit
from codestore.api.rates import Rates

RATE = 50.0
"""Requests per second that a token is good for, if nothing else is said."""


def create_app(desk: Desk, names: Collection[str] = (), rate: float = RATE) -> FastAPI:
    """Build the API over a desk, for a platform of these names, at a rate for each token."""
    app = FastAPI(
        title="codestore",
        version=__version__,
        description="Every service in the environments it needs, kept apart.",
        redoc_url=None,
        redirect_slashes=False,  # a redirect would repeat the Host header of whoever asks
    )
    app.state.desk = desk
    problems.install(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(Rates, rate=rate)
    app.add_middleware(Doorway, names=names)  # the last one is the first to see a request
    for room in (
        people,
        services,
        projects,
        keys,
        secrets,
        rollouts,
        watching,
        sla,
        verifications,
        metrics,
    ):
        app.router.routes += room.router.routes  # including them would build each one again
    openapi.install(app)
    return app
