"""RunPod's client for the name of a secret: the key itself is never in a pool, a run, a pod or a log."""

import os

from tidegate.access import SecretStore
from tidegate.domain import NotFound
from tidegate.platforms.runpod import RunPodClient
from tidegate.settings import load_settings


def connect(credential: str) -> RunPodClient:
    """Raises: NotFound when this worker's machine has no secret of that name."""
    settings = load_settings()
    store = SecretStore(settings.secrets_dir, os.environ)
    key = store.get(credential)
    if key is None:
        raise NotFound(
            f"There is no secret '{credential}' on the machine of this worker.",
            remedy="Store the RunPod key under that name, as a file or an environment variable; see docs/runpod.md.",
            secret=credential,
        )
    return RunPodClient(settings.runpod_api_url, settings.runpod_data_url, key)
