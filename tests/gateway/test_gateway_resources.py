"""A route in Envoy's words. The golden file shows all of it; the tables show what differs."""

import json
from pathlib import Path

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.route.v3.scoped_route_pb2 import ScopedRouteConfiguration
from google.protobuf.json_format import MessageToDict

from codestore.domain.routing import Access, Endpoint, Limits, Route, Split
from codestore.domain.secret import Secret
from codestore.gateway.resources import platform_resources, resources
from codestore.gateway.snapshot import Kind

GOLDEN = Path(__file__).parent / "golden"
MESSAGES = {
    Kind.CLUSTER: Cluster,
    Kind.ENDPOINTS: ClusterLoadAssignment,
    Kind.SCOPE: ScopedRouteConfiguration,
}


def plain(resource):
    message = MESSAGES[resource.kind].FromString(resource.body)
    return MessageToDict(message, preserving_proto_field_name=True)


def kinds(route):
    return [resource.kind for resource in resources(route)]


def scope_routes(route):
    scope = plain(resources(route)[-1])
    return scope["route_configuration"]["virtual_hosts"][0]["routes"]


CASES = {
    "unix": Route(
        hash="a" * 32,
        deployment="a",
        access=Access.KEY,
        keys=(Secret("developer"), Secret("client")),
        endpoints=(Endpoint("unix:/run/a.sock"),),
    ),
    "tcp": Route(
        hash="b" * 32,
        deployment="b",
        access=Access.PUBLIC,
        keys=(),
        endpoints=(Endpoint("tcp://127.0.0.1:8001", draining=True), Endpoint("tcp://[::1]:8002")),
        limits=Limits(idle_timeout=1.5, connect_timeout=0.25),
    ),
    "limited": Route(
        hash="c" * 32,
        deployment="c",
        access=Access.KEY,
        keys=(Secret("client"),),
        endpoints=(Endpoint("unix:/run/c.sock"),),
        limits=Limits(rate=2.5, max_requests=7, max_body=2**33),
    ),
    "split": Route(
        hash="d" * 32,
        deployment="d",
        access=Access.PUBLIC,
        keys=(),
        endpoints=(Endpoint("unix:/run/d.sock"),),
        revision=3,
        split=Split(5, 4, (Endpoint("unix:/run/d4-0.sock"), Endpoint("unix:/run/d4-1.sock"))),
    ),
    "promised": Route(
        hash="e" * 32,
        deployment="e",
        access=Access.KEY,
        keys=(Secret("client"),),
        endpoints=(Endpoint("unix:/run/e.sock"),),
        limits=Limits(rate=2.5, max_body=1024),
        unavailable="It failed.",
        split=Split(5, 4, (Endpoint("unix:/run/e4-0.sock"),)),
        promised=True,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_route_is_said_as_the_golden_file_shows(case):
    said = {f"{each.kind.name} {each.name}": plain(each) for each in resources(CASES[case])}
    assert said == json.loads((GOLDEN / f"{case}.json").read_text())


def test_only_endpoints_that_move_are_a_resource_of_their_own(make_route):
    assert kinds(make_route("a", "unix:/a")) == [Kind.CLUSTER, Kind.SCOPE]
    assert kinds(make_route("a")) == [Kind.CLUSTER, Kind.SCOPE]
    assert Kind.ENDPOINTS in kinds(make_route("a", "tcp://127.0.0.1:1"))
    assert Kind.ENDPOINTS in kinds(make_route("a", "unix:/a", "tcp://127.0.0.1:1"))


def test_an_unavailable_route_has_no_cluster(make_route):
    route = make_route("a", "unix:/a", unavailable="asleep " * 1000)
    assert kinds(route) == [Kind.SCOPE]
    for answer in scope_routes(route)[1:]:
        assert answer["direct_response"]["status"] == 503
        assert len(answer["direct_response"]["body"]["inline_string"]) == 1000


def test_a_locked_route_ends_in_a_refusal_and_every_way_in_asks_for_a_key(make_route):
    for keys in ((), ("k",), ("k1", "k2")):
        _, *ways_in, wrong, missing = scope_routes(make_route("a", "unix:/a", keys=keys))
        assert wrong["direct_response"] == {"status": 403}
        assert missing["direct_response"] == {"status": 401}
        assert "headers" not in missing["match"]  # whatever came so far ends here
        assert len(ways_in) == 2 * len(keys)
        assert all(way["match"]["headers"] for way in ways_in)


def test_what_is_ambiguous_is_refused_first_and_costs_nothing_of_the_rate(make_route):
    limited = {"limits": Limits(rate=2.5)}
    for keys, more in ((None, {}), (("k",), limited), (("k",), {"unavailable": "asleep"})):
        first = scope_routes(make_route("a", "unix:/a", keys=keys, **more))[0]
        assert first["direct_response"] == {"status": 421}
        assert ("rate" in first.get("typed_per_filter_config", {})) == (more is limited)
    for resource in platform_resources():
        host = plain(resource)["route_configuration"]["virtual_hosts"][0]
        assert host["routes"][0]["direct_response"] == {"status": 421}


@pytest.mark.parametrize(
    "address",
    [
        *("", "/a", "unix:a", "unix://host/a", "http://127.0.0.1:1", "tcp://127.0.0.1", "tcp://:1"),
        *("tcp://localhost:1", "tcp://127.0.0.1:99999", "tcp://127.0.0.1:1/x"),
    ],
)
def test_an_address_that_envoy_cannot_use_is_an_error(make_route, address):
    with pytest.raises(ValueError):
        resources(make_route("a", address))


@pytest.mark.parametrize("key", ["", " k", "k ", "k\n", "k\r\nx: y", "ключ", "k\0"])
def test_a_key_that_no_header_can_carry_is_an_error_that_does_not_show_it(make_route, key):
    with pytest.raises(ValueError, match="deployment-a") as error:
        resources(make_route("a", "unix:/a", keys=("fine", key)))
    assert "fine" not in str(error.value)


@pytest.mark.parametrize("wrong", ["", "api", "A" * 32, "a" * 31, "a" * 33, "a" * 32 + "\n"])
def test_a_hash_that_is_not_one_is_an_error(wrong):
    with pytest.raises(ValueError, match="hex digits"):
        resources(Route(wrong, "d", Access.PUBLIC, (), ()))


def test_the_same_route_has_the_same_versions_and_another_key_another_one(make_route):
    def versions(key):
        made = resources(make_route("a", "unix:/a", keys=(key,)))
        return {resource.kind: resource.version for resource in made}

    assert versions("k") == versions("k")
    assert versions("k")[Kind.CLUSTER] == versions("j")[Kind.CLUSTER]
    assert versions("k")[Kind.SCOPE] != versions("j")[Kind.SCOPE]


def test_nothing_printed_about_a_resource_shows_a_key():
    route = Route("a" * 32, "d", Access.KEY, (Secret("s3cret"),), ())
    assert "s3cret" not in repr(resources(route))


def test_the_front_page_is_exactly_the_root():
    scopes = {resource.name: plain(resource) for resource in platform_resources()}
    _, *home = scopes["platform/"]["route_configuration"]["virtual_hosts"][0]["routes"]
    assert {each["match"]["path"] for each in home} == {"/"}
