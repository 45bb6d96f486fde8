"""`tidegate bank`: what a question bank holds, what it can show, and whether it was in the training data."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.bank_view import checked, print_checked, print_notes, print_question
from tidegate.cli.output import FAILED, JsonFlag, escape, pairs, print_json, say

if TYPE_CHECKING:
    from tidegate.quality import Bank, BankOptions, ScorerSpec

app = typer.Typer(help="Question banks: check, show, convert.", no_args_is_help=True)

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
    found = [checked(_read(name, options), name, train or [], margin) for name in files]
    if as_json:
        print_json({"banks": found})
    else:
        for one in found:
            print_checked(one)
    has_leak = any(report["questions"] for one in found for report in one["train"])
    if has_leak or (strict and any(one["warnings"] for one in found)):
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
        print_question(bank, question)
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
    print_notes(bank.notes)
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
