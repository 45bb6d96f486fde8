"""Who may do what: every role against every permission."""

import pytest

from tidegate.domain import Permission, Role, role_for
from tidegate.domain.roles import PERMISSIONS

EXPECTED = {
    Permission.VIEW: {"viewer", "releaser", "approver", "admin"},
    Permission.VALIDATE: {"viewer", "releaser", "approver", "admin"},
    Permission.REGISTER: {"releaser", "approver", "admin"},
    Permission.RELEASE: {"releaser", "approver", "admin"},
    Permission.ROLL_BACK: {"releaser", "approver", "admin"},
    Permission.APPROVE: {"approver", "admin"},
    Permission.OVERRIDE_QUARANTINE: {"approver", "admin"},
    Permission.MOVE_ALIAS: {"admin"},
    Permission.MANAGE_KEYS: {"admin"},
}


def test_the_table_names_every_role_and_this_test_every_permission():
    assert set(PERMISSIONS) == set(Role)
    assert set(EXPECTED) == set(Permission)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("permission", Permission)
def test_a_role_may_exactly_what_the_table_says(role: Role, permission: Permission):
    assert role.may(permission) is (role.value in EXPECTED[permission])


@pytest.mark.parametrize(("lower", "higher"), list(zip(list(Role)[:-1], list(Role)[1:], strict=True)))
def test_a_higher_role_may_strictly_more(lower: Role, higher: Role):
    assert lower.permissions < higher.permissions


@pytest.mark.parametrize("permission", Permission)
def test_the_role_that_an_error_asks_for_is_the_least_one(permission: Permission):
    least = role_for(permission)

    assert least.may(permission)
    assert not any(role.may(permission) for role in list(Role)[: list(Role).index(least)])
