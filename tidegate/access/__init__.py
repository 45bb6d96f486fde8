"""Organizations and secrets: who may do what, and the names under which credentials are kept."""

from tidegate.access.organizations import load_organizations
from tidegate.access.secret_store import (
    PREFECT_AUTH,
    PROBE_KEY,
    SecretStore,
    api_key_name,
    credential_name,
    request_keys_name,
)

__all__ = [
    "PREFECT_AUTH",
    "PROBE_KEY",
    "SecretStore",
    "api_key_name",
    "credential_name",
    "load_organizations",
    "request_keys_name",
]
