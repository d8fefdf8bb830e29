"""Handlers of verifications: asked for, and read. Whoever is verified is told later."""

from collections.abc import Mapping

from fastapi import APIRouter

from codestore.actions import verifications
from codestore.actions.queries import Placed
from codestore.actions.verifications import Report, path_of
from codestore.api.desk import DeskDep, SelectionDep, UserDep
from codestore.domain.verification import PLATFORM, Finding, Verdict, Verification, Wall, count
from codestore.wire import Listing
from codestore.wire.verifications import FindingView, VerificationView, WallView

router = APIRouter(prefix="/api/verifications", tags=["watching"])


@router.post("", status_code=202)
async def verify(desk: DeskDep, user: UserDep, chosen: SelectionDep) -> Listing[VerificationView]:
    """Have the walls around deployments tried from inside; it is done when ``state`` says so."""
    report = await verifications.verify(desk.office, user, chosen)
    desk.ring()
    return _listing(report)


@router.get("")
async def last(desk: DeskDep, user: UserDep, chosen: SelectionDep) -> Listing[VerificationView]:
    """Show what was found last."""
    return _listing(await verifications.last(desk.office, user, chosen))


def verification_view(
    placed: Placed, found: Verification | None, neighbours: Mapping[str, Placed]
) -> VerificationView:
    """Show what was found in a deployment; of its neighbours, only those given are named."""
    told = found if found is not None and found.at is not None else None
    return VerificationView(
        deployment=placed.deployment.id,
        project=placed.project or None,
        service=placed.service,
        environment=placed.environment,
        state=found.state.value if found else "never",
        asked_by=found.asked_by or None if found else None,
        asked_at=found.asked_at if found else None,
        at=told.at if told else None,
        release=told.release if told else None,
        verdict=_verdict(told) if told else None,
        unproved=told.unproved or None if told else None,
        walls={wall.value: _wall(told.findings, wall) for wall in Wall} if told else {},
        findings=[_finding(each, neighbours) for each in told.findings] if told else [],
    )


def _listing(report: Report) -> Listing[VerificationView]:
    return Listing(
        [verification_view(placed, held, report.neighbours) for placed, held in report.verified]
    )


def _verdict(found: Verification) -> str:
    if found.breaches:
        return "reached"
    return "unproved" if found.unproved else "refused"


def _wall(findings: tuple[Finding, ...], wall: Wall) -> WallView:
    at = [each for each in findings if each.wall is wall]
    return WallView(*(count(at, each) for each in Verdict))


def _finding(found: Finding, neighbours: Mapping[str, Placed]) -> FindingView:
    named = [path_of(neighbours[id_]) for id_ in found.whose if id_ in neighbours]
    named += ["the platform" for id_ in found.whose if id_ == PLATFORM]
    return FindingView(
        wall=found.wall.value,
        tried=found.aim.value,
        verdict=found.verdict.value,
        answer=found.answer,
        whose=sorted(named),
        others=len(found.whose) - len(named),
    )
