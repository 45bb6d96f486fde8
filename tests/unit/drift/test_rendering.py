"""Reports in Markdown and HTML, and as the ledger keeps them."""

import re

from tests.unit.drift.samples import AT, report
from tidegate.domain import MeasurementKind, ServiceRef
from tidegate.drift.bounds_report import BoundsReport, judge_bounds
from tidegate.drift.filing import measurement_id, measurement_of, report_of
from tidegate.drift.html import to_html
from tidegate.drift.judging import USUAL_LIMITS, judge_drift
from tidegate.drift.markdown import headline, to_markdown, to_text
from tidegate.drift.report import DriftReport

BOUNDS = BoundsReport(
    taken_at=AT, base="http://a/v1", candidate="http://b/v1", source="general", digest="c" * 64
)


def rendered(found: DriftReport) -> tuple[str, str]:
    rows = judge_drift(found, USUAL_LIMITS)
    return to_markdown(found, rows), to_html(found, rows)


def test_a_report_says_the_verdict_the_numbers_and_the_noise():
    for text in rendered(report(0.5, rise=-0.1)):
        assert "Drifted: cand" in text
        assert "drift.must_not_change" in text
        assert "Texts that are meant to change" in text
        assert "Noise floor" in text
        assert "600 tokens a second" in text


def test_texts_of_models_are_no_markup():
    markdown, html = rendered(report(0.5))
    assert "<b>the" not in html
    assert "<script" not in html
    assert "default-src 'none'" in html
    row = next(line for line in markdown.splitlines() if "the ¦ tide" in line)
    assert len(re.findall(r"(?<!\\)\|", row)) == 7


def test_the_headline_is_the_worst_row():
    assert headline(judge_drift(report(0.01, rise=-0.1), USUAL_LIMITS)) == "As allowed"
    assert headline(judge_drift(report(0.01, rise=0.5), USUAL_LIMITS)) == "As allowed, with warnings"
    assert headline(judge_drift(report(texts=3), USUAL_LIMITS)) == "Not judged"
    assert headline(judge_drift(report(refusal="x", sets=()), USUAL_LIMITS)) == "Cannot be compared"
    assert headline([]) == "Not judged"


def test_a_terminal_gets_a_few_plain_lines():
    lines = list(to_text(report(0.5)))
    assert any("behind '<b>the | tide'" in line for line in lines)
    assert all("\n" not in line for line in lines)


def test_bounds_are_always_called_bounds():
    rows = judge_bounds(BOUNDS, USUAL_LIMITS)
    assert "not a measurement" in to_markdown(BOUNDS, rows)
    assert "not a measurement" in to_html(BOUNDS, rows)


def test_what_the_ledger_keeps_is_the_report_again():
    found = report(0.5, rise=-0.1)
    kept = measurement_of("drift-1234", found, ServiceRef("acme", "chat"))
    assert (kept.kind, kept.org, kept.digest) == (MeasurementKind.DRIFT, "acme", "b" * 64)
    assert kept.summary["sets"]["must_not_change"]["kl"]["mean"] == found.sets[0].kl.mean
    assert report_of(kept) == found
    assert report_of(kept.model_copy(update={"record": None})) is None


def test_the_id_follows_from_files_texts_and_settings():
    same = measurement_id("a", "b", {"x": "1"}, {"context_tokens": 256})
    assert same == measurement_id("a", "b", {"x": "1"}, {"context_tokens": 256})
    assert same != measurement_id("b", "a", {"x": "1"}, {"context_tokens": 256})
    assert same != measurement_id("a", "b", {"x": "2"}, {"context_tokens": 256})
