"""Organizations, secrets and request tokens: who may do what, how that is proven, and where credentials are kept."""

from tidegate.access.organizations import load_organizations, read_policy
from tidegate.access.policy_files import Value, is_flat, policy_problems, policy_under, policy_values
from tidegate.access.secret_store import (
    ALERT_TOKEN,
    API_TOKEN,
    PREFECT_AUTH,
    PROBE_KEY,
    SecretStore,
    api_key_name,
    capture_key_name,
    credential_name,
    engine_keys_name,
    new_api_key,
    request_keys_name,
    webhook_key_name,
)
from tidegate.access.yaml_files import Problem

__all__ = [
    "ALERT_TOKEN",
    "API_TOKEN",
    "PREFECT_AUTH",
    "PROBE_KEY",
    "Problem",
    "SecretStore",
    "Value",
    "api_key_name",
    "capture_key_name",
    "credential_name",
    "engine_keys_name",
    "is_flat",
    "load_organizations",
    "new_api_key",
    "policy_problems",
    "policy_under",
    "policy_values",
    "read_policy",
    "request_keys_name",
    "webhook_key_name",
]
