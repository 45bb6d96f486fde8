"""RunPod: the client of its public API, and sets that run there."""

from tidegate.platforms.runpod.client import RunPodClient
from tidegate.platforms.runpod.orders import Allowance
from tidegate.platforms.runpod.organization_sets import OrganizationSets, Tenant
from tidegate.platforms.runpod.platform import RunPodPlatform

__all__ = ["Allowance", "OrganizationSets", "RunPodClient", "RunPodPlatform", "Tenant"]
