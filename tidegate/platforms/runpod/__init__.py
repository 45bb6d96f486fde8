"""RunPod: the client of its public API."""

from tidegate.platforms.runpod.client import API_URL, DATA_URL, RunPodClient

__all__ = ["API_URL", "DATA_URL", "RunPodClient"]
