"""The report: whole, safe to open, and without anything outside itself."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tidegate.demo.charts import bins_of, chart, marks_of
from tidegate.demo.report import render_report, topics_of, write_report
from tidegate.demo.scenario import ACTS
from tidegate.demo.story import Story
from tidegate.demo.summary import summarise
from tidegate.domain import InvalidInput

VOID = {"meta", "line", "rect", "br", "polyline"}
LOADING = {"src", "href", "srcset", "data", "action", "poster", "xlink:href"}


class Page(HTMLParser):
    """Reads a page as a browser would, strictly: every element closed, nothing loaded."""

    def __init__(self, html: str):
        super().__init__()
        self.open: list[str] = []
        self.loads: list[tuple[str, str | None]] = []
        self.tags: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.loads += [(name, value) for name, value in attrs if name in LOADING or name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text += data


def page_of(story: Story) -> Page:
    return Page(render_report(story, summarise(story, len(ACTS))))


def test_the_page_is_whole_and_loads_nothing(story: Story):
    page = page_of(story)

    assert page.open == []
    assert page.loads == []
    assert not page.tags & {"script", "link", "img", "iframe", "object"}


def test_the_style_refers_to_nothing_outside(story: Story):
    html = render_report(story, summarise(story, len(ACTS)))
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)

    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    assert "prefers-color-scheme: dark" in style[1]


def test_texts_of_others_cannot_become_markup(with_service: Callable[..., Story], story: Story):
    acts = story.services[0].acts
    evil = acts[0].release.model_copy(update={"reason": "<script>alert(1)</script>", "id": '"><img src=x>'})

    page = page_of(with_service(acts=(acts[0].model_copy(update={"release": evil}), *acts[1:])))

    assert "script" not in page.tags
    assert page.loads == []
    assert "<script>alert(1)</script>" in page.text


def test_the_page_tells_every_release_and_every_topic(story: Story):
    text = page_of(story).text

    for act in ACTS:
        assert act.version in text
        assert act.shows in text
    assert "14 → 0 of 14" in text
    assert "A processor" in text
    assert "in flight on the set that we killed" in text


def test_a_demonstration_that_failed_says_why_first(with_service: Callable[..., Story]):
    text = page_of(with_service(acts=(), samples=(), failures=(), problem="[TG-1000] Prefect is away.")).text

    assert "Not everything went as it must." in text
    assert "Prefect is away." in text


def test_the_report_is_written_where_it_was_asked_for(story: Story, tmp_path: Path):
    summary = summarise(story, len(ACTS))

    path = write_report(tmp_path / "new" / "report.html", story, summary)

    assert path.read_text(encoding="utf-8") == render_report(story, summary)
    assert [item.name for item in path.parent.iterdir()] == ["report.html"]


def test_a_place_that_cannot_be_written_is_bad_input(story: Story, tmp_path: Path):
    (tmp_path / "file").write_text("")

    with pytest.raises(InvalidInput, match="cannot be written"):
        write_report(tmp_path / "file" / "report.html", story, summarise(story, len(ACTS)))


def test_the_chart_counts_every_answer_once(story: Story):
    service = story.services[0]

    bins = bins_of(service, story.started_at)

    total = dict.fromkeys(service.samples[-1].answered, 0)
    for one in bins:
        for version, count in one.answered.items():
            total[version] += count
    assert total == service.samples[-1].answered
    assert sum(one.bad for one in bins) == len(service.failures)


def test_the_chart_marks_steps_refusal_kill_and_return_in_order(story: Story):
    marks = [mark.text for mark in marks_of(story.services[0], story.started_at)]

    assert marks == [
        "v1 100 %", "v1 live", "v2 10 %", "50 %", "100 %", "v2 live", "v3-regressed refused",
        "v2-fast 10 %", "50 %", "killed", "goes back",
    ]  # fmt: skip


def test_a_service_without_samples_still_has_a_chart(with_service: Callable[..., Story], story: Story):
    empty = with_service(acts=(), samples=(), failures=()).services[0]

    assert chart(empty, story.started_at, story.started_at).startswith("<svg")


def test_topics_are_listed_with_the_worst_first(story: Story):
    topics = topics_of(story.services[0].acts[2])

    assert [(topic.name, topic.before, topic.after, topic.is_lost) for topic in topics] == [
        ("capital", 14, 0, True),
        ("json", 10, 3, True),
        ("greeting", 6, 6, False),
    ]


def test_nothing_is_drawn_outside_the_picture(story: Story):
    drawing: Any = chart(story.services[0], story.started_at, story.ended_at)

    width, height = (float(number) for number in re.findall(r'viewBox="0 0 (\S+) (\S+)"', drawing)[0])
    for name, value in re.findall(r'\b(x|y|x1|x2|y1|y2)="(-?[\d.]+)"', drawing):
        assert 0 <= float(value) <= (width if name.startswith("x") else height)
