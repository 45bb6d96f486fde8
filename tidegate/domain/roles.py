"""Roles of people and machines in an organization, as sets of permissions in one table. Pure."""

from collections.abc import Mapping
from enum import StrEnum


class Permission(StrEnum):
    """One thing that somebody may do with an organization's services."""

    VIEW = "view"
    VALIDATE = "validate"
    REGISTER = "register"
    RELEASE = "release"
    ROLL_BACK = "roll_back"
    APPROVE = "approve"
    OVERRIDE_QUARANTINE = "override_quarantine"
    MOVE_ALIAS = "move_alias"
    MANAGE_KEYS = "manage_keys"


class Role(StrEnum):
    """From least to most; each may do what the one before it may."""

    VIEWER = "viewer"
    RELEASER = "releaser"
    APPROVER = "approver"
    ADMIN = "admin"

    @property
    def permissions(self) -> frozenset[Permission]:
        return PERMISSIONS[self]

    def may(self, permission: Permission) -> bool:
        return permission in PERMISSIONS[self]


_VIEWER = frozenset({Permission.VIEW, Permission.VALIDATE})
_RELEASER = _VIEWER | {Permission.REGISTER, Permission.RELEASE, Permission.ROLL_BACK}
_APPROVER = _RELEASER | {Permission.APPROVE, Permission.OVERRIDE_QUARANTINE}
_ADMIN = _APPROVER | {Permission.MOVE_ALIAS, Permission.MANAGE_KEYS}

PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: _VIEWER,
    Role.RELEASER: _RELEASER,
    Role.APPROVER: _APPROVER,
    Role.ADMIN: _ADMIN,
}


def role_for(permission: Permission) -> Role:
    """The least role that has a permission: what an error tells to ask for."""
    return next(role for role in Role if permission in PERMISSIONS[role])
