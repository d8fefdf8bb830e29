"""Mistakes with secrets: who is given which, and how everything is sealed anew."""

from tests.crashes.bugs.bug import Bug

BURYING = "reconcile/burying.py"
CYCLE = "reconcile/cycle.py"
MARKING = "domain/marking.py"
PROJECTS = "actions/projects.py"
REKEYING = "actions/rekeying.py"
RESOLVING = "reconcile/resolving.py"
RESTORING = "reconcile/restoring.py"
SECRETS = "actions/secrets.py"
SUBJECT = "reconcile/subject.py"

KEPT: tuple[Bug, ...] = (
    Bug(
        "nobody says which secrets a change gets",
        CYCLE,
        "if not deployment.unresolved:",
        "if True:",
    ),
    Bug(
        "who serves meanwhile is given the secrets to come",
        SUBJECT,
        "secrets = (subject.secrets or {}).get(revision, {})",
        "secrets = (subject.secrets or {}).get(subject.deployment.spec.revision, {})",
    ),
    Bug(
        "who is woken after a restart is given no secrets",
        RESTORING,
        "secrets=secrets.get(each.id),",
        "secrets={},",
    ),
    Bug(
        "a way back is given what is set now",
        RESOLVING,
        "before, spec = brought_back(deployment), deployment.spec",
        "before, spec = None, deployment.spec",
    ),
    Bug(
        "a return by itself is given what is set now",
        MARKING,
        "secrets=None if secrets is None else replace(secrets, revision=generation),",
        "secrets=None,",
    ),
    Bug(
        "sets that may be needed are thrown away",
        RESOLVING,
        "await safe.forget_sets(asked.id, but=sets_of(after))",
        "await safe.forget_sets(asked.id, but=[fresh.id])",
    ),
    Bug(
        "a change of a secret reaches what is near only",
        SECRETS,
        "return [held for held in found if scope in chain_of(held.scope)]",
        "return [held for held in found if scope == held.scope]",
    ),
    Bug(
        "a secret is taken away and what runs keeps it",
        SECRETS,
        "    fresh = {name: value for name, value in values.items() if name != key}\n",
        "    fresh = dict(values)\n",
    ),
    Bug(
        "secrets outlive what they are of",
        BURYING,
        "        await safe.forget_sets(deployment.id)\n",
        "",
    ),
    Bug(
        "secrets outlive their project",
        PROJECTS,
        "        await records.remove(*await safe.of_project(project.id))\n",
        "",
    ),
    Bug(
        "a data key goes before what it seals",
        REKEYING,
        "sets = await records.find(SecretSet, Page(AT_ONCE), data_key=key.id)",
        "sets = list[SecretSet]()",
    ),
    Bug(
        "a master key goes before what it wraps is written",
        REKEYING,
        "        await records.put(*map(office.keyring.rewrap, stale))\n",
        """        await records.put(*map(office.keyring.rewrap, stale))
        office.keyring.finish({office.keyring.newest})
""",
    ),
    Bug(
        "secrets are not masked",
        SUBJECT,
        "masked=(*secrets, *_MASKED),",
        "masked=_MASKED,",
    ),
)
