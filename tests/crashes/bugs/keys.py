"""Mistakes with what opens: keys at the gateway, and passwords of databases."""

from tests.crashes.bugs.bug import Bug

DEPLOYMENTS = "domain/deployments.py"
GROWING = "plan/growing.py"
KEYS = "actions/keys.py"
LEAVING = "plan/leaving.py"
LETTING_IN = "reconcile/letting_in.py"
STANDBY = "plan/standby.py"

OPENING: tuple[Bug, ...] = (
    Bug(
        "a key that was replaced opens for ever",
        KEYS,
        "    await records.remove(*change.ended)\n",
        "",
    ),
    Bug(
        "a key has no end",
        KEYS,
        "    await records.put(*change.retiring, fresh)\n",
        "    await records.put(fresh)\n",
    ),
    Bug(
        "the keys of a client outlive it",
        KEYS,
        "await records.remove(*own, Usage(client.id), client)",
        "await records.remove(Usage(client.id), client)",
    ),
    Bug(
        "a turn brings a revoked key back",
        LETTING_IN,
        "await doors.gateway.publish(await _opened(route, deployment, doors))",
        "await doors.gateway.publish(route)",
    ),
    Bug(
        "a change of keys is never told to the gateway",
        LETTING_IN,
        "    if after != route:\n",
        "    if False:\n",
    ),
    Bug(
        "nobody looks after a gateway that was away when a key ended",
        LETTING_IN,
        "            await _wake(touched, doors)\n",
        "            pass\n",
    ),
    Bug(
        "a new password is not made known to the database",
        GROWING,
        "        due.append(Planned(OpenLogin(wanted.database, wanted.login), why))\n",
        "        pass\n",
    ),
    Bug(
        "an older password opens for ever",
        LEAVING,
        '    return [Planned(step, "nobody has an older password any more")]',
        "    return []",
    ),
    Bug(
        "the older password ends under whoever has it",
        LEAVING,
        """    if len(own) < len(observed.view.instances):
        return []
    step""",
        "    step",
    ),
    Bug(
        "a password is replaced by itself",
        DEPLOYMENTS,
        "login=deployment.spec.login + 1)",
        "login=deployment.spec.login)",
    ),
    Bug(
        "what failed keeps its new password",
        DEPLOYMENTS,
        "        login=live.login,\n",
        "",
    ),
    Bug(
        "a password that came to nothing opens while it sleeps",
        STANDBY,
        "closing = [] if stay else locking(list(observed.view.instances), wanted, observed)",
        "closing: list[Planned] = []",
    ),
)
