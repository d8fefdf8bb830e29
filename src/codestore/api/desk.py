"""What the handlers share: the office, the bulletin, and what only the composition root knows."""

from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Query, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from codestore.actions.accounts import authenticate
from codestore.actions.devices import Provider
from codestore.actions.doorman import Doorman
from codestore.actions.office import Office
from codestore.actions.queries import Seen, Selection
from codestore.actions.waiting import Bulletin
from codestore.api.acts import act_of
from codestore.domain.canary import Trial
from codestore.domain.deployments import Deployment
from codestore.domain.people import Token
from codestore.domain.roles import require_role
from codestore.domain.secret import Secret
from codestore.domain.services import User
from codestore.ports import Page, Reading
from codestore.wire import PlanView
from codestore.wire.status import StatusView

MAX_PAGE = 500
MAX_SEQUENCE = 2**63 - 1  # the most the store can compare


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything a handler may use."""

    office: Office
    bulletin: Bulletin
    url_of: Callable[[str], str]
    plan_of: Callable[[Seen], Awaitable[PlanView | None]]
    status: Callable[[User], Awaitable[StatusView]]
    tally_of: Callable[[str], Awaitable[Trial | None]]
    uploads: str
    reading: Callable[[Collection[str]], Awaitable[Reading]]
    let_in: Callable[[Iterable[Deployment]], Awaitable[None]]
    ring: Callable[[], None]
    doorman: Doorman = field(default_factory=Doorman)
    provider: Provider | None = None


_bearer = HTTPBearer(auto_error=False, description="The token of your profile.")


def desk_of(request: Request) -> Desk:
    """Return the desk of this application."""
    desk: Desk = request.app.state.desk
    return desk


DeskDep = Annotated[Desk, Depends(desk_of)]


async def session_of(
    request: Request,
    desk: DeskDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> tuple[User, Token]:
    """Return who is asking, by which token.

    Raises a Fault without a valid token, and when the role does not allow the route's act.
    """
    secret = Secret(credentials.credentials if credentials else "")
    user, token = await authenticate(desk.office, secret)
    require_role(user.role, user.organization, act_of(request))
    return user, token


SessionDep = Annotated[tuple[User, Token], Depends(session_of)]


async def user_of(session: SessionDep) -> User:
    """Return who is asking."""
    return session[0]


UserDep = Annotated[User, Depends(user_of)]


def page_of(
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
    after: Annotated[str | None, Query(max_length=100)] = None,
) -> Page:
    """Return which part of a list is asked for."""
    return Page(limit, after)


PageDep = Annotated[Page, Depends(page_of)]


def selection_of(
    service: Annotated[str | None, Query(max_length=100)] = None,
    project: Annotated[str | None, Query(max_length=100)] = None,
    environment: Annotated[str | None, Query(max_length=100)] = None,
) -> Selection:
    """Return which deployments a question is about."""
    return Selection(service, project, environment)


SelectionDep = Annotated[Selection, Depends(selection_of)]
