"""Pipeline steps: one function per step over ports, outcome as data. What a task, the CLI or a test calls."""

from tidegate.steps.approving import approve_release, question
from tidegate.steps.pipeline import (
    StepOutcome,
    benchmark,
    deploy,
    probe_endpoints,
    promote,
    register_model,
    request_release,
    resume,
    roll_back,
    select_model,
    validate_artifact,
    verify_org_auth,
    verify_trainer,
)
from tidegate.steps.plan_preview import preview
from tidegate.steps.ports import Ports
from tidegate.steps.proof import issue_token, named_wish, rotate_keys
from tidegate.steps.provenance import attach_signatures, check_provenance, publishers_of
from tidegate.steps.rollback import is_owner_alive, stop_release
from tidegate.steps.rollback_manager import (
    RollbackManager,
    RollbackOutcome,
    bring_back,
    request_rollback,
)

__all__ = [
    "Ports",
    "RollbackManager",
    "RollbackOutcome",
    "StepOutcome",
    "approve_release",
    "attach_signatures",
    "benchmark",
    "bring_back",
    "check_provenance",
    "deploy",
    "is_owner_alive",
    "issue_token",
    "named_wish",
    "preview",
    "probe_endpoints",
    "promote",
    "publishers_of",
    "question",
    "register_model",
    "request_release",
    "request_rollback",
    "resume",
    "roll_back",
    "rotate_keys",
    "select_model",
    "stop_release",
    "validate_artifact",
    "verify_org_auth",
    "verify_trainer",
]
