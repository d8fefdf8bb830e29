"""The doors a turn needs, in one value."""

from dataclasses import dataclass, field

from codestore.ports import (
    Builder,
    Clock,
    Databases,
    Driver,
    Gateway,
    Intruder,
    Keyring,
    Logs,
    Standby,
    Store,
    Tasks,
    Traffic,
    Vault,
)
from codestore.reconcile.gates import Gates


@dataclass(frozen=True, slots=True)
class Doors:
    """Everything the loop may touch."""

    store: Store
    driver: Driver
    standby: Standby
    tasks: Tasks
    intruder: Intruder
    logs: Logs
    databases: Databases
    builder: Builder
    gateway: Gateway
    traffic: Traffic
    vault: Vault
    keyring: Keyring
    clock: Clock
    gates: Gates = field(default_factory=Gates)
