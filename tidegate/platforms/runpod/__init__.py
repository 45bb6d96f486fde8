"""RunPod: the client of its public API, and sets that run there."""

from tidegate.platforms.runpod.client import RunPodClient
from tidegate.platforms.runpod.orders import Allowance
from tidegate.platforms.runpod.organization_sets import OrganizationSets
from tidegate.platforms.runpod.platform import RunPodPlatform
from tidegate.platforms.runpod.tenant import Tenant
from tidegate.platforms.runpod.wire import Cloud

__all__ = ["Allowance", "Cloud", "OrganizationSets", "RunPodClient", "RunPodPlatform", "Tenant"]
