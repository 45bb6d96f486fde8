"""Value types shared by every room. Pure: no clock, disk, network or randomness."""

from tidegate.domain.artifact import ModelVersion
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
from tidegate.domain.evidence import Evidence, Gate, GateResult, Verdict, fold
from tidegate.domain.names import ServiceRef, owner_of_set, set_name
from tidegate.domain.organization import NIGHTLY, TRAINING, Limits, ModelRule, Organization, ServiceConfig
from tidegate.domain.policy import Policy
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
from tidegate.domain.route import GatewayStatus, Route, TrafficCounts, Upstream
from tidegate.domain.secret import Secret
from tidegate.domain.secret_reference import Place, SecretReference
from tidegate.domain.sets import SetSpec, SetState, SetStatus

__all__ = [
    "NIGHTLY",
    "TERMINAL",
    "TRAINING",
    "Action",
    "CapacityShortage",
    "Evidence",
    "Fenced",
    "Gate",
    "GateResult",
    "GatewayStatus",
    "InvalidInput",
    "JournalEntry",
    "Limits",
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
    "Refused",
    "Release",
    "ReleaseRequest",
    "ReleaseState",
    "RequestProof",
    "Role",
    "Route",
    "Secret",
    "SecretReference",
    "ServiceConfig",
    "ServiceRef",
    "SetSpec",
    "SetState",
    "SetStatus",
    "TidegateError",
    "TrafficCounts",
    "Transient",
    "Upstream",
    "Verdict",
    "fold",
    "idempotency_key",
    "owner_of_set",
    "parameters_digest",
    "role_for",
    "set_name",
]
