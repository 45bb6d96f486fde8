"""Which services may be drilled: those that are marked for it, and others only when a person says so by name."""

from collections.abc import Mapping

from tidegate.domain import NotFound, Organization, Refused, ServiceRef


def may_drill(organizations: Mapping[str, Organization], ref: ServiceRef, allowed: str = "") -> None:
    """Raises: NotFound for an unknown service, Refused for one that is neither marked nor named."""
    organization = organizations.get(ref.org)
    service = organization.services.get(ref.service) if organization else None
    if service is None:
        raise NotFound(f"There is no service {ref}.", remedy="See: tidegate status", field="service")
    if service.stage != "production" or allowed == str(ref):
        return
    raise Refused(
        f"{ref} is not marked for drills: its stage is production.",
        remedy=f"Mark it in deployments/organizations/{ref.org}.yaml (stage: staging), or name it: --allow {ref}",
        field="service",
    )
