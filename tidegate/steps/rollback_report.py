"""What a rollback would do, for a person to read. Pure."""

from tidegate.steps.rollback_safety import SafetyReport


def safety_markdown(report: SafetyReport) -> str:
    """Target, preconditions and what to do where one is missing."""
    lines = [f"# Rollback of {report.ref}", ""]
    if report.target is not None:
        how = "at once, its set is ready" if report.is_warm else "after its set was started"
        lines += [f"Goes back to **{report.target.label}**, {how}: {report.target.why}.", ""]
    lines += ["| precondition | verdict | found | remedy |", "|---|---|---|---|"]
    lines += [
        f"| {one.name} | {one.verdict.value} | {one.summary} | {one.remedy} |" for one in report.preconditions
    ]
    return "\n".join([*lines, "", "Nothing was changed."])
