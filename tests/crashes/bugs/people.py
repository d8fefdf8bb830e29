"""Mistakes in what people ask for, and in how a status moves."""

from tests.crashes.bugs.bug import Bug

PROJECTS = "actions/projects.py"
SERVICES = "actions/services.py"
DEPLOYMENTS = "domain/deployments.py"
DIALS = "domain/dials.py"
MARKING = "domain/marking.py"

PEOPLE: tuple[Bug, ...] = (
    Bug(
        "the other's dial is taken as it was",
        DIALS,
        "if getattr(theirs, each.name) != getattr(before, each.name)",
        "if getattr(theirs, each.name) == getattr(before, each.name)",
    ),
    Bug(
        "what returned is not held",
        MARKING,
        "            dials=replace(undisturbed(spec.dials), hold=Hold(PLATFORM, now, reason)),\n",
        "",
    ),
    Bug(
        "what was left behind is not marked",
        MARKING,
        "        marks = marking(marks, Mark(live.number, letter.detail, now, PLATFORM))\n",
        "        pass\n",
    ),
    Bug(
        "what failed stays wanted",
        MARKING,
        "_undisturbed(as_live(deployment).spec), status.live",
        "_undisturbed(deployment.spec), status.live",
    ),
    Bug(
        "what served before is forgotten",
        MARKING,
        "previous = None if spec.returning else live",
        "previous = None",
    ),
    Bug(
        "a wake is counted each time it is seen",
        MARKING,
        "    if status.woken_at is not None and at <= status.woken_at:\n",
        "    if False:\n",
    ),
    Bug(
        "a service is written without its places",
        SERVICES,
        "office.new_key(service.id), *deployments)\n",
        """office.new_key(service.id))
    async with office.store.begin() as records:
        await records.put(*deployments)
""",
    ),
    Bug(
        "a push writes its version first",
        SERVICES,
        "        await records.put(version, private)\n",
        """        await records.put(version)
    async with office.store.begin() as records:
        await records.put(private)
""",
    ),
    Bug(
        "a change upon a change",
        DEPLOYMENTS,
        """    if not deployment.busy:
        return
""",
        "    return\n",
    ),
    Bug(
        "what was read before is written",
        PROJECTS,
        """        wish = office.wish(user, f"remove {service.name} from {project.name}")
        after = tuple(doomed(deployment, wish) for deployment in held.values())
        await records.put(*after)
        await emit_asked(records, wish, *after)
""",
        """        wish = office.wish(user, f"remove {service.name} from {project.name}")
        after = tuple(doomed(deployment, wish) for deployment in held.values())
    async with office.store.begin() as records:
        await records.put(*after)
        await emit_asked(records, wish, *after)
""",
    ),
    Bug(
        "a removal has no generation of its own",
        DEPLOYMENTS,
        """        generation=deployment.spec.generation + 1,
        asked_by""",
        "        asked_by",
    ),
    Bug(
        "a change turns the dials back",
        DEPLOYMENTS,
        "        dials=undisturbed(deployment.spec.dials),\n",
        "        dials=Dials(),\n",
    ),
)
