"""Reports in every form: current schema, whole round trip, tables that spreadsheets cannot run, pictures."""

import csv
import io
import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from tests.unit.benchmark.report_samples import (
    HOSTILE,
    REPORTS,
    SLO,
    pair_report,
    run_report,
    sample_run,
    search_report,
    sweep_report,
)
from tidegate.benchmark.report.csv_tables import FIGURE_COLUMNS, REQUEST_COLUMNS, figures_csv, requests_csv
from tidegate.benchmark.report.document import BenchmarkReport
from tidegate.benchmark.report.png import poster
from tidegate.benchmark.report.reports import (
    FORMATS,
    as_json,
    as_markdown,
    as_png,
    knee_of_report,
    summary_of,
    view_of,
)
from tidegate.benchmark.report.schema import as_text, report_schema
from tidegate.benchmark.report.thinning import MOST_DOTS, cumulative, thinned
from tidegate.domain import InvalidInput, pack_record

ROOT = Path(__file__).parents[3]


def test_the_published_schema_is_what_the_models_generate():
    published = (ROOT / "docs" / "schemas" / "benchmark-run.json").read_text()
    assert published == as_text(), "write it anew: python -m tidegate.benchmark.report.schema"


@pytest.mark.parametrize("name", REPORTS)
def test_documents_validate_against_the_published_schema_and_come_back_equal(name: str):
    report = REPORTS[name]()
    written = as_json(report)
    jsonschema.Draft202012Validator(report_schema()).validate(json.loads(written))
    assert BenchmarkReport.from_bytes(written) == report
    assert BenchmarkReport.from_bytes(pack_record(written.decode())) == report


def test_a_bare_run_as_releases_store_it_is_a_document_too():
    run = sample_run()
    assert BenchmarkReport.from_bytes(run.to_bytes()).runs[0].run == run


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no json", "neither JSON"),
        (b"[]", "no JSON object"),
        (b'{"kind":"tidegate.benchmark","schema_version":2}', "schema version 2"),
        (b'{"kind":"tidegate.benchmark","schema_version":1,"runs":[{}]}', "KeyError"),
        (b'{"kind":"tidegate.benchmark","schema_version":1,"runs":[]}', "cannot be read"),
        (b'{"id":"x"}', "contradicts itself or is incomplete"),
        (
            b'{"id":"../x","created_at":"2026-11-26T07:00:00Z","window_ns":[0,1]}',
            "id: String should match",
        ),
        (b"[" * 100_000, "neither JSON"),
    ],
)
def test_what_is_no_benchmark_is_refused_with_a_reason(data: bytes, message: str):
    with pytest.raises(InvalidInput, match=message):
        BenchmarkReport.from_bytes(data)


def test_every_planned_request_is_a_row_and_no_text_of_a_server_is_a_formula():
    report = run_report()
    rows = list(csv.DictReader(io.StringIO(requests_csv(report))))
    assert tuple(rows[0]) == REQUEST_COLUMNS
    assert len(rows) == len(report.runs[0].run.requests)
    assert {row["outcome"] for row in rows} == {"ok", "failed", "not_sent"}
    lost = next(row for row in rows if row["outcome"] == "failed")
    assert "\x1b" not in lost["error"]
    hostile = run_report(count=4, label="=cmd").runs[0].run.requests[-1]
    as_formula = hostile.model_copy(update={"finish_reason": "=HYPERLINK(1)"})
    changed = report.runs[0].run.model_copy(update={"requests": (as_formula,)})
    [row] = csv.DictReader(io.StringIO(requests_csv(BenchmarkReport.of_run(changed))))
    assert row["finish_reason"] == "'=HYPERLINK(1)"


def test_figures_stand_with_their_intervals_and_without_what_has_too_few_requests():
    rows = list(csv.DictReader(io.StringIO(figures_csv(run_report()))))
    assert tuple(rows[0]) == FIGURE_COLUMNS
    found = {(row["figure"], row["statistic"]): row for row in rows}
    p50 = found["ttft_planned", "p50"]
    assert float(p50["low"]) < float(p50["value"]) < float(p50["high"])
    assert ("ttft_planned", "p99") not in found
    assert found["attainment", "share"]["n"] == "240"


def test_failures_make_the_adjusted_tail_infinite_when_it_lies_among_them():
    rows = csv.DictReader(io.StringIO(figures_csv(run_report(count=1100))))
    found = {(row["figure"], row["statistic"]): row["value"] for row in rows}
    assert found["ttft", "p99_adjusted"] == "inf"
    assert float(found["ttft", "p99"]) < 200


@pytest.mark.parametrize("name", REPORTS)
def test_markdown_begins_with_the_verdict_and_lets_no_text_become_markup(name: str):
    text = as_markdown(REPORTS[name]()).decode()
    view = view_of(REPORTS[name]())
    assert text.startswith(f"# {view.word}: ")
    assert "<script" not in text.replace("\\<script", "")
    assert not re.search(r"(?<!\\)\]\(", text)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "secret" not in text


def test_markdown_of_a_run_has_the_sections_of_a_report():
    headings = [line for line in as_markdown(run_report()).decode().splitlines() if line.startswith("#")]
    assert headings == [
        "# Not judged: pipit v2", "## How long users wait", "## How much is served", "## Plots",
        "## How honest this client was", "## What each figure means",
    ]  # fmt: skip


def test_markdown_of_two_runs_says_the_verdict_in_words():
    text = as_markdown(pair_report(slower=2.0)).decode()
    assert text.startswith("# Regression: v2 against v1")
    assert "p50 TTFT is " in text
    assert "more than the 15 % allowed" in text
    assert "| p50 TTFT (" not in text
    assert "too slow" in text


def test_the_picture_is_a_png_of_every_plot():
    data = as_png(sweep_report())
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    assert width == 1350
    assert height > 900


def test_the_picture_holds_the_titles_and_no_markup_of_a_label():
    view = view_of(run_report(label="</svg><script>x</script>"))
    drawn = poster(view.title, "", view.plots)
    tags = {element.tag.rpartition("}")[2] for element in ET.fromstring(drawn).iter()}
    assert tags <= {"svg", "style", "g", "path", "rect", "line", "text"}
    assert "Latency over time" in drawn


def test_every_format_has_its_file_endings():
    assert set(FORMATS) == {"json", "csv", "md", "html", "png"}


def test_the_stored_summary_is_json_with_word_runs_and_comparison():
    stored = json.loads(json.dumps(summary_of(pair_report())))
    assert stored["what"] == "pair"
    assert len(stored["runs"]) == 2
    assert stored["comparison"]["metrics"][0]["metric"] == "ttft_p50"
    assert HOSTILE not in json.dumps(summary_of(sweep_report())["word"])


def test_a_sweep_of_fewer_than_three_loads_has_no_knee():
    assert knee_of_report(search_report()) == (None, "")
    assert knee_of_report(sweep_report())[1].startswith("The server")


def test_thinning_keeps_the_worst_points_and_the_ends_of_a_curve():
    points = [(float(number), 1.0) for number in range(50_000)]
    points[12_345] = (12_345.0, 99.0)
    kept = thinned(points)
    assert len(kept) <= MOST_DOTS + 1
    assert (12_345.0, 99.0) in kept
    curve = cumulative(
        "c", "s0", [float(number + 1) for number in range(10_000)] + [float("inf")] * 100, 10_100
    )
    assert curve.points[-1] == (10_000.0, pytest.approx(100 * 10_000 / 10_100))
    assert len(curve.points) < 400


def test_a_slo_is_told_in_the_document():
    assert run_report().slo == SLO
