"""What is made of Envoy's figures: by names, sums, and over the end of what counted them."""

from hypothesis import given
from hypothesis import strategies as st

from codestore.domain.canary import Tally
from codestore.gateway.counting import (
    SOURCES,
    Ledger,
    by_hash,
    counters,
    owner,
    read_figures,
    tally,
    total,
)
from codestore.ports import Counters

A, B = "a" * 32, "b" * 32
TEXT = f"""\
# TYPE envoy_cluster_upstream_rq_completed counter
envoy_cluster_upstream_rq_completed{{envoy_cluster_name="{A}-01234567"}} 5
envoy_cluster_upstream_rq_completed{{envoy_cluster_name="{A}-7-89abcdef"}} 2
# TYPE envoy_cluster_upstream_rq_xx counter
envoy_cluster_upstream_rq_xx{{envoy_response_code_class="2",envoy_cluster_name="{A}-01234567"}} 4
envoy_cluster_upstream_rq_xx{{envoy_response_code_class="5",envoy_cluster_name="{A}-01234567"}} 1
# TYPE envoy_cluster_upstream_rq_active gauge
envoy_cluster_upstream_rq_active{{envoy_cluster_name="{A}-7-89abcdef"}} 3
# TYPE envoy_cluster_upstream_rq_time histogram
envoy_cluster_upstream_rq_time_bucket{{envoy_cluster_name="{A}-01234567",le="5"}} 1
envoy_cluster_upstream_rq_time_bucket{{envoy_cluster_name="{A}-01234567",le="2500"}} 4
envoy_cluster_upstream_rq_time_bucket{{envoy_cluster_name="{A}-01234567",le="+Inf"}} 5
envoy_cluster_upstream_rq_time_sum{{envoy_cluster_name="{A}-01234567"}} 1234.5
envoy_cluster_upstream_rq_time_count{{envoy_cluster_name="{A}-01234567"}} 5
# TYPE envoy_http_local_rate_limit_rate_limited counter
envoy_http_local_rate_limit_rate_limited{{envoy_local_http_ratelimit_prefix="{A}"}} 7
"""


def test_figures_are_read_by_what_counted_them():
    figures = read_figures(TEXT)
    assert figures[f"{A}-7-89abcdef"] == {"completed": 2, "active": 3}
    assert figures[f"{A}-01234567"]["5xx"] == 1
    assert {owner(name) for name in figures} == {A}


def test_figures_of_a_deployment_are_said_in_the_words_of_the_door():
    figures = by_hash(read_figures(TEXT), [A, B])
    assert counters(total(figures[A].values())) == Counters(
        requests=7,
        failures=1,
        active=3,
        answers={"2xx": 4, "5xx": 1},
        durations=((0.005, 1), (2.5, 4), (float("inf"), 5)),
        total=1.2345,
        refused={"too_many_requests": 7},
    )
    assert counters(total(figures[B].values())) == Counters()


def test_whoever_was_one_too_many_is_taken_off():
    figures = {"completed": 10.0, "5xx": 6.0, "active_overflow": 4.0, "pending_overflow": 1.0}
    assert tally(figures) == Tally(requests=5, failures=1)
    assert counters(figures).answers == {"5xx": 1}
    assert counters(figures).refused == {"too_busy": 5}


def test_of_the_clusters_that_are_there_none_is_forgotten_for_one_that_has_gone():
    ledger, main = Ledger({}), f"{A}-01234567"
    for number in range(2 * SOURCES):
        trial = f"{A}-{number}-89abcdef"
        seen = {main: {"completed": 9.0}, trial: {"completed": 1.0}}
        ledger.enter(seen, [A])
        told = ledger.sources(A)
        assert told[main] == Tally(9, 0)
        assert told[trial] == Tally(1, 0)
    assert len(told) == SOURCES


# What happens: requests end (of a deployment and a name), a name is changed, somebody looks.
HASHES = st.sampled_from([A, B])
EVENTS = st.one_of(
    st.tuples(st.just("count"), HASHES, st.integers(1, 5)),
    st.tuples(st.just("change"), HASHES, st.just(0)),
    st.tuples(st.just("return"), HASHES, st.just(0)),
    st.tuples(st.just("look"), HASHES, st.just(0)),
)


class PlayedEnvoy:
    """Counts under one name for each deployment, and forgets what counted under another one."""

    def __init__(self):
        self.names = {A: 0, B: 0}
        self.figures = {}

    def count(self, hash_, number):
        figures = self.figures.setdefault(f"{hash_}-{self.names[hash_]:08}", {})
        for figure in ("completed", "2xx"):
            figures[figure] = figures.get(figure, 0.0) + number
        figures["active"] = number % 2

    def change(self, hash_, back=False):
        self.figures.pop(f"{hash_}-{self.names[hash_]:08}", None)
        self.names[hash_] += -1 if back else 1

    def seen(self):
        return {name: dict(figures) for name, figures in self.figures.items()}


@given(events=st.lists(EVENTS, max_size=40), before=st.integers(0, 3))
def test_what_is_told_is_all_that_was_counted_if_there_is_a_look_before_each_change(events, before):
    envoy = PlayedEnvoy()
    if before:
        envoy.count(A, before)
    ledger = Ledger(envoy.seen())
    ledger.enter(envoy.seen(), [A, B])
    true = {A: 0, B: 0}
    for event, hash_, number in events:
        match event:
            case "count":
                envoy.count(hash_, number)
                true[hash_] += number
            case "look":
                told = ledger.enter(envoy.seen(), [hash_])
                assert counters(told[hash_]).requests == true[hash_]
            case change:
                ledger.enter(envoy.seen(), [hash_])
                envoy.change(hash_, back=change == "return")
                ledger.enter(envoy.seen(), [hash_])
    for hash_, told in ledger.enter(envoy.seen(), [A, B]).items():
        assert told.get("completed", 0) == told.get("2xx", 0) == true[hash_]


@given(events=st.lists(EVENTS, max_size=40))
def test_without_one_it_still_never_falls_and_never_tells_too_much(events):
    envoy, ledger = PlayedEnvoy(), Ledger({})
    true, last = {A: 0, B: 0}, {A: 0, B: 0}
    for event, hash_, number in events:
        match event:
            case "count":
                envoy.count(hash_, number)
                true[hash_] += number
            case "look":
                told = counters(ledger.enter(envoy.seen(), [hash_])[hash_]).requests
                assert last[hash_] <= told <= true[hash_]
                last[hash_] = told
            case change:
                envoy.change(hash_, back=change == "return")


def test_what_is_no_more_is_forgotten():
    ledger = Ledger({})
    ledger.enter({f"{A}-0": {"completed": 3.0}}, [A])
    ledger.enter({}, [A])
    assert A in ledger
    ledger.forget(A)
    assert A not in ledger
    assert ledger.enter({}, [A]) == {A: {}}
