"""The doors: everything the platform's reasoning needs from the world, as Protocols.

At most eight methods each, all safe to call again with the same arguments: whoever calls may
have crashed after the call and before noting it. A door raises :class:`Fault` for what people
should read; ``UNAVAILABLE`` faults may pass and are tried again, any other is final.
"""

from codestore.ports.builder import Builder
from codestore.ports.clock import Clock
from codestore.ports.databases import Databases
from codestore.ports.gateway import Calls, Counters, Gateway, Reading, Traffic
from codestore.ports.identities import Asked, Identities, Identity, Pending
from codestore.ports.keyring import Keyring
from codestore.ports.running import Driver, Intruder, Logs, Standby, Tasks
from codestore.ports.store import EVERYTHING, Gone, N, Noun, Page, Records, Store, Tallies, Trail
from codestore.ports.vault import Vault

__all__ = [
    "EVERYTHING",
    "Asked",
    "Builder",
    "Calls",
    "Clock",
    "Counters",
    "Databases",
    "Driver",
    "Gateway",
    "Gone",
    "Identities",
    "Identity",
    "Intruder",
    "Keyring",
    "Logs",
    "N",
    "Noun",
    "Page",
    "Pending",
    "Reading",
    "Records",
    "Standby",
    "Store",
    "Tallies",
    "Tasks",
    "Traffic",
    "Trail",
    "Vault",
]
