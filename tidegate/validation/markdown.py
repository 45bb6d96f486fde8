"""Writes a validation report for people, as Markdown without colours or cursor codes."""

from tidegate.validation.report import Recommendation, ReportedFinding, ValidationReport, ValidationResult

HEADLINES: dict[Recommendation, str] = {
    Recommendation.DEPLOY: "Deploy",
    Recommendation.DEPLOY_WITH_WARNINGS: "Deploy, with warnings",
    Recommendation.DO_NOT_DEPLOY: "Do not deploy",
    Recommendation.ROLL_BACK: "Do not deploy; roll back",
}
MEBIBYTE = 1024**2


def to_markdown(report: ValidationReport) -> str:
    """The whole report. Everything that came from the file is escaped."""
    lines = [f"# Validation: {HEADLINES[report.recommendation]}", "", *_facts(report), ""]
    lines += ["| check | status | what was found |", "| --- | --- | --- |"]
    lines += [
        f"| `{result.check_name}` | {result.status.value} | {_cell(result.message)} |"
        for result in report.results
    ]
    for result in report.results:
        lines += _section(result)
    return "\n".join(lines) + "\n"


def _facts(report: ValidationReport) -> list[str]:
    facts = [
        f"- File: {_code(report.model_path)}, {report.size_bytes} bytes",
        f"- SHA-256: {_code(report.digest or 'not computed')}",
    ]
    if report.model is not None:
        model = report.model
        kinds = ", ".join(model.tensor_types)
        facts.append(f"- Model: {_code(model.name or 'unnamed')} ({_code(model.architecture)}), {kinds}")
    if report.memory is not None:
        memory = report.memory
        facts.append(
            f"- Memory: {memory.total_bytes / MEBIBYTE:.0f} MiB{' at most' if memory.is_upper_bound else ''} "
            f"(weights {memory.weights_bytes / MEBIBYTE:.1f}, cache {memory.kv_cache_bytes / MEBIBYTE:.1f}, "
            f"compute {memory.compute_bytes / MEBIBYTE:.1f}, overhead {memory.overhead_bytes / MEBIBYTE:.1f})"
        )
    return facts


def _section(result: ValidationResult) -> list[str]:
    if not result.findings:
        return []
    lines = ["", f"## `{result.check_name}`"]
    for found in result.findings:
        lines += ["", *_finding(found)]
    return lines


def _finding(found: ReportedFinding) -> list[str]:
    place = "" if found.offset is None else f" (byte {found.offset})"
    return [
        f"- **{found.check}** {found.severity.value}{place}: {_cell(found.message)}",
        f"  {found.explanation} {found.remedy}",
    ]


def _cell(text: str) -> str:
    """Plain text that cannot break out of a table cell or become markup, a link or a terminal code."""
    printable = "".join(character if character.isprintable() else "?" for character in text)
    for special in "\\`*_[]<>|":
        printable = printable.replace(special, "\\" + special)
    return printable


def _code(text: str) -> str:
    printable = "".join(character if character.isprintable() else "?" for character in text)
    return "`" + printable.replace("`", "'").replace("|", "/") + "`"
