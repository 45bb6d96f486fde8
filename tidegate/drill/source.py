"""What the installation of a drill is made from: the organization's own files, with gates that a drill can wait for.

Samples are smaller, margins wider, and speed is shown without being judged: a drill slows the machine on purpose. The
machine of states, its gates and their order are the product's own. A drill is about faults, not about models; those are
good, and known.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from tidegate.domain import InvalidInput, Policy, ServiceRef

CLOUD_SERVICE = "drill-cloud"
RUNPOD_KEY = "TIDEGATE_DRILL_RUNPOD_KEY"
BASE = ServiceRef("swaggystacks", "support-chat")

SMALL: Mapping[str, Any] = {
    "performance": {
        "when_not_judged": "pass",
        "metrics": {"ttft_p50": None, "itl_p50": None, "ttft_p95": None},
        "limits": {"max_ttft_p95_ms": 60000, "min_tokens_per_second": 0.1},
        "design": {"block_pairs": 3, "requests_per_block": 2},
    },
    "validation": {"latency": {"min_tokens_per_second": 0.1, "optimal_tokens_per_second": 0.2}},
    "shift": {
        "ladder": [50, 100],
        # Long enough for a fault to come in the middle of a step.
        "look_s": 4,
        "bake_s": 1,
        "min_requests": 10,
        "step_deadline_s": 300,
        "max_latency_ratio": 100,
        "latency_floor_ms": 60000,
    },
    # Few requests decide where margins are wide.
    "live": {
        "metrics": {
            **dict.fromkeys(("errors", "attempts", "truncated", "empty", "malformed"), 0.3),
            **dict.fromkeys(("stalls", "stops", "ttft_p50", "itl_p50", "length")),
        },
    },
    "budget": {"max_sets": 12},
    "deadlines": {"provision_s": 300, "warm_s": 120, "park_s": 900, "rollback_wait_s": 120},
}


def write_source(deployments: Path, folder: Path, ref: ServiceRef = BASE, *, with_cloud: bool) -> Path:
    """A deployments folder of the drill's own, beside the real one, which is only read.

    Raises: InvalidInput when there is no such organization or service.
    """
    for name in ("pools", "demo"):
        (folder / name).symlink_to((deployments / name).resolve())
    (folder / "organizations").mkdir()
    (folder / "policies").mkdir()
    organization = _read(deployments / "organizations" / f"{ref.org}.yaml")
    services = cast("dict[str, Any]", organization.get("services", {}))
    if ref.service not in services:
        raise InvalidInput(
            f"{ref.org} has no service '{ref.service}'.",
            remedy="Name a service of the organization's file with --service.",
            field="service",
        )
    own = services[ref.service]
    organization["services"] = {ref.service: own}
    if with_cloud:
        organization["credentials"] = {**organization.get("credentials", {}), "runpod": f"env:{RUNPOD_KEY}"}
        organization["services"][CLOUD_SERVICE] = own | {
            "platform": "runpod",
            "runpod": {
                "image": "registry.example/tidegate-worker:1.0.0",
                "model_url": "file://{path}",
                "max_workers": 1,
                "max_price_per_hour_usd": 1.0,
            },
        }
    policy_file = deployments / "policies" / f"{ref.org}.yaml"
    # A part that this version's policies do not have is left out.
    small = {part: values for part, values in SMALL.items() if part in Policy.model_fields}
    policy = merged(_read(policy_file) if policy_file.is_file() else {}, small)
    _write(folder / "organizations" / f"{ref.org}.yaml", organization)
    _write(folder / "policies" / f"{ref.org}.yaml", policy)
    return folder


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` on top of `base`, mapping by mapping."""
    made = dict(base)
    for key, value in over.items():
        below = made.get(key)
        made[key] = (
            merged(cast("dict[str, Any]", below), cast("dict[str, Any]", value))
            if isinstance(value, Mapping) and isinstance(below, Mapping)
            else value
        )
    return made


def _read(path: Path) -> dict[str, Any]:
    try:
        return cast("dict[str, Any]", yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be read: {error.strerror}.",
            remedy="Make the file readable, or name another service with --service.",
            field="service",
        ) from error


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(yaml.safe_dump(dict(content)), encoding="utf-8")
