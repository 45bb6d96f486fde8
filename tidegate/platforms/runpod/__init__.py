"""RunPod: the client of its public API, and sets that run there."""

from tidegate.platforms.runpod.client import API_URL, DATA_URL, RunPodClient
from tidegate.platforms.runpod.organization_sets import OrganizationSets, Tenant
from tidegate.platforms.runpod.platform import RunPodPlatform

__all__ = ["API_URL", "DATA_URL", "OrganizationSets", "RunPodClient", "RunPodPlatform", "Tenant"]
