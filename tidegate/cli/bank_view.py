"""What `tidegate bank` tells about a bank, as data and for people."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.cli.output import escape, print_table, say

if TYPE_CHECKING:
    from tidegate.quality import Bank, Question
    from tidegate.quality.leaks import LeakReport, Twin

SHOWN_LEAKS, SHOWN_TWINS, SHOWN_NAMES = 20, 10, 12


def checked(bank: "Bank", name: str, trains: Sequence[Path], margin: float) -> dict[str, Any]:
    """Everything that is known about one bank."""
    from tidegate.quality.leaks import find_leaks, twins
    from tidegate.statistics import plan_quality

    plan = plan_quality(len(bank.questions), margin)
    alike = twins(bank.questions)
    return {
        "bank": bank.name,
        "file": name,
        "format": bank.format,
        "digest": bank.digest,
        "questions": len(bank.questions),
        "clusters": bank.clusters,
        "topics": bank.topics,
        "tags": bank.tags,
        "scorers": bank.scorers,
        "plan": plan.describe(),
        "detectable_drop": round(plan.detectable_drop, 4),
        "provable_margin": round(plan.provable_margin, 4),
        "notes": list(bank.notes),
        "warnings": _warnings(bank, alike),
        "twins": [
            {
                "first": twin.first,
                "second": twin.second,
                "likeness": round(twin.likeness, 3),
                "places": [str(bank.places.get(one, "")) for one in (twin.first, twin.second)],
            }
            for twin in alike
        ],
        "train": [_train(find_leaks(bank, train)) for train in trains],
    }


def _warnings(bank: "Bank", alike: "Sequence[Twin]") -> list[str]:
    from tidegate.domain.plain import plural

    found: list[str] = []
    if alike:
        same = sum(twin.likeness == 1 for twin in alike)
        found.append(
            f"{plural(len(alike), 'pair')} of questions nearly the same, {same} of them word for word"
        )
    alone = sum(question.is_judged_alone for question in bank.questions)
    if alone:
        found.append(f"{plural(alone, 'question')} decided by a judge alone: shown, and never a gate")
    if bank.clusters < len(bank.questions) / 2:
        found.append(
            f"the {len(bank.questions)} questions come from {bank.clusters} templates or documents: they show less than "
            "as many independent questions would"
        )
    return found


def _train(report: "LeakReport") -> dict[str, Any]:
    return {
        "file": report.file,
        "rows": report.rows,
        "unreadable": report.unreadable,
        "questions": len(report.hits),
        "exact": report.exact,
        "unchecked": len(report.unchecked),
        "leaks": [
            {
                "question": leak.question,
                "place": leak.place,
                "train_place": leak.train_place,
                "share": round(leak.share, 3),
                "is_exact": leak.is_exact,
            }
            for leak in report.leaks
        ],
    }


def print_checked(one: dict[str, Any]) -> None:
    say(f"[bold]{escape(one['file'])}[/bold]  {one['questions']} questions, {one['format']}")
    for kind in ("topics", "tags", "scorers"):
        if one[kind]:
            say(f"{kind}: {_counted(one[kind])}")
    if one["clusters"] < one["questions"]:
        say(f"templates or documents: {one['clusters']}")
    say(f"digest: {one['digest'][:16]}")
    say(escape(one["plan"]))
    print_notes(one["notes"])
    for warning in one["warnings"]:
        say(f"[yellow]Warning:[/yellow] {escape(warning)}")
    for twin in one["twins"][:SHOWN_TWINS]:
        say(f"  {twin['likeness']:.0%}  {escape(twin['places'][0])}  and  {escape(twin['places'][1])}")
    for report in one["train"]:
        _print_train(report)
    say("")


def _print_train(report: dict[str, Any]) -> None:
    from tidegate.domain.plain import plural

    where = f"{escape(report['file'])} ({report['rows']:,} rows)"
    if not report["questions"]:
        say(f"[green]No question stands in[/green] {where}.")
    else:
        questions = plural(report["questions"], "question")
        say(f"[red]Leak:[/red] {questions} found in {where}, {report['exact']} of them word for word.")
        shown = report["leaks"][:SHOWN_LEAKS]
        rows = [
            (leak["question"], f"{leak['share']:.0%}", leak["place"], leak["train_place"]) for leak in shown
        ]
        print_table(("QUESTION", "SEEN", "BANK", "TRAINING DATA"), [tuple(map(escape, row)) for row in rows])
    if report["unreadable"]:
        say(f"[yellow]Not looked at: {plural(report['unreadable'], 'line')} without a record.[/yellow]")
    if report["unchecked"]:
        say(
            f"[dim]Compared as a whole only: {plural(report['unchecked'], 'question')} too short, or too like others of "
            "the bank.[/dim]"
        )


def print_notes(notes: Sequence[str]) -> None:
    for note in notes:
        say(f"[dim]Note: {escape(note)}.[/dim]")


def _counted(counts: dict[str, int]) -> str:
    shown = [f"{name} {count}" for name, count in list(counts.items())[:SHOWN_NAMES]]
    more = len(counts) - len(shown)
    return escape(", ".join(shown) + (f", and {more} more" if more > 0 else ""))


def print_question(bank: "Bank", question: "Question") -> None:
    place = bank.places.get(question.id)
    tags = f"  [dim]{escape(', '.join(question.tags))}[/dim]" if question.tags else ""
    say(
        f"[bold]{escape(question.id)}[/bold]  {escape(question.topic)}{tags}  [dim]{escape(place or '')}[/dim]"
    )
    for turn in question.turns:
        say(f"  [cyan]{turn.role}[/cyan]  {escape(turn.content or '(tool call)')}")
    for spec in question.specs:
        expect = question.expect if spec.expect is None else spec.expect
        parts = [
            f"expects {json.dumps(expect, ensure_ascii=False)}" if expect is not None else "",
            json.dumps(spec.options, ensure_ascii=False) if spec.options else "",
            f"weight {spec.weight:g}" if spec.weight != 1 else "",
            f"of {len(spec.scorers)} scorers" if spec.scorers else "",
        ]
        say(f"  [green]{escape(spec.label)}[/green]  {escape('  '.join(part for part in parts if part))}")
    say("")
