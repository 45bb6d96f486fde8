"""What every form of the report says in the same words."""

from dataclasses import dataclass
from typing import Any, cast

from tidegate.domain import Verdict
from tidegate.quality.report.document import QualityReport
from tidegate.quality.results import BankResult

SHOWN_SETTINGS = (
    "temperature", "seed", "max_tokens", "stop", "cache_prompt", "concurrency", "order_seed", "samples", "repeated",
    "early_stopping", "engine",
)  # fmt: skip
WORDS = {
    Verdict.PASS: "passes",
    Verdict.FAIL: "fails",
    Verdict.NOT_JUDGED: "is not judged",
    Verdict.ERROR: "could not be judged",
}


@dataclass(frozen=True)
class ShownSlice:
    name: str
    pairs: int
    lost: int
    won: int
    p: float


def headline(report: QualityReport) -> str:
    """`pipit-v2 against pipit-v1: passes`."""
    ours = name_of(report.candidate)
    subject = ours if report.baseline is None else f"{ours} against {name_of(report.baseline)}"
    return f"{subject}: {WORDS[report.verdict]}" if report.rows else subject


def name_of(result: BankResult) -> str:
    return result.label or result.target or (result.model_digest or "a model")[:12]


def facts(report: QualityReport) -> list[tuple[str, str]]:
    """Name and value of everything that says what was done."""
    rows = [
        ("bank", f"{report.candidate.bank} ({report.candidate.bank_digest[:12]})"),
        ("candidate", told_result(report.candidate)),
    ]
    if report.baseline is not None:
        rows.append(("baseline", told_result(report.baseline)))
    if report.floor is not None:
        floor = report.floor
        rows.append(
            (
                "noise floor",
                f"the baseline differs from itself in {floor['other_score']} of {floor['compared']}",
            )
        )
    rows.append(("settings", told_settings(report.candidate)))
    rows += (
        [("limits", ", ".join(f"{name} {value}" for name, value in report.policy.items()))]
        if report.policy
        else []
    )
    rows.append(("taken", f"{report.created_at:%Y-%m-%d %H:%M} UTC ({report.id})"))
    notes = [*report.candidate.notes, *(report.baseline.notes if report.baseline else ())]
    return [*rows, *(("note", note) for note in dict.fromkeys(notes))]


def told_result(result: BankResult) -> str:
    digest = f", digest {result.model_digest[:12]}" if result.model_digest else ", digest not known"
    missing = f", {result.missing} without an answer" if result.missing else ""
    mean = "" if result.mean_value in (None, result.score) else f", mean score {share(result.mean_value)}"
    return f"{name_of(result)}: {result.right} of {result.total} right{mean}{missing} ({result.target or '-'}{digest})"


def told_settings(result: BankResult) -> str:
    settings = result.settings
    told = [
        f"{name} {_value(settings[name])}"
        for name in SHOWN_SETTINGS
        if settings.get(name) not in (None, [], "")
    ]
    return ", ".join(told) or "not recorded"


def share(value: float | None) -> str:
    """`1`, `0`, `0.63`, or `-` without an answer."""
    if value is None:
        return "-"
    return f"{value:.2f}".rstrip("0").rstrip(".")


def slice_rows(report: QualityReport) -> list[ShownSlice]:
    """Topics and tags of a comparison; nothing where there is but one."""
    row = next((one for one in report.rows if one.check == "quality.regression"), None)
    found = cast("list[dict[str, Any]]", [] if row is None else row.data.get("slices", []))
    if len(found) < 2:
        return []
    return [
        ShownSlice(str(one["slice"]), one["pairs"], one["lost"], one["won"], one["worse_p_adjusted"])
        for one in found
    ]


def _value(value: object) -> str:
    return ", ".join(map(str, cast("list[object]", value))) if isinstance(value, list) else str(value)
