"""The real cycle on the fake: whatever people ask and wherever it crashes, it converges.

*Executing a plan until nothing waits and planning again gives an empty plan.*

What is done is the same as in ``tests/crashes``, and so is what must hold: at every commit
(``ledger``), at every effect (``promises``), and whenever all is quiet (``checks``). There the dice
throw many short histories, here Hypothesis looks for long ones, and shortens those that fail.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from codestore.domain.events import EventKind
from codestore.domain.manifest import RunKind
from tests.crashes.acts import Acts
from tests.crashes.checks import check
from tests.crashes.fuse import Fuse
from tests.crashes.ops import Op
from tests.crashes.playing import BASES, History, opened

PROJECT = st.sampled_from(["development", "staging", "production"])
ANYWHERE = st.sampled_from(["private", "demo", "development", "staging", "production"])
BAD = st.sampled_from(["", "", "", "unbuildable", "broken", "unhealthy", "unmigratable", "needy"])
SCOPE = st.sampled_from(["shop", "service", "private", "demo", "staging", "production"])
WAIT = st.sampled_from(["concluded", "concluded", "quiet", "", "1", "3"])
NUMBER = st.integers(1, 4)


def op(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Op]:
    """Return a strategy for an operation: done at once, or in the middle of what is done then."""
    during = st.one_of(st.just(0), st.just(0), st.integers(1, 25))
    return st.builds(Op, st.just(name), st.tuples(*arguments), WAIT, during)


ASKED = st.one_of(
    op("push", BAD, st.booleans(), st.sampled_from([None, 2])),
    op("promote"),
    op("roll", st.sampled_from(["private", "demo"]), NUMBER),
    op("include"),
    op("promote_to", PROJECT, st.sampled_from([None, True, False]), st.booleans()),
    op("roll_to", PROJECT, NUMBER),
    op("exclude"),
    op("remove"),
    op("create"),
    op("set_secret", SCOPE, st.sampled_from(["one", "two", "", None]), st.booleans()),
    op("rekey"),
)
TURNED = st.one_of(
    op("scale", PROJECT, st.sampled_from([None, 1, 2, 3, 5, 9])),
    op("hold", PROJECT),
    op("unhold", PROJECT),
    op("pause", PROJECT),
    op("resume", PROJECT),
    op("abort", ANYWHERE),
)
HAPPENED = st.one_of(
    op("crash", ANYWHERE, st.integers(1, 3)),
    op("ail", ANYWHERE),
    op("sicken", PROJECT),
    op("recover"),
    op("fail_canary", PROJECT),
    op("call", st.sampled_from(["private", "demo"]), st.booleans()),
    op("rot", NUMBER, st.booleans()),
    op("outage", st.sampled_from(["databases", "gateway"])),
    op("press"),
    op("come_back"),
    op("slow", st.booleans()),
    op("sleep", st.sampled_from([1, 11, 31, 301, 700, 2000])),
    op("tidy"),
)


class Platform(RuleBasedStateMachine):
    """People do what they like, the world breaks, the process dies; then it must settle."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()

    @initialize(
        kind=st.sampled_from([RunKind.ASGI, RunKind.COMMAND]), base=st.sampled_from([*BASES])
    )
    def open(self, kind: RunKind, base: str) -> None:
        self.fuse = Fuse()
        self.stage, self.known = self.run(opened(History(base, kind, ()), self.fuse))
        self.acts = Acts(self.stage)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    @rule(op=ASKED)
    def people_ask(self, op: Op) -> None:
        self.run(self.acts.perform(op))

    @rule(op=TURNED)
    def a_dial_is_turned(self, op: Op) -> None:
        self.run(self.acts.perform(op))

    @rule(op=HAPPENED)
    def the_world_does(self, op: Op) -> None:
        self.run(self.acts.perform(op))

    @rule(points=st.integers(1, 60), again=st.integers(0, 20))
    def the_process_will_die(self, points: int, again: int) -> None:
        """It dies after so many points, and perhaps again after its next start."""
        self.fuse.passed = 0
        self.fuse.kills = [points, again] if again else [points]

    @rule()
    def all_goes_quiet(self) -> None:
        self.run(self._settle())

    @invariant()
    def what_is_told_is_true(self) -> None:
        """A generation is told to be live or to have failed once at most."""
        if hasattr(self, "stage"):
            events = self.run(self.stage.store.told())
            verdicts = (EventKind.LIVE, EventKind.FAILED)
            told = [(e.deployment, e.generation) for e in events if e.kind in verdicts]
            assert len(told) == len(set(told))

    async def _settle(self) -> None:
        """Let time pass until nothing is left to do: then every plan is empty, and all is whole."""
        self.stage.mend()
        await self.stage.through(self.stage.quiet)
        kills, self.fuse.kills = self.fuse.kills, []
        await check(self.stage, self.acts, self.known)
        self.fuse.kills = kills

    def teardown(self) -> None:
        if hasattr(self, "acts"):
            self.run(self._settle())
        self.loop.close()


TestPlatform = Platform.TestCase
TestPlatform.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
