"""Every label that a metric of ours may have, with all its values or its budget.

A state set has one series for each state, 1 for the present one. Who adds a label adds it here.
"""

from typing import get_args

from tidegate.domain import ReleaseState, SetState
from tidegate.domain.evidence import Gate, Verdict
from tidegate.domain.release import TERMINAL
from tidegate.domain.shift_policy import Strategy
from tidegate.observability.metric import closed, open_label

OTHER = "other"
"""What a value beyond a budget is folded into."""

ORG = open_label("org", of="organizations", budget=50)
SERVICE = open_label("service", of="services", budget=200, implies=["org"])
SET = open_label("set", of="sets that exist now", budget=400, implies=["org", "service", "slot", "platform"])
PLATFORM = open_label("platform", of="platforms", budget=10)
SLOT = closed("slot", "stable", "candidate", "shadow")
CODE_CLASS = closed("code_class", "2xx", "3xx", "4xx", "429", "5xx", "timeout", "cancelled")
ENGINE = closed("engine", "llama-server", "vllm", "lorax", OTHER)
MODEL = open_label("model", of="models", budget=200)
VERSION = open_label("version", of="model versions that run now", budget=400)
GPU = open_label("gpu", of="positions of GPUs in one set", budget=8)
HOST_GPU = open_label("gpu", of="positions of GPUs in this host", budget=16)
GATEWAY = open_label("gateway", of="gateways", budget=10)
PROCESS = open_label("process", of="processes of the stack", budget=30)
POOL = open_label("pool", of="work pools", budget=10)
FLOW = open_label("flow", of="flows", budget=30)
TASK = open_label("task", of="tasks", budget=60)
CHANNEL = open_label("channel", of="notification channels", budget=100, implies=["org"])
COLLECTOR = open_label("collector", of="collectors of the exporter", budget=30)
ERROR_CODE = open_label("code", of="codes of docs/errors.md", budget=150)
CHECK = open_label("check", of="health checks", budget=40)
STORE = open_label("store", of="stores", budget=5)
SUITE = open_label("suite", of="question banks", budget=20)
SCORE = open_label("metric", of="scores of a bank", budget=20)

SET_STATE = closed("state", *SetState)
RELEASE_STATE = closed("state", *ReleaseState)
OUTCOME = closed("outcome", *TERMINAL)
STRATEGY = closed("strategy", *get_args(Strategy), "rollback")
REPLICA_KIND = closed("kind", "desired", "ready")
OPERATION = closed("operation", "create", "update", "stop", "delete", "scale", "find", "list", "other")
RESULT = closed("result", "ok", "failed", "timeout")
ORPHAN_KIND = closed("kind", "set", "endpoint", "pod", "template", "volume", "process")
TOKEN_TYPE = closed("type", "input", "output")
REJECT_REASON = closed("reason", "rate_limit", "overload", "auth", "no_backend")
SLO = closed("slo", "availability", "ttft")
FAULT_KIND = closed("kind", "xid", "ecc", "row_remap")
CACHE_RESULT = closed("result", "hit", "miss")
ROLE = closed("role", "candidate", "baseline")
GATE = closed("gate", *Gate)
DECISION = closed("decision", *Verdict)
COMPARISON = closed("result", "same", "different", "failed")
OUTPUT_FAULT = closed(
    "kind", "json_schema", "refusal", "empty", "loop", "language", "malformed", "truncated", "stalled"
)
FEEDBACK = closed("verdict", "good", "bad")
PERIOD = closed("period", "month")
RUN_STATE = closed(
    "state", "scheduled", "pending", "running", "completed", "failed", "crashed", "cancelled", "paused"
)
TRANSFER_SOURCE = closed("source", "file", "http", "s3", "hub", OTHER)
DIRECTION = closed("direction", "in", "out")
EVICTION = closed("reason", "space", "unused", "quarantined")
LOCK = closed("lock", "service", "store", "reconcile")
DELIVERY = closed("result", "sent", "failed", "dead", "suppressed")
HEALTH = closed("state", "ok", "warning", "failed", "unknown")
BACKUP_STEP = closed("step", "made", "verified")
EXPIRING = closed("kind", "client_key", "signing_key", "credential", "certificate")
WORKER_STATE = closed("state", "online", "offline")
RESOURCE = closed("resource", "cpu", "memory", "disk")
