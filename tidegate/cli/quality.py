"""`tidegate quality`: put a question bank to a model, and decide soundly between two."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.judging import JudgingCommands
from tidegate.cli.output import JsonFlag, print_json, print_table, say

if TYPE_CHECKING:
    from tidegate.cli.quality_asking import Kept, Limits

HELP = """Put question banks to a model, and decide soundly between two models.

A target is an OpenAI-compatible URL, ORGANIZATION/SERVICE of this installation, or a GGUF file.

Exit codes: 0 it passes, or was only asked; 1 it fails; 2 wrong input; 3 not judged: nothing answers, answers are
missing, or too few questions to decide; 130 interrupted (the next run goes on where this one was).
"""
app = typer.Typer(cls=JudgingCommands, help=HELP, no_args_is_help=True)

Label = Annotated[str, typer.Option("--label", help="What to call this in reports.")]
Concurrency = Annotated[
    int,
    typer.Option("--concurrency", "-c", min=1, max=64, help="Questions at once; the same for both models."),
]
Resume = Annotated[
    bool, typer.Option("--resume/--no-resume", help="Use answers that the very same file gave before.")
]
Limit = Annotated[int, typer.Option("--limit", min=0, help="Ask only so many, in the seeded order; 0: all.")]
Tags = Annotated[list[str] | None, typer.Option("--tags", help="Only questions of these topics or tags.")]
Seed = Annotated[int, typer.Option("--seed", help="Fixes the order of the questions.")]
MaxTokens = Annotated[
    int, typer.Option("--max-tokens", min=1, help="Longest answer, where a question says nothing.")
]
Timeout = Annotated[float, typer.Option("--timeout", min=1, help="Seconds to wait for one answer.")]
Deadline = Annotated[
    float, typer.Option("--deadline", min=1, help="Seconds after which nothing more is asked.")
]
KeyEnv = Annotated[str, typer.Option("--key-env", metavar="NAME", help="Variable that holds the API key.")]
KeyFile = Annotated[Path | None, typer.Option("--key-file", metavar="FILE", help="File that holds it.")]
Model = Annotated[str, typer.Option("--model", help="Model name to send to a URL.")]
OutputDir = Annotated[
    Path | None,
    typer.Option("--output-dir", "-o", metavar="DIR", help="Write JSON, Markdown and HTML there."),
]
NoStore = Annotated[bool, typer.Option("--no-store", help="Keep no result.")]


@app.command()
def run(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="URL, ORG/SERVICE, or GGUF file.")],
    banks: Annotated[
        list[Path], typer.Argument(metavar="BANK...", help="Question banks of any known format.")
    ],
    label: Label = "",
    concurrency: Concurrency = 2,
    repeat: Annotated[int, typer.Option("--repeat", min=1, max=50, help="Answers to each question.")] = 1,
    resume: Resume = True,
    limit: Limit = 0,
    tags: Tags = None,
    min_score: Annotated[
        float, typer.Option("--min-score", min=0, max=1, help="Mean score below which the exit code is 1.")
    ] = 0.0,
    seed: Seed = 0,
    max_tokens: MaxTokens = 64,
    timeout: Timeout = 60.0,
    deadline: Deadline = 3600.0,
    key_env: KeyEnv = "",
    key_file: KeyFile = None,
    model: Model = "",
    output_dir: OutputDir = None,
    no_store: NoStore = False,
    as_json: JsonFlag = False,
) -> None:
    """Ask a model every question of one or more banks, and score the answers.

    Answers are kept as they come: a run that was stopped goes on where it was. With --repeat every question is asked
    several times, and its score is the mean.

    Examples:

      tidegate quality run http://127.0.0.1:8080/v1 bank.jsonl

      tidegate quality run swaggystacks/support-chat bank.jsonl --label live

      tidegate quality run out/pipit-v2.gguf promptfooconfig.yaml --tags capital --output-dir reports

      tidegate quality run https://host/v1 bank.jsonl --key-env API_KEY --repeat 3 --min-score 0.8 --json
    """
    from tidegate.cli.endpoint_access import read_key
    from tidegate.cli.quality_asking import run_banks
    from tidegate.cli.quality_target import AskOptions

    options = AskOptions(max_tokens, seed, timeout, model, resume)
    limits = _limits(concurrency, limit, tags, seed, deadline, is_quiet=as_json)
    reports = run_banks(
        target, banks, read_key(key_env, key_file), options, limits,
        label=label, repeats=repeat, min_score=min_score, is_stored=not no_store,
    )  # fmt: skip
    _finish(reports, output_dir, as_json=as_json)


@app.command()
def compare(
    baseline: Annotated[str, typer.Argument(metavar="BASELINE", help="Target, or a stored result.")],
    candidate: Annotated[str, typer.Argument(metavar="CANDIDATE", help="Likewise.")],
    bank: Annotated[
        Path | None,
        typer.Option("--bank", metavar="FILE", help="Questions to ask both; none: stored results."),
    ] = None,
    margin: Annotated[
        float, typer.Option("--margin", min=0.001, max=0.99, help="Tolerated loss: 0.05 is 5 points.")
    ] = 0.05,
    alpha: Annotated[
        float, typer.Option("--alpha", min=0.001, max=0.49, help="Error rate of each verdict.")
    ] = 0.05,
    min_score: Annotated[
        float, typer.Option("--min-score", min=0, max=1, help="Mean score that the candidate needs.")
    ] = 0.0,
    max_topic_drop: Annotated[
        float,
        typer.Option("--max-topic-drop", min=0.01, max=1, help="Share of a topic whose loss fails alone."),
    ] = 0.5,
    slices: Annotated[
        list[str] | None,
        typer.Option("--slice", metavar="TAG=0.1", help="A topic or tag that decides by its own margin."),
    ] = None,
    early_stop: Annotated[
        bool, typer.Option("--early-stop", help="Stop as soon as it is sound to, by tests made for it.")
    ] = False,
    repeat: Annotated[
        int, typer.Option("--repeat", min=1, max=50, help="Answers to each question that differs.")
    ] = 1,
    floor: Annotated[
        bool,
        typer.Option("--floor/--no-floor", help="Ask the baseline twice: how much it differs from itself."),
    ] = True,
    judge: Annotated[
        str,
        typer.Option("--judge", metavar="URL", help="A model that compares differing answers; advice only."),
    ] = "",
    judge_model: Annotated[str, typer.Option("--judge-model", help="Its name and version.")] = "",
    judge_key_env: Annotated[
        str, typer.Option("--judge-key-env", metavar="NAME", help="Variable that holds its key.")
    ] = "",
    label: Label = "",
    concurrency: Concurrency = 2,
    resume: Resume = True,
    limit: Limit = 0,
    tags: Tags = None,
    seed: Seed = 0,
    max_tokens: MaxTokens = 64,
    timeout: Timeout = 60.0,
    deadline: Deadline = 3600.0,
    key_env: KeyEnv = "",
    key_file: KeyFile = None,
    baseline_key_env: Annotated[
        str, typer.Option("--baseline-key-env", metavar="NAME", help="Where the baseline has another key.")
    ] = "",
    model: Model = "",
    baseline_model: Annotated[
        str, typer.Option("--baseline-model", help="Where the baseline has another name.")
    ] = "",
    output_dir: OutputDir = None,
    no_store: NoStore = False,
    as_json: JsonFlag = False,
) -> None:
    """Say whether the candidate is worse than the baseline, question by question.

    With --bank both are asked in one run: the same questions in the same order, turn about. Without it both are results
    of earlier runs. It passes when a loss of the margin is ruled out, fails when it is shown to be worse, and is not
    judged otherwise; then it says how many more questions would do.

    Examples:

      tidegate quality compare out/pipit-v1.gguf out/pipit-v2.gguf --bank bank.jsonl

      tidegate quality compare http://old:8080/v1 http://new:8080/v1 --bank bank.jsonl --early-stop -o reports

      tidegate quality compare quality-3f2a quality-9b1c --margin 0.03 --json
    """
    from tidegate.cli.endpoint_access import read_key
    from tidegate.cli.quality_asking import Comparing, Side, compare_stored, compare_targets
    from tidegate.cli.quality_judging import JudgeOptions
    from tidegate.cli.quality_target import AskOptions

    comparing = Comparing.of(
        margin, alpha, min_score, max_topic_drop, slices or (), early_stop, repeat, floor
    )
    if bank is None:
        report = compare_stored(baseline, candidate, comparing, label=label, is_stored=not no_store)
    else:
        key = read_key(key_env, key_file)
        old_key = read_key(baseline_key_env, None, option="--baseline-key-env") if baseline_key_env else key
        options = AskOptions(max_tokens, seed, timeout, model, resume)
        old = Side("BASELINE", baseline, old_key, replace(options, model=baseline_model or model))
        report = compare_targets(
            old, Side("CANDIDATE", candidate, key, options), bank, comparing,
            _limits(concurrency, limit, tags, seed, deadline, is_quiet=as_json),
            judge=JudgeOptions.of(judge, judge_model, judge_key_env), label=label, is_stored=not no_store,
        )  # fmt: skip
    _finish([report], output_dir, as_json=as_json)


@app.command()
def show(
    result: Annotated[
        str, typer.Argument(metavar="RESULT", help="Id, or the beginning of it, or a JSON file.")
    ],
    shape: Annotated[str, typer.Option("--format", metavar="md|html|json", help="How to write it.")] = "md",
) -> None:
    """Write a result to standard output.

    Examples:

      tidegate quality show quality-3f2a

      tidegate quality show quality-3f2a --format html > report.html
    """
    from tidegate.cli.quality_store import find
    from tidegate.cli.quality_view import text_of

    typer.echo(text_of(find(result), shape), nl=False)


@app.command("list")
def list_results(
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="So many, the newest first.")] = 20,
    as_json: JsonFlag = False,
) -> None:
    """List results that are kept.

    Examples:

      tidegate quality list

      tidegate quality list --limit 100 --json
    """
    from tidegate.cli.quality_store import listed
    from tidegate.cli.quality_view import row_of

    found = listed(limit)
    if as_json:
        print_json([one.model_dump(mode="json", exclude={"record"}) for one in found])
    elif not found:
        say("No result yet: tidegate quality run TARGET BANK")
    else:
        print_table(("ID", "TAKEN", "WHAT", "BANK", "RIGHT", "VERDICT"), [row_of(one) for one in found])


def _limits(
    concurrency: int, limit: int, tags: list[str] | None, seed: int, deadline_s: float, *, is_quiet: bool
) -> "Limits":
    from tidegate.cli.quality_asking import Limits

    return Limits(concurrency, limit, tuple(tags or ()), seed, deadline_s, is_quiet)


def _finish(reports: "list[Kept]", output_dir: Path | None, *, as_json: bool) -> None:
    from tidegate.cli.judging import exit_code
    from tidegate.cli.quality_view import print_report, write_reports

    written = write_reports(reports, output_dir) if output_dir is not None else []
    if as_json:
        data = [
            kept.report.model_dump(mode="json") | {"verdict": kept.report.verdict.value} for kept in reports
        ]
        print_json(data[0] if len(data) == 1 else data)
    else:
        for kept in reports:
            print_report(kept)
        for path in written:
            say(f"[dim]Written: {path}[/dim]")
    if code := exit_code(kept.report.verdict for kept in reports if kept.report.rows):
        raise typer.Exit(code)
