"""May somebody ask without a token? Pure; what a token proves is `request_token`'s."""

from fnmatch import fnmatchcase

from tidegate.domain import Organization, Permission, Policy, Refused

HOW = "Issue a token and give it with the request: tidegate token issue ORG/SERVICE MODEL:VERSION --as WHO."


def allow_unsigned(organization: Organization, policy: Policy, claimed: str, permission: Permission) -> None:
    """The policy says whether unsigned requests are taken, and from which names. A name that the organization
    knows is held to its role; any other is an operator of this installation.

    Raises: Refused.
    """
    if policy.require_signed_requests:
        raise Refused(
            f"{organization.name} takes signed requests only, and this one of '{claimed}' has no token.",
            remedy=HOW,
            org=organization.name,
            problem="unsigned",
        )
    if not any(fnmatchcase(claimed, pattern) for pattern in policy.unsigned_requests_from):
        raise Refused(
            f"{organization.name} takes no unsigned requests from '{claimed}'.",
            remedy=HOW,
            org=organization.name,
            problem="unsigned",
        )
    if organization.role_of(claimed) is not None:
        organization.require(claimed, permission)
