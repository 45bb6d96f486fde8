"""`tidegate bank`: what a question bank holds, what it can show, and whether it was in the training data."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.output import FAILED, JsonFlag, escape, pairs, print_json, print_table, say

if TYPE_CHECKING:
    from tidegate.quality import Bank, BankOptions, Question, ScorerSpec
    from tidegate.quality.leaks import LeakReport, Twin

app = typer.Typer(help="Question banks: check, show, convert.", no_args_is_help=True)

SHOWN_LEAKS, SHOWN_TWINS, SHOWN_NAMES = 20, 10, 12
DEFAULT_MARGIN = 0.03

File = Annotated[
    str, typer.Argument(metavar="FILE", help="A bank of any known format, or 'standard' or 'general'.")
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="native, promptfoo, lm-eval, inspect, chat, deepeval or ragas; told by the content if absent.",
    ),
]
Scorer = Annotated[
    str | None,
    typer.Option(
        "--scorer",
        help="For rows that name none: a scorer's name, or JSON such as "
        '\'{"name": "numeric", "options": {"abs_tolerance": 0.1}}\'.',
    ),
]
Field = Annotated[
    list[str] | None,
    typer.Option("--field", help="Our name of a field and the file's, for example input=question."),
]
Prompt = Annotated[
    str | None, typer.Option("--prompt", help="Template for promptfoo tests without prompts: '{{question}}'.")
]
Filter = Annotated[
    str | None, typer.Option("--filter", help="Which named filter of an lm-eval task is meant.")
]
Folder = Annotated[
    list[Path] | None, typer.Option("--folder", help="A folder outside the bank's own that it may read from.")
]
SkipRefused = Annotated[
    bool,
    typer.Option("--skip-refused", help="Leave out rows that are refused, instead of refusing the bank."),
]


@app.command()
def check(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="Banks of any known format, or 'standard' or 'general'."),
    ],
    train: Annotated[
        list[Path] | None,
        typer.Option(
            "--train", help="Training data (JSON lines, JSON, CSV) that must not hold the questions."
        ),
    ] = None,
    margin: Annotated[
        float, typer.Option("--margin", min=0.001, max=0.5, help="Loss that a comparison must rule out.")
    ] = DEFAULT_MARGIN,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 on any warning.")] = False,
    bank_format: Format = None,
    scorer: Scorer = None,
    field: Field = None,
    prompt: Prompt = None,
    lm_eval_filter: Filter = None,
    folder: Folder = None,
    skip_refused: SkipRefused = False,
    as_json: JsonFlag = False,
) -> None:
    """Read banks and say what they hold, what they can detect, and what is wrong with them.

    Exit code 2 when a row cannot be used (each is named with file and line), 1 when a question stands in the training
    data, or on any warning with --strict.

    Examples:

      tidegate bank check banks/support.jsonl

      tidegate bank check promptfooconfig.yaml --train data/train.jsonl

      tidegate bank check samples.csv --field input=question --field target=answer --scorer exact --json
    """
    options = _options(bank_format, scorer, field, prompt, lm_eval_filter, folder, skip_refused=skip_refused)
    checked = [_checked(name, options, train or [], margin) for name in files]
    if as_json:
        print_json({"banks": checked})
    else:
        for one in checked:
            _print_checked(one)
    has_leak = any(report["questions"] for one in checked for report in one["train"])
    if has_leak or (strict and any(one["warnings"] for one in checked)):
        raise typer.Exit(FAILED)


@app.command()
def show(
    file: File,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", help="Only questions with this tag or topic.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Questions that are shown.")] = 10,
    bank_format: Format = None,
    scorer: Scorer = None,
    field: Field = None,
    prompt: Prompt = None,
    lm_eval_filter: Filter = None,
    folder: Folder = None,
    skip_refused: SkipRefused = False,
    as_json: JsonFlag = False,
) -> None:
    """Show questions as a model will see them, and how their answers are scored.

    Examples:

      tidegate bank show general --tag arithmetic --limit 5

      tidegate bank show task.yaml --filter flexible-extract --json
    """
    from tidegate.quality.bank import native_line

    options = _options(bank_format, scorer, field, prompt, lm_eval_filter, folder, skip_refused=skip_refused)
    bank = _read(file, options)
    chosen = [q for q in bank.questions if not tag or {q.topic, *q.tags} & set(tag)]
    shown = chosen[:limit]
    if as_json:
        print_json(
            {
                "bank": bank.name,
                "questions": len(chosen),
                "shown": [
                    {"place": str(bank.places.get(q.id, "")), **json.loads(native_line(q))} for q in shown
                ],
            }
        )
        return
    for question in shown:
        _print_question(bank, question)
    say(f"[dim]{len(shown)} of {len(chosen)} questions.[/dim]")


@app.command()
def convert(
    file: File,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file that is written.")],
    to: Annotated[str, typer.Option("--to", help="The format to write; there is one: jsonl.")] = "jsonl",
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    bank_format: Format = None,
    scorer: Scorer = None,
    field: Field = None,
    prompt: Prompt = None,
    lm_eval_filter: Filter = None,
    folder: Folder = None,
    skip_refused: SkipRefused = False,
    as_json: JsonFlag = False,
) -> None:
    """Write a bank of any format as our JSON lines, to edit it, or to keep it as it is read today.

    Examples:

      tidegate bank convert promptfooconfig.yaml --to jsonl banks/support.jsonl
    """
    from tidegate.domain import InvalidInput
    from tidegate.quality import read_bank
    from tidegate.quality.bank import native_line

    if to != "jsonl":
        raise InvalidInput(f"Banks are not written as '{to}'.", remedy="Use --to jsonl.", field="to")
    if out.exists() and not force:
        raise InvalidInput(
            f"{out} is there already.", remedy="Name another file, or use --force.", field="out"
        )
    options = _options(bank_format, scorer, field, prompt, lm_eval_filter, folder, skip_refused=skip_refused)
    bank = _read(file, options)
    _write(out, "".join(native_line(question) + "\n" for question in bank.questions))
    written = read_bank(out)
    if as_json:
        print_json({"file": str(out), "questions": len(written.questions), "notes": list(bank.notes)})
        return
    _print_notes(bank.notes)
    say(f"{len(written.questions)} questions of {escape(file)} ({bank.format}) are in {escape(out)}.")


def _write(out: Path, text: str) -> None:
    """Whole or not at all."""
    from tidegate.domain import InvalidInput

    part = out.with_name(f".{out.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(out)
    except OSError as error:
        raise InvalidInput(
            f"{out} cannot be written: {error.strerror}.",
            remedy="Name a file in a folder that is there.",
            field="out",
        ) from error


def _options(
    bank_format: str | None,
    scorer: str | None,
    fields: Sequence[str] | None,
    prompt: str | None,
    lm_eval_filter: str | None,
    folders: Sequence[Path] | None,
    *,
    skip_refused: bool,
) -> "BankOptions":
    from tidegate.quality import BankOptions

    return BankOptions(
        format=bank_format,
        scorer=None if scorer is None else _scorer(scorer),
        fields=pairs(fields),
        prompt=prompt,
        filter=lm_eval_filter,
        folders=tuple(folders or ()),
        leaves_out_refused=skip_refused,
    )


def _scorer(text: str) -> "ScorerSpec":
    """A scorer by name or as JSON. Raises: InvalidInput."""
    from pydantic import ValidationError

    from tidegate.domain import InvalidInput
    from tidegate.quality import SCORERS, ScorerSpec

    try:
        spec = (
            ScorerSpec.model_validate_json(text) if text.lstrip().startswith("{") else ScorerSpec(name=text)
        )
    except ValidationError as error:
        raise InvalidInput(
            f"--scorer: {error.errors()[0]['msg']}.",
            remedy="Give a name, or JSON with name and options.",
            field="scorer",
        ) from error
    if spec.name not in SCORERS:
        raise InvalidInput(
            f"There is no scorer '{spec.name}'.", remedy=f"Use one of: {', '.join(SCORERS)}.", field="scorer"
        )
    return spec


def _read(name: str, options: "BankOptions") -> "Bank":
    """A file, or a bank that comes with Tidegate where no file has this name."""
    from tidegate.quality import GENERAL_BANK, STANDARD_BANK, read_bank

    shipped = {"standard": STANDARD_BANK, "general": GENERAL_BANK}
    path = Path(name)
    return read_bank(shipped[name] if name in shipped and not path.exists() else path, options)


def _checked(name: str, options: "BankOptions", trains: Sequence[Path], margin: float) -> dict[str, Any]:
    """Everything that is known about one bank."""
    from tidegate.quality.leaks import find_leaks, twins
    from tidegate.statistics import plan_quality

    bank = _read(name, options)
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
    from tidegate.validation.plain import plural

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


def _print_checked(one: dict[str, Any]) -> None:
    say(f"[bold]{escape(one['file'])}[/bold]  {one['questions']} questions, {one['format']}")
    for kind in ("topics", "tags", "scorers"):
        if one[kind]:
            say(f"{kind}: {_counted(one[kind])}")
    if one["clusters"] < one["questions"]:
        say(f"templates or documents: {one['clusters']}")
    say(f"digest: {one['digest'][:16]}")
    say(escape(one["plan"]))
    _print_notes(one["notes"])
    for warning in one["warnings"]:
        say(f"[yellow]Warning:[/yellow] {escape(warning)}")
    for twin in one["twins"][:SHOWN_TWINS]:
        say(f"  {twin['likeness']:.0%}  {escape(twin['places'][0])}  and  {escape(twin['places'][1])}")
    for report in one["train"]:
        _print_train(report)
    say("")


def _print_train(report: dict[str, Any]) -> None:
    from tidegate.validation.plain import plural

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


def _print_notes(notes: Sequence[str]) -> None:
    for note in notes:
        say(f"[dim]Note: {escape(note)}.[/dim]")


def _counted(counts: dict[str, int]) -> str:
    shown = [f"{name} {count}" for name, count in list(counts.items())[:SHOWN_NAMES]]
    more = len(counts) - len(shown)
    return escape(", ".join(shown) + (f", and {more} more" if more > 0 else ""))


def _print_question(bank: "Bank", question: "Question") -> None:
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
