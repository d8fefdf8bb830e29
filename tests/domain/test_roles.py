"""Who may do what, as a table."""

import pytest

from codestore.domain.faults import Fault
from codestore.domain.roles import HOME, LEAST, OF_THE_PLATFORM, Role, may, require_role


@pytest.mark.parametrize("act", LEAST)
def test_a_role_may_do_what_those_below_it_may(act: str) -> None:
    allowed = [may(role, HOME, act) for role in (Role.VIEWER, Role.MAKER, Role.OWNER)]
    assert allowed == sorted(allowed)
    assert allowed[-1]


@pytest.mark.parametrize(
    ("act", "least"),
    [
        ("logs", Role.VIEWER),
        ("user:list", Role.VIEWER),
        ("push", Role.MAKER),
        ("project:service:roll", Role.MAKER),
        ("hold", Role.MAKER),
        ("user:add", Role.OWNER),
        ("audit", Role.OWNER),
    ],
)
def test_the_least_role(act: str, least: Role) -> None:
    assert LEAST[act] is least


def test_what_is_about_every_organization_is_for_owners_of_the_first_one_only() -> None:
    for act in OF_THE_PLATFORM:
        assert may(Role.OWNER, HOME, act)
        assert not may(Role.OWNER, "engines", act)
        assert not may(Role.MAKER, HOME, act)


def test_an_act_that_is_not_in_the_table_is_nobodys() -> None:
    with pytest.raises(KeyError):
        may(Role.OWNER, HOME, "everything")


def test_a_refusal_names_act_and_roles() -> None:
    with pytest.raises(Fault) as caught:
        require_role(Role.VIEWER, "engines", "push")
    assert caught.value.letter.code == "not_allowed"
    assert "push is for the role maker" in caught.value.letter.detail
    assert "yours is viewer." in caught.value.letter.detail


def test_an_owner_elsewhere_is_told_of_what_they_are_the_owner() -> None:
    with pytest.raises(Fault) as caught:
        require_role(Role.OWNER, "engines", "organization:list")
    assert "of local and above; yours is owner of engines." in caught.value.letter.detail
