"""What commands talk to: the ports of this home and the Prefect server beside it."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidegate.settings import Settings
    from tidegate.stack.prefect_api import PrefectApi

API_URL_VARIABLE = "PREFECT_API_URL"


def current_user() -> str:
    """Who is at the keyboard, for the audit trail: `--by` of commands says it better."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"


def prefect_api(settings: "Settings", timeout_s: float = 30.0) -> "PrefectApi":
    """The server that this installation uses: `PREFECT_API_URL`, else the one of the running stack. `timeout_s`: of one call.

    Raises:
        Transient: when there is none.
    """
    from tidegate.access import PREFECT_AUTH, SecretStore
    from tidegate.domain import Transient
    from tidegate.stack.launching import running_stack
    from tidegate.stack.prefect_api import PrefectApi

    url = os.environ.get(API_URL_VARIABLE)
    if not url:
        record = running_stack(settings.home)
        if record is None:
            raise Transient(
                "No Prefect server is known to this installation: the stack is not up.",
                remedy=f"Run: tidegate up, or set {API_URL_VARIABLE}.",
            )
        url = f"{record.urls['prefect']}/api"
    return PrefectApi(
        url, SecretStore(settings.secrets_dir, os.environ).get(PREFECT_AUTH), timeout_s=timeout_s
    )
