"""`report.html`: one file that opens anywhere, without a network and without JavaScript."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tidegate.demo.charts import chart
from tidegate.demo.scenario import failed_topics
from tidegate.demo.stages import Stage, stages
from tidegate.demo.story import ActRecord, ServiceStory, Story
from tidegate.demo.summary import ActSummary, StorySummary
from tidegate.demo.verdict import duration, remarks, totals_line
from tidegate.domain import InvalidInput, JournalEntry, Verdict

TEMPLATE = "report.html.j2"
VERDICT_MARKS = {Verdict.PASS: "good", Verdict.FAIL: "bad", Verdict.NOT_JUDGED: "warn", Verdict.ERROR: "bad"}


@dataclass(frozen=True)
class Topic:
    """Right answers of one topic by the live model and by the candidate."""

    name: str
    before: int
    after: int
    total: int
    is_lost: bool


@dataclass(frozen=True)
class Chapter:
    """One release as the page shows it."""

    record: ActRecord
    figures: ActSummary
    remarks: list[str]
    stages: list[Stage]
    topics: list[Topic]
    timeline: list[tuple[float, JournalEntry]]


@dataclass(frozen=True)
class Part:
    """One service as the page shows it."""

    story: ServiceStory
    drawing: Markup
    chapters: list[Chapter]
    answered: list[tuple[str, int]]


def write_report(path: Path, story: Story, summary: StorySummary) -> Path:
    """Write the page in one step; returns where it is.

    Raises:
        InvalidInput: when nothing can be written there.
    """
    target = path.expanduser().absolute()
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(render_report(story, summary), encoding="utf-8")
        draft.replace(target)
    except OSError as error:
        raise InvalidInput(
            f"The report cannot be written to {target} ({error.strerror}).",
            remedy="Name another place with --report PATH.",
            field="report",
        ) from error
    return target


def render_report(story: Story, summary: StorySummary) -> str:
    """The page. Every text of others is escaped by the template engine."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template(TEMPLATE)
    return template.render(
        duration=duration,
        clock=_clock,
        story=story,
        summary=summary,
        totals=totals_line(story, summary),
        parts=[_part(service, story, summary) for service in story.services],
        slowest=_slowest(summary.acts),
        verdict_marks=VERDICT_MARKS,
    )


def _part(service: ServiceStory, story: Story, summary: StorySummary) -> Part:
    figures = {act.version: act for act in summary.acts if act.service == service.service}
    answered = service.samples[-1].answered if service.samples else {}
    return Part(
        story=service,
        drawing=chart(service, story.started_at, story.ended_at),
        chapters=[_chapter(act, figures[act.version]) for act in service.acts],
        answered=[(act.version, answered.get(act.version, 0)) for act in service.acts],
    )


def _chapter(act: ActRecord, figures: ActSummary) -> Chapter:
    start = act.entries[0].at if act.entries else act.release.created_at
    end = act.entries[-1].at if act.entries else act.release.updated_at
    return Chapter(
        record=act,
        figures=figures,
        remarks=remarks(figures),
        stages=[stage for stage in stages(act.entries, end) if stage.seconds is not None],
        topics=topics_of(act),
        timeline=[(_seconds(entry.at, start), entry) for entry in act.entries if entry.kind != "intent"],
    )


def topics_of(act: ActRecord) -> list[Topic]:
    """Topics before and after, the worst first; empty for a release without a live model to compare with."""
    lost = failed_topics(act.evidence)
    told: dict[str, Any] = {}
    for row in act.evidence:
        if row.check == "quality.topics":
            told = row.data.get("topics", {})
    found = [_topic(name, str(change), is_lost=name in lost) for name, change in told.items()]
    return sorted(found, key=lambda topic: (topic.after - topic.before, topic.name))


def _topic(name: str, change: str, *, is_lost: bool) -> Topic:
    """Reads `7/8 -> 2/8`, as the quality gate tells it."""
    before, _, after = change.partition(" -> ")
    return Topic(
        name=name,
        before=int(before.partition("/")[0]),
        after=int(after.partition("/")[0]),
        total=int(after.partition("/")[2]),
        is_lost=is_lost,
    )


def _slowest(acts: Sequence[ActSummary]) -> dict[str, str]:
    """The worst of each time: a best case would prove nothing."""
    times = {
        "switch": [act.switch_s for act in acts],
        "rollback": [act.rollback_s for act in acts],
        "detection": [act.detection_s for act in acts],
    }
    return {
        name: duration(max((value for value in values if value is not None), default=None)) or "–"
        for name, values in times.items()
    }


def _clock(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")


def _seconds(at: datetime, start: datetime) -> float:
    return (at - start).total_seconds()
