"""Value types shared by every room. Pure: no clock, disk, network or randomness.

Names are loaded when they are first used: the confined children that read untrusted files start several times
for each of them, and need the errors alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidegate.domain.api_keys import LOCAL_KEY_NAME, ApiKey, ApiKeyState, key_digest
    from tidegate.domain.artifact import ModelVersion
    from tidegate.domain.costs import Charge, Cost, Resource, cost_of, in_turn, month_start
    from tidegate.domain.engine_keys import EngineKeys, engine_credential, parse_engine_credential
    from tidegate.domain.errors import (
        CapacityShortage,
        Fenced,
        InvalidInput,
        NeedsOperator,
        NotFound,
        Permanent,
        Refused,
        TidegateError,
        Transient,
    )
    from tidegate.domain.evidence import Evidence, Gate, GateResult, Verdict, fold, fold_gates, settle
    from tidegate.domain.live import Histogram, LiveBatch
    from tidegate.domain.measurement import Measurement, MeasurementKind, pack_record, unpack_record
    from tidegate.domain.names import ServiceRef, owner_of_set, set_name
    from tidegate.domain.organization import NIGHTLY, TRAINING, Limits, ModelRule, Organization, ServiceConfig
    from tidegate.domain.policy import Policy
    from tidegate.domain.provenance import Provenance, TrustedCertificate, TrustedKey
    from tidegate.domain.release import (
        TERMINAL,
        JournalEntry,
        Plan,
        Release,
        ReleaseRequest,
        ReleaseState,
        idempotency_key,
    )
    from tidegate.domain.request_proof import Action, RequestProof, parameters_digest
    from tidegate.domain.roles import Permission, Role, role_for
    from tidegate.domain.route import GatewayStatus, Mirror, Route, Sticky, TrafficCounts, Upstream
    from tidegate.domain.runpod import RunPodServiceConfig
    from tidegate.domain.secret import Secret
    from tidegate.domain.secret_reference import Place, SecretReference
    from tidegate.domain.sets import SetSpec, SetState, SetStatus

__all__ = [
    "LOCAL_KEY_NAME",
    "NIGHTLY",
    "TERMINAL",
    "TRAINING",
    "Action",
    "ApiKey",
    "ApiKeyState",
    "CapacityShortage",
    "Charge",
    "Cost",
    "EngineKeys",
    "Evidence",
    "Fenced",
    "Gate",
    "GateResult",
    "GatewayStatus",
    "Histogram",
    "InvalidInput",
    "JournalEntry",
    "Limits",
    "LiveBatch",
    "Measurement",
    "MeasurementKind",
    "Mirror",
    "ModelRule",
    "ModelVersion",
    "NeedsOperator",
    "NotFound",
    "Organization",
    "Permanent",
    "Permission",
    "Place",
    "Plan",
    "Policy",
    "Provenance",
    "Refused",
    "Release",
    "ReleaseRequest",
    "ReleaseState",
    "RequestProof",
    "Resource",
    "Role",
    "Route",
    "RunPodServiceConfig",
    "Secret",
    "SecretReference",
    "ServiceConfig",
    "ServiceRef",
    "SetSpec",
    "SetState",
    "SetStatus",
    "Sticky",
    "TidegateError",
    "TrafficCounts",
    "Transient",
    "TrustedCertificate",
    "TrustedKey",
    "Upstream",
    "Verdict",
    "cost_of",
    "engine_credential",
    "fold",
    "fold_gates",
    "idempotency_key",
    "in_turn",
    "key_digest",
    "month_start",
    "owner_of_set",
    "pack_record",
    "parameters_digest",
    "parse_engine_credential",
    "role_for",
    "set_name",
    "settle",
    "unpack_record",
]

_HOMES = {
    "api_keys": (
        "LOCAL_KEY_NAME",
        "ApiKey",
        "ApiKeyState",
        "key_digest",
    ),
    "artifact": ("ModelVersion",),
    "costs": ("Charge", "Cost", "Resource", "cost_of", "in_turn", "month_start"),
    "engine_keys": ("EngineKeys", "engine_credential", "parse_engine_credential"),
    "errors": (
        "CapacityShortage",
        "Fenced",
        "InvalidInput",
        "NeedsOperator",
        "NotFound",
        "Permanent",
        "Refused",
        "TidegateError",
        "Transient",
    ),
    "evidence": (
        "Evidence",
        "Gate",
        "GateResult",
        "Verdict",
        "fold",
        "fold_gates",
        "settle",
    ),
    "live": ("Histogram", "LiveBatch"),
    "measurement": (
        "Measurement",
        "MeasurementKind",
        "pack_record",
        "unpack_record",
    ),
    "names": (
        "ServiceRef",
        "owner_of_set",
        "set_name",
    ),
    "organization": (
        "NIGHTLY",
        "TRAINING",
        "Limits",
        "ModelRule",
        "Organization",
        "ServiceConfig",
    ),
    "policy": ("Policy",),
    "provenance": (
        "Provenance",
        "TrustedCertificate",
        "TrustedKey",
    ),
    "release": (
        "TERMINAL",
        "JournalEntry",
        "Plan",
        "Release",
        "ReleaseRequest",
        "ReleaseState",
        "idempotency_key",
    ),
    "request_proof": (
        "Action",
        "RequestProof",
        "parameters_digest",
    ),
    "roles": (
        "Permission",
        "Role",
        "role_for",
    ),
    "route": (
        "GatewayStatus",
        "Mirror",
        "Route",
        "Sticky",
        "TrafficCounts",
        "Upstream",
    ),
    "runpod": ("RunPodServiceConfig",),
    "secret": ("Secret",),
    "secret_reference": (
        "Place",
        "SecretReference",
    ),
    "sets": (
        "SetSpec",
        "SetState",
        "SetStatus",
    ),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"tidegate.domain.{_MODULE_OF[name]}"), name)
