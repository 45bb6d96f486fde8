"""The environment of a pod. Credentials are placeholders that RunPod fills in when the container starts.

Prefect copies its settings into every run, its credentials in clear among them; a pod's environment can be read by
everybody with a key of the account, and by whoever reads an error report of it.
"""

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tidegate.domain import InvalidInput

if TYPE_CHECKING:
    from deployments.runpod_worker.variables import RunPodJobConfiguration

AUTH = "PREFECT_API_AUTH_STRING"
# Prefect's settings that hold a credential, or that only mean something on the worker's machine.
NEVER_COPIED = frozenset(
    {
        AUTH,
        "PREFECT_API_KEY",
        "PREFECT_CLIENT_CUSTOM_HEADERS",
        "PREFECT_HOME",
        # The image names its own.
        "PREFECT_LOGGING_SETTINGS_PATH",
        "PREFECT_PROFILES_PATH",
        "PREFECT_PROFILE",
    }
)
NEVER_COPIED_PREFIXES = ("PREFECT_SERVER_", "PREFECT_WORKER_", "PREFECT_API_DATABASE_")
TIMEOUT = "TIDEGATE_POD_TIMEOUT_S"
# Where a pod deletes itself when no worker does.
POD_API = "TIDEGATE_POD_API_URL"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1", "0.0.0.0"})


def placeholder(secret: str) -> str:
    """How RunPod's secrets are named in a pod's environment."""
    return f"{{{{ RUNPOD_SECRET_{secret} }}}}"


def pod_environment(wanted: "RunPodJobConfiguration") -> dict[str, str]:
    """Raises: InvalidInput when the pod could not reach Prefect's server, or would need its credential in clear."""
    kept = {
        name: value
        for name, value in wanted.env.items()
        if value is not None and name not in NEVER_COPIED and not name.startswith(NEVER_COPIED_PREFIXES)
    }
    secrets = {name: placeholder(secret) for name, secret in wanted.secret_env.items()}
    if wanted.prefect_auth_secret is not None:
        secrets[AUTH] = placeholder(wanted.prefect_auth_secret)
    elif wanted.env.get(AUTH):
        raise InvalidInput(
            "Prefect's server wants a credential, and the pool does not name a RunPod secret that holds it.",
            remedy="Store it as a secret at RunPod, and name that in prefect_auth_secret.",
            field="prefect_auth_secret",
        )
    api = wanted.prefect_api_url or wanted.env.get("PREFECT_API_URL") or ""
    _refuse_unreachable(api)
    runpod = os.environ.get("TIDEGATE_RUNPOD_API_URL")
    ours = {"PREFECT_API_URL": api, TIMEOUT: str(wanted.timeout_s), **({POD_API: runpod} if runpod else {})}
    # A pod has its GPUs to itself: GPU work of ours wants that declared.
    return {"TIDEGATE_GPU_SLOT": "0", **kept, **secrets, **ours}


def _refuse_unreachable(api: str) -> None:
    """A pod on RunPod cannot call this machine's loopback; one in the emulator can."""
    if _is_loopback(api) and not _is_loopback(os.environ.get("TIDEGATE_RUNPOD_API_URL", "")):
        raise InvalidInput(
            f"Pods on RunPod cannot reach Prefect's server at {api}.",
            remedy="Name a URL that they can in prefect_api_url.",
            field="prefect_api_url",
        )


def _is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in LOOPBACK
