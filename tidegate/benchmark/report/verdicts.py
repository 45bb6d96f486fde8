"""What a run came to, in one word and one sentence, and the exit code that says the same to CI."""

from dataclasses import dataclass
from enum import IntEnum

from tidegate.benchmark.compared import Comparison
from tidegate.benchmark.report.axes import percent
from tidegate.benchmark.report.document import WANTED_SHARE, BenchmarkReport
from tidegate.benchmark.summary import RunSummary
from tidegate.domain import Verdict as Judgement
from tidegate.domain.plain import plural


class Exit(IntEnum):
    """What CI acts on. 2 is kept for wrong input, as everywhere in this program."""

    DONE = 0
    FAIL = 1
    NOT_JUDGED = 3


@dataclass(frozen=True)
class Verdict:
    word: str
    tone: str
    sentence: str
    exit: Exit


def verdict_of(summary: RunSummary, wanted: float = WANTED_SHARE) -> Verdict:
    """Client-bound first: figures of a client that measured itself decide nothing."""
    counts = summary.requests
    if counts.ok == 0 and summary.attainment is None:
        why = summary.errors[0].reason if summary.errors else "none was sent"
        return Verdict("Nothing was measured", "bad", f"No request was answered: {why}.", Exit.NOT_JUDGED)
    if summary.not_gateable:
        sentence = (
            f"These figures are this client's as much as the server's: {'; '.join(summary.not_gateable)}."
        )
        return Verdict("Client-bound", "open", sentence, Exit.NOT_JUDGED)
    if summary.attainment is not None:
        return _limits(summary, wanted)
    if counts.ok < counts.planned:
        lost = counts.planned - counts.ok
        sentence = f"{lost} of {counts.planned} planned requests were not answered; no limits were asked for."
        return Verdict("Measured, with failures", "warn", sentence, Exit.DONE)
    return Verdict("Measured", "good", "No limits were asked for, so nothing is judged.", Exit.DONE)


def _limits(summary: RunSummary, wanted: float) -> Verdict:
    """The Wilson interval of the share of good requests against the share that is wanted."""
    share = summary.attainment
    assert share is not None, "asked for by the caller"
    limits = summary.slo.describe() if summary.slo else ""
    told = f"{percent(share.value)} of {share.n} planned requests kept {limits} ({percent(share.low)} to {percent(share.high)})"
    if share.n and share.low >= wanted:
        return Verdict("Within limits", "good", f"{told}; {percent(wanted)} are wanted.", Exit.DONE)
    if share.n and share.high < wanted:
        return Verdict("Limits missed", "bad", f"{told}; {percent(wanted)} are wanted.", Exit.FAIL)
    sentence = f"{told}: too few requests to tell it from the {percent(wanted)} that are wanted."
    return Verdict("Not judged", "open", sentence, Exit.NOT_JUDGED)


def verdict_of_levels(report: BenchmarkReport) -> Verdict:
    """A search answers its question or does not; a sweep asks none."""
    if all(one.summary.requests.ok == 0 for one in report.runs):
        return verdict_of(report.runs[0].summary)
    if report.search is not None:
        sentence = f"Highest load that keeps the limits: {report.search.sentence}."
        if report.search.answer == "undecided":
            return Verdict("Not judged", "open", sentence, Exit.NOT_JUDGED)
        return Verdict("Found", "good", sentence, Exit.DONE)
    bound = [one for one in report.runs if one.summary.not_gateable]
    told = f"{plural(len(report.runs), 'load')} measured."
    if len(bound) == len(report.runs):
        return Verdict(
            "Client-bound", "open", f"{told} At all of them this client was the limit.", Exit.NOT_JUDGED
        )
    over = next((one for one in report.runs if one.overload), None)
    end = (
        f" It ended at {over.load:g}: {over.overload}." if over is not None and over.load is not None else ""
    )
    return Verdict("Measured", "good", f"{told}{end}", Exit.DONE)


def verdict_of_comparison(found: Comparison) -> Verdict:
    """A regression was shown, ruled out, or neither."""
    if found.obstacles:
        return Verdict(
            "Not judged", "open", f"The runs cannot be compared: {found.obstacles[0]}.", Exit.NOT_JUDGED
        )
    match found.verdict:
        case Judgement.PASS:
            return Verdict(
                "No regression", "good", "Everything that is judged is inside its limit.", Exit.DONE
            )
        case Judgement.FAIL:
            slow = [row.label for row in found.metrics if row.verdict is Judgement.FAIL]
            return Verdict("Regression", "bad", f"Slower than allowed: {', '.join(slow)}.", Exit.FAIL)
        case _:
            open_ones = [row.label for row in found.metrics if row.verdict is not Judgement.PASS]
            sentence = f"Neither a regression nor its absence is shown for {', '.join(open_ones)}."
            return Verdict("Not judged", "open", sentence, Exit.NOT_JUDGED)


def verdict_of_report(report: BenchmarkReport) -> Verdict:
    """Of a document of any shape."""
    if report.comparison is not None:
        return verdict_of_comparison(report.comparison)
    if report.what in ("sweep", "search"):
        return verdict_of_levels(report)
    return verdict_of(report.runs[0].summary, report.wanted_share)
