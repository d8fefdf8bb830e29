"""In whatever order things happen: what was served is counted once, if anybody could know."""

import asyncio
from contextlib import suppress
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from codestore.reconcile.counting import count
from tests.reconcile.house import make_house, production
from tests.support.fakes import CrashError


class Counting(RuleBasedStateMachine):
    """Two deployments are called, everything restarts; what is counted is what could be known."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.house = make_house()
        self.held = [production(), production()]
        self.run(self.house.put(*self.held))
        self.counted = {each.id: [0, 0] for each in self.held}
        self.waiting = {each.id: [0, 0] for each in self.held}

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    @rule(index=st.integers(0, 1), good=st.integers(0, 1000), bad=st.integers(0, 100))
    def callers_come(self, index: int, good: int, bad: int) -> None:
        deployment = self.held[index]
        self.house.proxy.serve(deployment.hash, good + bad, bad)
        waiting = self.waiting[deployment.id]
        waiting[:] = [waiting[0] + good + bad, waiting[1] + bad]

    @rule(seconds=st.sampled_from([1, 14, 15, 59, 61, 3600, 40_000, 200_000, -2, -86_400]))
    def time_passes(self, seconds: int) -> None:
        self.house.clock.pass_(seconds)

    @rule()
    def the_proxy_restarts(self) -> None:
        """What it had counted since the last look is known to nobody."""
        self.house.proxy.restart()
        for waiting in self.waiting.values():
            waiting[:] = [0, 0]

    @rule(at=st.integers(1, 8))
    def a_look_with_a_crash(self, at: int) -> None:
        breaking = self.house.breaking
        breaking.at, breaking.passed = at, 0
        self.look()
        breaking.at = None

    @rule()
    def look(self) -> None:
        async def last() -> Any:
            async with self.house.breaking.store.begin() as records:
                return await records.tallies.last()

        before = self.run(last())
        with suppress(CrashError):
            self.run(count(self.house.doors))
        if self.run(last()) != before:
            for id_, waiting in self.waiting.items():
                counted = self.counted[id_]
                counted[:] = [counted[0] + waiting[0], counted[1] + waiting[1]]
                waiting[:] = [0, 0]

    @invariant()
    def everything_is_counted_once(self) -> None:
        for deployment in self.held:
            total = self.run(self.house.total(deployment))
            assert list(total) == self.counted[deployment.id]

    def teardown(self) -> None:
        self.house.clock.pass_(200_000)
        self.look()
        assert not any(any(waiting) for waiting in self.waiting.values())
        self.everything_is_counted_once()
        self.loop.close()


TestCounting = Counting.TestCase
TestCounting.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
