"""Reports that a person can read alone: Markdown and table rows from the ledger."""

from typing import Any

from tidegate.domain import JournalEntry, Release, ReleaseState
from tidegate.release.guards import MAX_GATE_ATTEMPTS
from tidegate.release.view import fold_view
from tidegate.steps import approving, overriding
from tidegate.steps.checks import REQUIRED
from tidegate.steps.costs import release_cost
from tidegate.steps.gate_report import (
    SAMPLED,
    GateLine,
    gate_lines,
    gate_rows,
    mark,
    number_rows,
    rest_rows,
)
from tidegate.steps.planned import planned_policy
from tidegate.steps.ports import Ports

OUTCOMES = {
    ReleaseState.DONE: "promoted",
    ReleaseState.ROLLED_BACK: "rolled back",
    ReleaseState.REJECTED: "refused",
    ReleaseState.EVALUATED: "looked at only, as planned",
    ReleaseState.HOLD: "held for a person",
    ReleaseState.AWAIT_APPROVAL: "held until a person approves it",
    ReleaseState.PARKED: "parked until there is capacity",
}


TOLD_NOTES = frozenset({approving.NOTE, overriding.NOTE, "quarantine lifted", "hold lifted"})
"""Notes of people: they belong to the story as much as the states do."""


def outcome_text(release: Release) -> str:
    """The outcome in a word or two, as people say it."""
    return OUTCOMES.get(release.state, release.state.value.replace("_", " "))


def release_markdown(ports: Ports, release_id: str) -> str:
    """The whole story of a release: request, plan, evidence by gate, and the way through the states."""
    release = ports.ledger.get_release(release_id)
    entries = ports.ledger.entries(release_id)
    parts = [
        f"# {release.ref}: {release.request.model}:{release.request.version} was {outcome_text(release)}",
        "",
        f"**Why:** {release.reason}",
        "",
        _facts(release, cost_text(ports, release)),
        "",
        *_gates(ports, release),
        "## Evidence",
        "",
        markdown_table(["gate", "check", "verdict", "what was found"], evidence_rows(ports, release_id)),
        "",
        "## What happened",
        "",
        markdown_table(["seconds", "state", "why"], timeline_rows(entries)),
        "",
    ]
    return "\n".join(parts)


def release_gates(ports: Ports, release: Release) -> list[GateLine]:
    """What each gate said, why, on what it rests and what it could have seen."""
    view = fold_view(release, ports.ledger.entries(release.id))
    tried_out = {gate for gate in SAMPLED if view.gate_attempts.get(gate.value, 0) >= MAX_GATE_ATTEMPTS}
    return gate_lines(
        ports.ledger.evidence(release.id), planned_policy(ports, release), REQUIRED, frozenset(tried_out)
    )


def _gates(ports: Ports, release: Release) -> list[str]:
    """The part for managers, then the one for engineers; nothing before there is evidence."""
    lines = release_gates(ports, release)
    if not lines:
        return []
    parts = ["## Gates", "", markdown_table(["gate", "verdict", "why"], gate_rows(lines)), ""]
    rests = rest_rows(lines)
    if rests:
        columns = ["gate", "rests on", "could have seen", "policy"]
        parts += ["## What the verdicts rest on", "", markdown_table(columns, rests), ""]
    numbers = number_rows(ports.ledger.evidence(release.id))
    if numbers:
        parts += ["## Numbers", "", markdown_table(["check", "numbers"], numbers), ""]
    return parts


def evidence_rows(ports: Ports, release_id: str) -> list[dict[str, Any]]:
    """One row per check, in the order in which they were run."""
    return [
        {
            "gate": row.gate.value,
            "check": row.check,
            "verdict": mark(row),
            "what was found": row.summary,
        }
        for row in ports.ledger.evidence(release_id)
    ]


def timeline_rows(entries: list[JournalEntry]) -> list[dict[str, Any]]:
    """States entered, with the seconds since the request."""
    start = entries[0].at if entries else None
    return [
        {
            "seconds": f"{(entry.at - start).total_seconds():.2f}",
            "state": entry.name,
            "why": _why(entry),
        }
        for entry in entries
        if start is not None and (entry.kind in ("entered", "abort") or entry.name in TOLD_NOTES)
    ]


def _why(entry: JournalEntry) -> str:
    """Whose word it was, where a person stands behind it, and until when it counts."""
    reason, actor = str(entry.data.get("reason", "")), entry.data.get("actor")
    if entry.kind != "note" or not actor:
        return reason
    until = entry.data.get("until")
    quarantine = entry.data.get("quarantine")
    return (
        f"{actor}: {reason}"
        + (f" (quarantined: {quarantine})" if quarantine else "")
        + (f", until {until}" if until else "")
    )


def cost_text(ports: Ports, release: Release) -> str:
    """What the release was planned to cost, and what its set cost until now; empty where sets cost nothing."""
    cost = release_cost(ports, release)
    if cost is None:
        return ""
    assert release.plan is not None, "without a plan there is no set"
    hours = ports.service(release.ref).policy.budget.release_hours
    return f"{cost}; planned with {release.plan.estimated_usd:.2f} USD for {hours:g} h"


def _facts(release: Release, cost: str = "") -> str:
    rows: list[dict[str, Any]] = [
        {"": "release", " ": f"`{release.id}` (epoch {release.epoch})"},
        {"": "requested by", " ": f"{release.request.requested_by} ({release.request.trigger})"},
        {"": "artifact", " ": f"`{release.digest}`"},
    ]
    if release.plan is not None:
        plan = release.plan
        rows += [
            {"": "new set", " ": f"`{plan.green_set}`"},
            {
                "": "old set",
                " ": f"`{plan.blue_set}` ({plan.blue_version})" if plan.blue_set else "none: first release",
            },
            {"": "ladder", " ": " -> ".join(f"{step} %" for step in plan.ladder)},
            {"": "policy", " ": f"`{plan.policy_digest[:12]}`"},
        ]
    if release.request.override_quarantine:
        until = release.request.override_until
        end = f", until {until:%Y-%m-%d %H:%M} UTC" if until else ""
        told = f"{release.request.override_quarantine} ({release.request.requested_by}{end})"
        rows.append({"": "quarantine overridden", " ": told})
    if cost:
        rows.append({"": "cost", " ": cost})
    return markdown_table(["", " "], rows)


def markdown_table(columns: list[str], rows: list[dict[str, Any]]) -> str:
    """A Markdown table; cell texts are escaped."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_cell(row.get(column, "")) for column in columns) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
