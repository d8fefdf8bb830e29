"""From what the actions return to what crosses HTTP."""

from collections.abc import Callable, Iterable, Sequence

from codestore.actions.queries import Seen
from codestore.api.dials import canary_view, hold_view, limits_view, marks_view, scale_view
from codestore.api.problems import problem
from codestore.api.standby import standby_view, wakes_views
from codestore.domain.canary import Trial
from codestore.domain.deployments import Deployment
from codestore.domain.environments import POLICIES, Environment, Policy
from codestore.domain.events import Event
from codestore.domain.instances import LogLine
from codestore.domain.overrides import Override, rest
from codestore.domain.routing import Access
from codestore.domain.secret import Secret
from codestore.domain.services import Project, Service
from codestore.domain.versions import Version
from codestore.wire import (
    DeploymentView,
    EnvironmentServices,
    EnvironmentView,
    EventView,
    InclusionView,
    LogView,
    ProjectView,
    ReleaseView,
    RolloutView,
    ServiceView,
    VersionView,
    Wait,
)

UrlOf = Callable[[str], str]


def deployment_view(seen: Seen, url_of: UrlOf) -> DeploymentView:
    """Show a deployment. The version is the one that serves; before there is one, none."""
    deployment = seen.deployment
    live, previous = deployment.status.live, deployment.status.previous
    failure = deployment.status.failure
    since, reason = deployment.explanation or (None, None)
    policy, override = _rules(seen)
    asleep_after, gone_after = rest(policy, override) or (None, None)
    return DeploymentView(
        id=deployment.id,
        environment=seen.environment.name,
        project=deployment.project,
        service=deployment.service,
        name=seen.service.name,
        version=live.number if live else None,
        digest=live.digest if live else None,
        url=url_of(deployment.hash) if seen.open else None,
        key=seen.key.reveal() if seen.key else None,
        access=policy.access.value,
        state=deployment.state.value,
        instances=deployment.status.serving,
        database=seen.database,
        generation=deployment.spec.generation,
        deployed_at=live.since if live else None,
        scale=scale_view(deployment.spec.dials.scale, policy, override),
        limits=limits_view(policy, override),
        failure=problem(failure.letter) if failure and seen.open else None,
        since=since,
        reason=reason if seen.open else None,
        standby=standby_view(deployment.status.standby),
        standby_after=asleep_after,
        stop_after=gone_after,
        wakes=wakes_views(deployment.status.wakes),
        previous=previous.number if previous else None,
        hold=hold_view(deployment.spec.dials.hold),
        marks=marks_view(deployment.status.marks),
        canary=canary_view(deployment),
    )


def rollout_view(deployment: Deployment, shown: DeploymentView, trial: Trial | None) -> RolloutView:
    """Show the change under way, if there is one; a removal is none that goes anywhere."""
    spec = deployment.spec
    if not deployment.busy or spec.removed:
        return RolloutView(shown, under_way=False)
    return RolloutView(
        deployment=shown,
        under_way=True,
        from_version=shown.version,
        to_version=spec.number,
        asked_by=spec.asked_by,
        asked_at=spec.asked_at,
        requests=trial.requests if trial else None,
        failures=trial.failures if trial else None,
        left=trial.left if trial else None,
        waiting=trial.waiting if trial else None,
        aborted_by=spec.dials.aborted_by,
    )


def service_view(service: Service, seen: Sequence[Seen], url_of: UrlOf) -> ServiceView:
    """Show a service."""
    own = [held for held in seen if held.deployment.project is None]
    return ServiceView(
        service=service.id,
        name=service.name,
        owner=service.owner,
        organization=service.organization,
        environments=_by_environment(own, url_of),
    )


def version_view(service: Service, version: Version, public: str | None) -> VersionView:
    """Show a version."""
    return VersionView(
        service=service.name,
        version=version.number,
        digest=version.digest,
        notes=version.notes,
        pushed_by=version.pushed_by,
        pushed_at=version.pushed_at,
        published_at=version.published_at,
        latest=version.number == public,
    )


def project_view(
    project: Project,
    environments: Iterable[Environment],
    seen: Sequence[Seen],
    key: Secret | None,
    url_of: UrlOf,
) -> ProjectView:
    """Show a project with everything in it."""
    return ProjectView(
        project=project.id,
        name=project.name,
        description=project.description,
        owner=project.owner,
        organization=project.organization,
        developer_key=key.reveal() if key else None,
        environments={
            environment.name: EnvironmentServices(
                {
                    held.service.id: deployment_view(held, url_of)
                    for held in seen
                    if held.environment.id == environment.id
                }
            )
            for environment in environments
        },
    )


def inclusion_view(
    project: Project, service: Service, seen: Sequence[Seen], url_of: UrlOf
) -> InclusionView:
    """Show a service in a project."""
    return InclusionView(
        project=project.id,
        service=service.id,
        name=service.name,
        environments=_by_environment(seen, url_of),
    )


def release_view(seen: Seen, url_of: UrlOf) -> ReleaseView:
    """Show a change of version: the one that was asked for."""
    spec = seen.deployment.spec
    return ReleaseView(
        service=seen.service.id,
        version=spec.number,
        digest=spec.digest,
        environment=seen.environment.name,
        deployment=deployment_view(seen, url_of),
    )


def environment_view(
    owner: str, environment: Environment, seen: Sequence[Seen], url_of: UrlOf
) -> EnvironmentView:
    """Show an environment and its policy."""
    policy = environment.policy
    return EnvironmentView(
        id=environment.id,
        name=environment.name,
        kind=environment.kind.value,
        owner=owner,
        generation=environment.generation,
        access=Access(policy.access).value,
        standby=policy.standby,
        stop=policy.stop,
        queue=policy.queue,
        queue_timeout=policy.queue_timeout,
        instances=f"{policy.min_instances}–{policy.max_instances}",
        deployments=[deployment_view(held, url_of) for held in seen],
    )


def event_view(event: Event, environment: str, service: str) -> EventView:
    """Show an event."""
    return EventView(
        sequence=event.sequence,
        at=event.at,
        environment=environment,
        service=service,
        project=event.project,
        deployment=event.deployment,
        generation=event.generation,
        kind=event.kind.value,
        message=event.message,
        step=event.step,
        duration=event.duration,
        problem=problem(event.letter) if event.letter else None,
    )


def log_view(seen: Seen, line: LogLine) -> LogView:
    """Show a log line."""
    return LogView(
        at=line.at,
        environment=seen.environment.name,
        service=seen.service.name,
        source=line.source,
        stream=line.stream,
        text=line.text,
    )


def waits(deployments: Iterable[Deployment]) -> list[Wait]:
    """Return what to follow until a change is concluded."""
    return [Wait(held.id, held.kind.value, held.spec.generation) for held in deployments]


def _rules(seen: Seen) -> tuple[Policy, Override]:
    """Return what holds for this very deployment: its environment's policy, and its manifest."""
    kind = seen.deployment.kind
    overrides = seen.manifest.overrides if seen.manifest else {}
    return POLICIES[kind], overrides.get(kind, Override())


def _by_environment(seen: Sequence[Seen], url_of: UrlOf) -> dict[str, DeploymentView]:
    return {held.environment.name: deployment_view(held, url_of) for held in seen}
