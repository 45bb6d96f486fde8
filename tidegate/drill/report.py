"""How a run of drills is told: rows for a terminal, Markdown for people, plain data for programs. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from tidegate.drill.judgement import Report, Verdict, worst

COLUMNS = ("DRILL", "VERDICT", "SENT", "FAILED", "CUT OFF", "ALLOWED", "RECOVERED", "RELEASE")
FORMAT = 1
ALLOWED = (
    "Allowed are losses that nobody can prevent: what was in flight on the very process that was killed, and what "
    "was sent while no healthy way to an answer existed. Seconds are judged on a quiet machine only."
)


def row(report: Report) -> tuple[str, ...]:
    """One line of the table."""
    return (
        report.drill.name,
        report.verdict.value,
        str(report.sent),
        str(report.failed),
        str(report.truncated),
        str(report.allowed),
        _seconds(report.recovery_s),
        report.ended or "-",
    )


def headline(reports: Sequence[Report]) -> str:
    """What a person must know first."""
    counts = {verdict: sum(one.verdict is verdict for one in reports) for verdict in Verdict}
    sent = sum(one.sent for one in reports)
    lost = sum(one.failed + one.truncated for one in reports)
    allowed = sum(one.allowed for one in reports)
    told = ", ".join(f"{number} {verdict.value}" for verdict, number in counts.items() if number)
    return (
        f"{len(reports)} drills: {told or 'none played'}. {sent} requests sent, {lost} lost: "
        f"{allowed} where no healthy way existed or on the very process that was killed, {lost - allowed} elsewhere."
    )


def as_data(reports: Sequence[Report], at: datetime, machine: dict[str, str]) -> dict[str, Any]:
    """Everything, with stable keys."""
    return {
        "format": FORMAT,
        "at": at.isoformat(timespec="seconds"),
        "machine": machine,
        "verdict": worst(tuple(reports)).value,
        "headline": headline(reports),
        "drills": [report.as_dict() for report in reports],
    }


def markdown(reports: Sequence[Report], at: datetime, machine: dict[str, str]) -> str:
    """A report that a person can read alone."""
    lines = [
        "# Chaos drills",
        "",
        f"{at:%Y-%m-%d %H:%M} UTC. **{worst(tuple(reports)).value}.** {headline(reports)}",
        "",
        _table_row([name.capitalize() for name in COLUMNS]),
        _table_row(["---"] * len(COLUMNS)),
        *(_table_row(row(report)) for report in reports),
        "",
        ALLOWED,
        "",
    ]
    for report in reports:
        lines += _section(report)
    lines += ["## Machine", "", *(f"- {name}: {value}" for name, value in machine.items()), ""]
    return "\n".join(lines)


def _section(report: Report) -> list[str]:
    drill = report.drill
    lines = [
        f"## {drill.name}: {report.verdict.value}",
        "",
        f"- Fault: {drill.fault}.",
        f"- Expected: {drill.expected}.",
        _requests(report),
        f"- Recovered: {_seconds(report.recovery_s)} (promised {drill.promised_s:g} s).",
    ]
    if report.outage_s is not None:
        lines.append(f"- Clients waited {_seconds(report.outage_s)} for the next answer.")
    if report.ended:
        lines.append(f"- The release ended as: {report.ended}.")
    lines += [f"- **{_cell(reason)}**" for reason in report.reasons]
    lines += [f"- Lost: {_loss(report, number)}" for number in range(min(5, len(report.losses)))]
    if report.did:
        lines += ["", "What the system did:", "", "```text", *report.did, "```"]
    return [*lines, ""]


def _requests(report: Report) -> str:
    return (
        f"- Requests: {report.sent} sent, {report.answered} answered, {report.failed} failed, "
        f"{report.truncated} cut off; {report.allowed} of the lost were allowed."
    )


def _loss(report: Report, number: int) -> str:
    loss = report.losses[number]
    kind = "stream" if loss.is_stream else "request"
    return _cell(
        f"{kind} sent {loss.sent_at:%H:%M:%S.%f}, {loss.outcome} {loss.ended_at:%H:%M:%S.%f} "
        f"on {loss.set_name or 'no named set'}: {loss.error}"
    )


def _table_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(text: str) -> str:
    """Text of others on one line of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} s"
