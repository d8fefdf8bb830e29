"""The application: every router, every error in one shape, docs at /docs."""

from fastapi import FastAPI

from codestore import __version__
from codestore.api import metrics, problems, projects, rollouts, secrets, services, sla, watching
from codestore.api.desk import Desk
from codestore.api.limits import BodyLimit


def create_app(desk: Desk) -> FastAPI:
    """Build the API over a desk."""
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
    for room in (services, projects, secrets, rollouts, watching, sla, metrics):
        app.include_router(room.router)
    return app
