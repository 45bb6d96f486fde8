"""A question to a person as Markdown: what a yes approves. The same text in a terminal and in the Prefect UI."""

from tidegate.domain.plain import markdown_text
from tidegate.steps.approving import Question
from tidegate.steps.gate_report import mark


def question_markdown(asked: Question) -> str:
    """Plan, evidence, and what changed since the last yes."""
    plan = asked.plan
    who = ", ".join(asked.approvers) or "whoever may approve in the organization"
    eyes = f", but not {asked.requested_by}, who asked for the release" if asked.four_eyes else ""
    lines = [
        f"# {asked.service}: may {asked.model} go on?",
        "",
        f"Release `{asked.release_id}` waits for a person ({asked.asks}): {markdown_text(asked.why)}",
        "",
        f"- a yes means: {asked.then}",
        f"- without an answer: {asked.without_answer}",
        f"- who may say it: {who}{eyes}",
        f"- asked for by: {markdown_text(asked.requested_by)}",
        f"- digest of plan, evidence and question: `{asked.digest}`",
    ]
    if asked.void:
        lines.append(f"- the yes that was given does not count: {markdown_text(asked.void)}")
    lines += ["", "## Changed since the last yes", ""]
    lines += [f"- {markdown_text(one)}" for one in asked.changed] or [
        "Nothing, or this is the first question."
    ]
    lines += ["", f"## Plan `{asked.plan_digest[:12]}`", "", "| field | value |", "|---|---|"]
    lines += [f"| {name} | {markdown_text(_shown(value))} |" for name, value in plan.items()]
    lines += ["", f"## Evidence `{asked.evidence_digest[:12]}`", ""]
    lines += ["| gate | check | verdict | what was found |", "|---|---|---|---|"]
    lines += [
        f"| {row.gate.value} | {row.check} | {mark(row)} | {markdown_text(row.summary)} |"
        for row in asked.evidence
    ] or ["| - | - | - | nothing was judged yet |"]
    return "\n".join([*lines, ""])


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, dict):
        return ", ".join(f"{name} {one:g}" for name, one in value.items()) or "none"  # pyright: ignore[reportUnknownVariableType]
    return "none" if value is None else str(value)
