"""Reports as JSON, Markdown, HTML, SARIF and JUnit: what they say first, and that no text of a file acts in them."""

import itertools
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from tests.unit.validation.sample_reports import HOSTILE, SAMPLES, hostile, refused, sound
from tidegate.validation.baseline_view import baseline_view
from tidegate.validation.html import to_html
from tidegate.validation.junit import to_junit
from tidegate.validation.markdown import to_markdown
from tidegate.validation.reasons import Weight, category_views, grouped_names, reasons, verdict_sentence
from tidegate.validation.report import ValidationReport
from tidegate.validation.sarif import to_sarif
from tidegate.validation.schema import as_text, report_schema

ROOT = Path(__file__).parents[3]
EVERY_SAMPLE = pytest.mark.parametrize("name", SAMPLES)
SARIF_STRUCTURE = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "required": ["tool", "results", "artifacts"],
                "properties": {
                    "tool": {"required": ["driver"], "properties": {"driver": {"required": ["name", "rules"]}}},
                    "artifacts": {"type": "array", "uniqueItems": True},
                    "results": {
                        "type": "array",
                        "items": {
                            "required": ["ruleId", "ruleIndex", "kind", "level", "message", "locations"],
                            "properties": {
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "kind": {"enum": ["pass", "open", "fail"]},
                                "message": {"required": ["text"]},
                            },
                        },
                    },
                },
            },
        },
    },
}  # fmt: skip


class Page(HTMLParser):
    """Elements, attributes and text of a page, as a browser takes them apart."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def _headings(markdown: str) -> list[str]:
    return [line for line in markdown.splitlines() if line.startswith("#")]


def test_the_published_schema_is_what_the_models_generate():
    published = (ROOT / "docs" / "schemas" / "validation-report.json").read_text()
    assert published == as_text(), "write it anew: python -m tidegate.validation.schema"


@EVERY_SAMPLE
def test_reports_validate_against_the_published_schema_and_come_back_equal(name: str):
    report = SAMPLES[name]()
    data = json.loads(report.as_json())
    jsonschema.Draft202012Validator(report_schema()).validate(data)
    assert ValidationReport.model_validate(data) == report


def test_the_schema_refuses_a_report_without_results():
    data = sound().as_data()
    del data["results"]
    assert not jsonschema.Draft202012Validator(report_schema()).is_valid(data)


def test_reasons_come_worst_first_and_each_kind_once():
    told = [(reason.rule, reason.weight) for reason in reasons(refused())]
    assert told == [
        ("V-EOS", Weight.REFUSES), ("N-NAN", Weight.REFUSES), ("C-WORD", Weight.REFUSES),
        ("latency.decode", Weight.REFUSES), ("inference.load", Weight.NOT_JUDGED),
        ("S-FTYPE", Weight.WARNS), ("M-CONTEXT", Weight.WARNS), ("file.digest", Weight.NOT_ASKED),
    ]  # fmt: skip
    nan = reasons(refused())[1]
    assert (len(nan.places), nan.more) == (5, 3)
    assert nan.places[0].where == "blk.0.ffn_up.weight, byte 2400000000"


def test_the_verdict_says_how_many_reasons_there_are_and_what_to_serve():
    assert verdict_sentence(refused()) == (
        "Four reasons to refuse it. One check had no result then. Serve v3 instead."
    )
    assert verdict_sentence(sound()) == "No check refuses it."


def test_all_eight_categories_are_listed_also_those_that_nothing_covers():
    views = {view.title: view.status_title for view in category_views(refused())}
    assert len(views) == 8
    assert views["Format"] == "failed"
    assert views["Regression"] == "not checked"


def test_markdown_begins_with_the_verdict_and_says_where_and_what_to_do():
    text = to_markdown(refused())
    assert _headings(text)[:3] == [
        "# Do not deploy; roll back: pipit-8b v4", "## Why, and what to do",
        "### V-EOS: The end token '\\<s\\>' (id 1) is one that begins text; answers would not end.",
    ]  # fmt: skip
    assert "- **Where:** `tokenizer.ggml.eos_token_id`, byte 7412" in text
    assert "- **What to do:** Set tokenizer.ggml.eos_token_id to the token" in text


def test_what_had_no_result_because_of_a_refusal_is_one_line():
    text = to_markdown(refused())
    assert "## Without a result\n\ninference.load." in text
    assert (
        grouped_names(["gguf.memory", *(f"inference.{n}" for n in range(6))])
        == "gguf.memory, inference (6 checks)"
    )


def test_the_difference_to_the_baseline_is_told_by_topic_with_what_was_lost():
    view = baseline_view(sound())
    assert view is not None
    assert [(score.name, score.before, score.after) for score in view.scores] == [
        ("all questions", 20, 22), ("capital", 8, 7), ("fact", 6, 8), ("sum", 6, 7),
    ]  # fmt: skip
    assert ("vocabulary", "128000", "128256") in view.facts
    for text in (to_markdown(sound()), Page(to_html(sound())).text):
        assert "capital-1" in text
        assert "added tokens" in text


def test_a_baseline_of_another_shape_is_left_out_and_breaks_nothing():
    odd = sound().model_copy(update={"baseline": {"scores": [1], "model": "x", "template": {"diff": 7}}})
    assert baseline_view(odd) is not None
    assert "Difference to" in to_markdown(odd)
    assert "Difference to" in Page(to_html(odd)).text


def test_markdown_of_a_sound_model_gives_no_reasons():
    assert _headings(to_markdown(sound()))[:2] == ["# Deploy: pipit-8b v4", "## The eight categories"]


def test_no_text_of_a_file_acts_in_markdown():
    text = to_markdown(hostile())
    outside_code = re.sub(r"(?s)```.*?```|`[^`\n]*`", "", text)
    assert not re.search(r"(?<!\\)<script|(?<!\\)\[a\]\(|(?<!\\)!\[|http://", outside_code)
    assert all(line.isprintable() for line in text.splitlines())
    tables = itertools.groupby(text.splitlines(), lambda line: line.startswith("|"))
    for rows in (list(rows) for is_table, rows in tables if is_table):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1


@EVERY_SAMPLE
def test_the_page_loads_nothing_and_runs_nothing(name: str):
    page = Page(to_html(SAMPLES[name]()))
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "img", "link", "iframe", "object", "embed", "form", "base", "a href"}
    assert "http" not in " ".join(
        str(value)
        for _, attributes in page.tags
        for key, value in attributes.items()
        if key in ("src", "href")
    )
    assert not [key for _, attributes in page.tags for key in attributes if key.startswith("on")]
    policy = next(a["content"] for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_no_text_of_a_file_acts_in_the_page():
    text = to_html(hostile())
    assert "<script" not in text
    assert not [character for character in text if not character.isprintable() and character != "\n"]
    assert "alert(1)" in Page(text).text


def test_the_page_says_why_and_reads_aloud():
    page = Page(to_html(refused()))
    assert "Do not deploy; roll back" in page.text
    assert "Set tokenizer.ggml.eos_token_id to the token" in page.text
    drawings = [attributes for tag, attributes in page.tags if tag == "svg" and "class" in attributes]
    assert drawings
    assert all(a.get("aria-label") or a.get("aria-hidden") for a in drawings)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))


@EVERY_SAMPLE
def test_sarif_has_the_structure_of_its_schema(name: str):
    log = json.loads(to_sarif([SAMPLES[name](), SAMPLES[name]()]))
    jsonschema.Draft202012Validator(SARIF_STRUCTURE).validate(log)
    rules = log["runs"][0]["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for row in log["runs"][0]["results"]:
        assert rules[row["ruleIndex"]]["id"] == row["ruleId"]


def test_sarif_points_at_the_byte_and_says_what_to_do():
    run = json.loads(to_sarif([refused()]))["runs"][0]
    row = next(row for row in run["results"] if row["ruleId"] == "V-EOS")
    assert row["locations"][0]["physicalLocation"]["region"]["byteOffset"] == 7412
    assert row["level"] == "error"
    rule = run["tool"]["driver"]["rules"][row["ruleIndex"]]
    assert "What to do: Set tokenizer.ggml.eos_token_id" in rule["help"]["text"]
    kinds = {row["ruleId"]: row["kind"] for row in run["results"]}
    assert (kinds["file.size"], kinds["inference.load"]) == ("pass", "open")


def test_paths_in_sarif_are_addresses_whatever_they_hold():
    uri = json.loads(to_sarif([hostile()]))["runs"][0]["artifacts"][0]["location"]["uri"]
    assert re.fullmatch(r"file:///[A-Za-z0-9%/._~-]+", uri)


@EVERY_SAMPLE
def test_junit_has_a_suite_for_every_category_and_counts_what_refuses(name: str):
    report = SAMPLES[name]()
    root = ET.fromstring(to_junit([report]))
    assert len(root.findall("testsuite")) == 8
    refusing = sum(result.is_refusing for result in report.results)
    assert int(root.attrib["failures"]) + int(root.attrib["errors"]) == refusing
    assert len(root.findall(".//failure")) + len(root.findall(".//error")) == refusing


def test_what_nobody_could_judge_is_an_error_in_junit_and_what_nobody_asked_for_is_skipped():
    root = ET.fromstring(to_junit([refused()]))
    cases = {case.attrib["name"]: [child.tag for child in case] for case in root.iter("testcase")}
    assert cases["inference.load"] == ["error"]
    assert cases["file.digest"] == ["skipped"]
    assert cases["file.size"] == []


def test_no_control_code_of_a_file_reaches_any_format():
    report = hostile()
    for text in (to_markdown(report), to_html(report), to_junit([report]), to_sarif([report])):
        assert not {"\x1b", "\x00", "\u202e"} & set(text)
    assert HOSTILE in json.loads(report.as_json())["model_name"]
