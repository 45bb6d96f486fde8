"""The page of a report: one file, nothing loaded, one script that its policy names, and no markup of a server."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from tests.unit.benchmark.report_samples import BOUND, HOSTILE, REPORTS, pair_report, run_report, sample_run
from tidegate.benchmark.report.document import BenchmarkReport
from tidegate.benchmark.report.reports import as_html, view_of
from tidegate.benchmark.report.verdicts import Exit, verdict_of, verdict_of_report
from tidegate.benchmark.report.warnings import warnings_of
from tidegate.benchmark.summary import summarise

VOID = {"meta", "br", "line", "rect", "path", "circle"}


class Page(HTMLParser):
    """Tags with their attributes, whether they close in order, and the texts of scripts."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.scripts: list[tuple[str | None, str]] = []
        self.styles: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts.append((dict(self.tags[-1][1]).get("type"), data))
        elif self.open and self.open[-1] == "style":
            self.styles.append(data)
        else:
            self.text += data


@pytest.fixture(scope="module", params=list(REPORTS))
def page(request) -> Page:
    return Page(as_html(REPORTS[request.param]()).decode())


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_a_page_is_whole_and_loads_nothing(page: Page):
    assert page.open == []
    for tag, attributes in page.tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "form", "use", "image")
        for name, value in attributes.items():
            assert name not in ("src", "style", "action", "xlink:href")
            assert not name.startswith("on")
            assert name != "href" or str(value).startswith("#")
    assert "http://" not in "".join(page.styles)
    assert "@import" not in "".join(page.styles)


def test_the_policy_allows_the_one_script_and_the_one_style_by_hash(page: Page):
    policy = next(one["content"] for tag, one in page.tags if tag == "meta" and one.get("http-equiv"))
    code = [text for kind, text in page.scripts if kind != "application/json"]
    assert len(code) == 1
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{_hash(page.styles[0])}'; script-src 'sha256-{_hash(code[0])}'; "
        "base-uri 'none'; form-action 'none'"
    )


def test_data_of_the_plots_is_json_in_which_no_markup_can_begin(page: Page):
    data = [text for kind, text in page.scripts if kind == "application/json"]
    assert data
    for text in data:
        assert "<" not in text
        assert json.loads(text)["x"]["low"] < json.loads(text)["x"]["high"]


def test_no_secret_and_no_control_code_is_in_a_page(page: Page):
    everything = page.text + "".join(text for _, text in page.scripts)
    assert "secret" not in everything
    assert "\x1b" not in everything
    assert "\u202e" not in everything


def test_plots_have_titles_words_and_two_widths(page: Page):
    figures = [one for tag, one in page.tags if tag == "figure"]
    drawings = [one for tag, one in page.tags if tag == "svg" and "drawing" in (one.get("class") or "")]
    assert figures
    assert len(drawings) == 2 * len(figures)
    assert all(one["role"] == "img" and one["aria-label"] for one in drawings)


def test_text_of_a_server_is_shown_and_is_no_markup():
    html = as_html(run_report()).decode()
    assert "<script>alert" not in html
    assert "alert(1)" in Page(html).text
    assert HOSTILE not in html


def test_ids_are_unique():
    html = as_html(pair_report()).decode()
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_what_makes_figures_unusable_stands_at_the_top():
    report = BenchmarkReport.of_run(sample_run(honesty=BOUND))
    view = view_of(report)
    assert view.word == "Client-bound"
    assert "not usable for a decision" in view.warnings[0]
    assert verdict_of_report(report).exit is Exit.NOT_JUDGED


def test_failures_few_requests_and_a_closed_loop_are_warned_of():
    run = sample_run(count=60, mode="closed", honesty=None, cache_prompt=None)
    told = " ".join(warnings_of(run, summarise(run)))
    for words in (
        "did not watch itself",
        "1 of 60 requests failed",
        "are few",
        "Closed loop",
        "cache is unknown",
    ):
        assert words in told


def test_a_chunk_of_four_tokens_is_warned_of():
    from tests.unit.benchmark.runs import request, run

    rows = [request(index=number, at_ms=number * 10, per_chunk=4) for number in range(20)]
    told = " ".join(warnings_of(run(rows), summarise(run(rows))))
    assert "A chunk holds 4.00 tokens" in told


@pytest.mark.parametrize(
    ("ttft_ms", "count", "word", "code"),
    [
        (1000, 400, "Within limits", Exit.DONE),
        (1, 400, "Limits missed", Exit.FAIL),
        (1000, 8, "Not judged", Exit.NOT_JUDGED),
    ],
)
def test_limits_are_kept_missed_or_not_judged_by_the_interval(ttft_ms, count, word, code):
    from tests.unit.benchmark.runs import request, run
    from tidegate.benchmark.goodput import Slo

    rows = [request(index=number, at_ms=number * 10) for number in range(count)]
    verdict = verdict_of(summarise(run(rows), Slo(ttft_ms=ttft_ms)))
    assert (verdict.word, verdict.exit) == (word, code)


def test_a_run_without_any_answer_measured_nothing():
    from tests.unit.benchmark.runs import failed, run

    rows = [failed(index=number, at_ms=number * 10, error="reset: refused") for number in range(5)]
    verdict = verdict_of(summarise(run(rows)))
    assert (verdict.word, verdict.exit) == ("Nothing was measured", Exit.NOT_JUDGED)
    assert "reset: refused" in verdict.sentence


@pytest.mark.parametrize(
    ("slower", "word", "code"), [(1.0, "No regression", Exit.DONE), (2.0, "Regression", Exit.FAIL)]
)
def test_two_runs_have_a_verdict(slower, word, code):
    report = pair_report(slower)
    metrics = {row.metric: row.verdict for row in report.comparison.metrics}
    verdict = verdict_of_report(report)
    if "not_judged" not in metrics.values():
        assert (verdict.word, verdict.exit) == (word, code)
    assert verdict.word == view_of(report).word


def test_what_keeps_two_runs_from_being_compared_is_said_once():
    from tidegate.benchmark.compare import compare_runs
    from tidegate.benchmark.report.compare_view import view_of_comparison

    base, candidate = sample_run(id_="a", honesty=BOUND), sample_run(id_="b")
    found = compare_runs(base, candidate)
    view = view_of_comparison(found, (base, summarise(base)), (candidate, summarise(candidate)))
    assert len(view.sentences) == 1
    assert sum("woke late" in warning for warning in view.warnings) == 1


def test_a_sweep_of_a_client_that_was_the_limit_has_no_knee():
    from tests.unit.benchmark.report_samples import sweep_report
    from tidegate.benchmark.report.sweep_view import view_of_levels

    report = sweep_report()
    bound = tuple(
        one.model_copy(update={"summary": summarise(one.run.model_copy(update={"honesty": BOUND}))})
        for one in report.runs
    )
    view = view_of_levels(report.model_copy(update={"runs": bound}), 10.0, "The server keeps up until 10.")
    assert view.word == "Client-bound"
    assert not any("keeps up" in sentence for sentence in view.sentences)


def test_different_loads_are_not_compared():
    from tidegate.benchmark.compare import compare_runs
    from tidegate.benchmark.report.verdicts import verdict_of_comparison

    found = compare_runs(sample_run(id_="a"), sample_run(id_="b", mode="poisson"))
    verdict = verdict_of_comparison(found)
    assert verdict.exit is Exit.NOT_JUDGED
    assert "the load differs" in verdict.sentence
