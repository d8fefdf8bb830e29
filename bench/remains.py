"""What there is on the host, held against what there should be: nothing more, and nothing less."""

import asyncio
import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg

from codestore.databases.looking import role_of
from codestore.drivers.process.naming import SERVICE, TASK
from codestore.keeper.protocol.client import KeeperClient
from codestore.keeper.protocol.views import ChildView, Listing
from codestore.settings import Settings, read_settings
from codestore.vault import FileVault
from codestore.wiring.preparing import embedded_server
from tests.support.platform import Platform

OWN = ("api",)  # sockets of the platform itself
SPARE = re.compile(r"spare_[0-9a-f]{12}")
HASH = re.compile(r"\b[0-9a-f]{32}\b")
EVENTS = "codestore.events"
TWICE = f"""
SELECT deployment, data->>'generation',
       CASE WHEN data->>'kind' = 'removed' THEN 'removed' ELSE 'concluded' END, count(*)
  FROM {EVENTS} WHERE data->>'kind' IN ('live', 'failed', 'removed')
 GROUP BY 1, 2, 3 HAVING count(*) > 1
"""
SYSTEM = {"postgres", "template0", "template1", "codestore"}
Deployments = Mapping[str, Mapping[str, Any]]


def listing(platform: Platform) -> Listing:
    """Ask the keeper what it holds."""

    async def ask() -> Listing:
        keeper = await KeeperClient.connect(read_settings(platform.data).run / "keeper.sock")
        async with keeper:
            return await keeper.list()

    return asyncio.run(ask())


def instances(platform: Platform) -> list[ChildView]:
    """Return the instances that the keeper holds: some are forked, and do not look like one."""
    children = listing(platform).children
    return [child for child in children if child.label.get("kind") == SERVICE]


def _home(process: psutil.Process) -> str:
    """Return whose home a process has; a spare that ends while we look has none."""
    try:
        return Path(process.environ().get("HOME", "")).parent.name
    except psutil.NoSuchProcess:
        return ""


@dataclass(frozen=True, slots=True)
class Remains:
    """Looks at a platform on which nothing is being done."""

    platform: Platform
    keeper: int

    @property
    def settings(self) -> Settings:
        return read_settings(self.platform.data)

    def complaints(self, deployments: Deployments, digests: set[str]) -> list[str]:
        """Return what is there and should not be, or is not there and should be."""
        found = [
            *self._processes(deployments),
            *self._sockets(deployments),
            *self._databases(deployments),
            *self._folders(deployments, digests),
            *self._routes(deployments),
            *self._told(),
        ]
        return [f"{each}" for each in found]

    def _processes(self, deployments: Deployments) -> list[str]:
        """All processes that know this platform's folder are below the keeper, and are wanted."""
        keeper = psutil.Process(self.keeper)
        wrong = self._outside(keeper)
        running: Counter[str] = Counter()
        known = {each.pid: each for each in listing(self.platform).children if each.running}
        for child in keeper.children():
            label = known[child.pid].label if child.pid in known else {}
            name, kind = label.get("deployment", ""), label.get("kind", "")
            if child.pid not in known and _home(child).startswith("dep-"):
                wrong.append(f"a process that nobody knows: {child.pid} {child.cmdline()}")
            elif kind == SERVICE:
                running[name] += 1
                wrong += [] if name in deployments else [f"a process of what is gone: {name}"]
            elif kind == TASK:
                wrong.append(f"a task goes on: {name}")
        for id_, held in deployments.items():
            if running[id_] != held["instances"] and held["state"] == "ready":
                wrong.append(f"{id_} has {running[id_]} processes, says {held['instances']}")
            if held["standby"] and held["standby"]["depth"] == "stopped" and running[id_]:
                wrong.append(f"{id_} sleeps, and has {running[id_]} processes")
        return wrong

    def _outside(self, keeper: psutil.Process) -> list[str]:
        below = {self.keeper, os.getpid(), *(c.pid for c in keeper.children(recursive=True))}
        home, wrong = str(self.platform.home), []
        for process in psutil.process_iter():
            if process.pid in below:
                continue
            try:
                known = [process.cwd(), *process.cmdline(), *process.environ().values()]
            except psutil.Error:
                continue
            if any(home in word for word in known):
                wrong.append(f"a process outside: {process.pid} {process.cmdline()}")
        return wrong

    def _sockets(self, deployments: Deployments) -> list[str]:
        running = {each.name for each in instances(self.platform)}
        wrong = []
        for path in (self.settings.run / "s").iterdir():
            owner, _, rest = path.name.partition(".")
            if path.name in OWN:
                continue
            if owner not in deployments:
                wrong.append(f"a socket of what is gone: {path.name}")
            elif rest and rest != "held" and path.name not in running:
                wrong.append(f"a private socket of nobody: {path.name}")
        return wrong

    def events(self) -> Counter[str]:
        """Count what was told, by kind."""
        told = self._asked(f"SELECT data->>'kind', count(*) FROM {EVENTS} GROUP BY 1", "codestore")
        return Counter(dict(told))

    def _told(self) -> list[str]:
        """Return what was told more than once: how a change ended, or that something is gone."""
        found = self._asked(TWICE, "codestore")
        return [
            f"{id_} {generation}: {kind} {count} times" for id_, generation, kind, count in found
        ]

    def _asked(self, question: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Ask the platform's database server."""
        vault = FileVault.open_file(self.settings.master_key)
        url = embedded_server(self.settings, vault).admin_url.reveal()
        with psycopg.connect(url, dbname=database, autocommit=True) as connection:
            return connection.execute(question.encode()).fetchall()

    def _databases(self, deployments: Deployments) -> list[str]:
        names = {name for (name,) in self._asked("SELECT datname FROM pg_database")}
        logins = dict(self._asked("SELECT rolname, rolcanlogin FROM pg_roles"))
        wanted = {str(held["database"]) for held in deployments.values() if held["database"]}
        never = {str(h["database"]) for h in deployments.values() if h["version"] is None}
        names = {name for name in names if not SPARE.fullmatch(name)} - SYSTEM
        roles = {name for name in logins if not name.startswith("pg_")} - {"postgres"}
        seconds = {role_of(name, 1) for name in wanted} & roles
        wrong = [f"a database too many: {name}" for name in names - wanted]
        wrong += [f"a database is missing: {name}" for name in wanted - names - never]
        wrong += [f"a role too many: {name}" for name in roles - wanted - seconds]
        for name in wanted & roles:
            found = [role for role in (name, role_of(name, 1)) if logins.get(role)]
            wrong += [] if len(found) == 1 else [f"{name} is open by {found}"]
        return wrong + [f"a role is missing: {name}" for name in wanted - roles - never]

    def _folders(self, deployments: Deployments, digests: set[str]) -> list[str]:
        settings, wrong = self.settings, []
        for folder in (settings.work, settings.service_logs):
            for path in folder.iterdir():
                if path.name.startswith("dep-") and path.name not in deployments:
                    wrong.append(f"a folder of what is gone: {path}")
        bundles = {path.stem for path in (settings.artifacts / "bundles").iterdir()}
        wrong += [f"a bundle is missing: {digest[:12]}" for digest in digests - bundles]
        scratch = settings.artifacts / "scratch"
        wrong += [f"half made: {path}" for path in scratch.iterdir()]
        return wrong + [f"an upload that was cut: {path}" for path in settings.uploads.iterdir()]

    def _routes(self, deployments: Deployments) -> list[str]:
        transport = httpx.HTTPTransport(uds=str(self.settings.run / "admin.sock"))
        with httpx.Client(transport=transport, timeout=30) as web:
            dump = web.get("http://envoy/config_dump").text
        led = set(HASH.findall(dump))
        wanted = {str(held["url"]).rpartition("/")[2] for held in deployments.values()}
        wrong = [f"a route too many: {hash_}" for hash_ in led - wanted if dump.count(hash_) > 1]
        return wrong + [f"a route is missing: {hash_}" for hash_ in wanted - led]
