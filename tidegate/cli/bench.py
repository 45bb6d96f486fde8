"""`tidegate bench`: load on an endpoint, measured honestly, kept, reported and compared."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.bench_commands import join
from tidegate.cli.judging import JudgingCommands
from tidegate.cli.output import (
    JsonFlag,
    console,
    escape,
)

if TYPE_CHECKING:
    from tidegate.cli.bench_measuring import Job
    from tidegate.cli.bench_target import Target

HELP = """Measure how an OpenAI-compatible endpoint answers under load, and compare runs with a verdict.

Give a URL, or ORGANIZATION/SERVICE of this installation. With nothing else it is measured for 30 seconds with
4 requests at once. Results are kept (tidegate bench list), and reports are written with --output-dir.

Exit codes: 0 done, or within limits; 1 a limit is missed or a regression is shown; 2 wrong input;
3 not judged: too few requests, nothing was answered, or this client was the limit; 130 interrupted.

Examples:

  tidegate bench http://127.0.0.1:8080/v1

  tidegate bench http://127.0.0.1:8080/v1 --rate 4 --duration 2m --slo ttft=500,itl=50 --output-dir out

  tidegate bench swaggystacks/support-chat --sweep 1,2,4,8,16 --output-dir out

  tidegate bench https://host/v1 --key-env OPENAI_API_KEY --search --slo ttft=800 --json

  tidegate bench http://new:8080/v1 --against http://old:8080/v1

  tidegate bench compare base.json load-3f2a

  tidegate bench export load-3f2a --format html --format png

  tidegate bench --self-check
"""
DEFAULT = "run"


class BenchCommands(JudgingCommands):
    """`bench URL` runs; `bench compare`, `list`, `show` and `export` are sub-commands beside it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return ["[URL | ORG/SERVICE] [OPTIONS]", "|", "COMMAND [ARGS]..."]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The options of a run, then the other commands."""
        self.commands[DEFAULT].format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


app = typer.Typer(cls=BenchCommands, help=HELP, no_args_is_help=True)


@app.command(DEFAULT, hidden=True)
def run(
    url: Annotated[
        str, typer.Argument(metavar="[URL|ORG/SERVICE]", help="What to measure.", show_default=False)
    ] = "",
    rate: Annotated[
        str, typer.Option("--rate", metavar="R", help="Open loop: requests per second, whatever comes back.")
    ] = "",
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", "-c", help="Closed loop: requests at once (4).")
    ] = None,
    sweep: Annotated[
        str, typer.Option("--sweep", metavar="1,2,4", help="One run at each load, until the server is full.")
    ] = "",
    search: Annotated[bool, typer.Option("--search", help="Find the highest load that keeps --slo.")] = False,
    arrivals: Annotated[
        str,
        typer.Option(metavar="constant|poisson|gamma", help="How requests of an open loop come (poisson)."),
    ] = "",
    burstiness: Annotated[
        float | None, typer.Option(help="Of gamma arrivals: below 1 they come in bursts.")
    ] = None,
    duration: Annotated[
        str, typer.Option(metavar="30s|2m", help="How long each load is measured (30s), warm-up aside.")
    ] = "",
    requests: Annotated[
        int | None, typer.Option("--requests", "-n", help="So many instead of --duration.")
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="One prompt a line, or JSON lines; else made-up ones.")
    ] = None,
    input_tokens: Annotated[
        int | None, typer.Option("--input-tokens", help="About so long made-up prompts (64).")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", help="Longest answers (64).")] = None,
    slo: Annotated[
        str,
        typer.Option(
            "--slo", metavar="ttft=500,itl=50", help="Limits in ms: ttft, ttft_answer, itl, stall, e2e."
        ),
    ] = "",
    good: Annotated[
        float | None, typer.Option("--good", help="Share of the requests that must keep --slo (0.95).")
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Replay recorded traffic: JSONL with times and prompts."),
    ] = None,
    trace_speed: Annotated[float | None, typer.Option(help="So many times faster than recorded.")] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Answers in one piece instead of streams.")] = False,
    completions: Annotated[
        bool, typer.Option("--completions", help="Ask /completions instead of /chat/completions.")
    ] = False,
    runpod_queue: Annotated[
        bool, typer.Option("--runpod-queue", help="Jobs of a RunPod queue: URL ends in /v2/ENDPOINT_ID.")
    ] = False,
    against: Annotated[
        str,
        typer.Option(metavar="URL", help="Measure this base in alternating blocks, and judge the URL by it."),
    ] = "",
    repeat_of: Annotated[
        str,
        typer.Option("--repeat-of", metavar="RUN", help="The same load as that run, then compared with it."),
    ] = "",
    limit: Annotated[
        list[str] | None,
        typer.Option(metavar="ttft_p95=1.25", help="Allowed ratio of a comparison; may be repeated."),
    ] = None,
    model: Annotated[str, typer.Option(help="Model name to send; else what the server offers first.")] = "",
    header: Annotated[
        list[str] | None,
        typer.Option(metavar="'NAME: VALUE'", help="Further header; '@VAR' reads a variable."),
    ] = None,
    key_env: Annotated[
        str, typer.Option("--key-env", metavar="NAME", help="Variable that holds the API key.")
    ] = "",
    key_file: Annotated[
        Path | None, typer.Option("--key-file", metavar="FILE", help="File that holds it.")
    ] = None,
    ignore_eos: Annotated[
        bool | None,
        typer.Option("--ignore-eos/--no-ignore-eos", help="Answers of full length; by default where known."),
    ] = None,
    cache_prompt: Annotated[
        bool | None,
        typer.Option(
            "--cache-prompt/--no-cache-prompt", help="Let llama-server reuse prompts; off where known."
        ),
    ] = None,
    blocks: Annotated[
        int | None,
        typer.Option(
            help="Blocks of a run (1; 10 with --against). Two runs are judged by blocks that they share."
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Of prompts and times; the same seed sends the same requests.")
    ] = 0,
    timeout: Annotated[str, typer.Option(metavar="2m", help="Longest wait for one answer.")] = "",
    label: Annotated[str, typer.Option(help="What to call this run.")] = "",
    output_dir: Annotated[
        Path | None, typer.Option("--output-dir", "-o", metavar="DIR", help="Write all reports there.")
    ] = None,
    no_store: Annotated[bool, typer.Option("--no-store", help="Keep nothing.")] = False,
    self_check: Annotated[
        bool, typer.Option("--self-check", help="Measure this machine's client against a known server.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Measure one endpoint; `run` may be left out.

    Examples:

      tidegate bench run http://127.0.0.1:8080/v1
    """
    # Before any other name: every option by its name.
    given: dict[str, Any] = dict(locals())
    from tidegate.cli import bench_options as options

    if self_check:
        from tidegate.cli.bench_self_check import check_this_client

        if url:
            raise options.bad("--self-check", "The self-check has a server of its own.", "Leave the URL out.")
        raise typer.Exit(check_this_client(as_json=as_json, is_quiet=quiet))
    from tidegate.cli.bench_finish import Wanted, finish
    from tidegate.cli.bench_live import screen_for
    from tidegate.cli.bench_measuring import measure_job

    wanted = Wanted(output_dir, is_stored=not no_store, as_json=as_json, is_quiet=quiet)
    wanted.check()
    job, base = _job(given)
    if not as_json:
        for note in job.notes:
            console(stderr=True).print(f"[yellow]{escape(note)}[/yellow]")
    report = measure_job(job, screen_for(is_wanted=not (quiet or as_json)))
    raise typer.Exit(finish(report, job, base, wanted))


def _job(given: dict[str, Any]) -> tuple["Job", Any]:
    """Check everything before anything is sent, then ask the server who it is."""
    from tidegate.benchmark.plan import Endpoint
    from tidegate.cli import bench_options as options
    from tidegate.cli.bench_limits import read_limits
    from tidegate.cli.bench_measuring import Job
    from tidegate.cli.bench_plan import for_server, for_way, make_plan, plan_like
    from tidegate.cli.bench_rehearsal import LEFT_OUT, rehearse
    from tidegate.cli.bench_store import find_run
    from tidegate.cli.bench_target import find_target

    load = options.read_load(
        rate=given["rate"],
        concurrency=given["concurrency"],
        sweep=given["sweep"],
        search=given["search"],
        arrivals=given["arrivals"],
        burstiness=given["burstiness"],
        duration=given["duration"],
        requests=given["requests"],
        trace=given["trace"],
        speed=given["trace_speed"],
    )
    slo, wanted = options.read_slo(given["slo"]), options.read_share(given["good"], given["slo"])
    options.check_together(load, given)
    asked = options_asked(given)
    access = options.read_access(given["header"] or (), given["key_env"], given["key_file"])
    limits = read_limits(given["limit"] or (), is_used=bool(given["against"] or given["repeat_of"]))
    base = find_run(given["repeat_of"]) if given["repeat_of"] else None
    url = given["url"] or (base.target if base else "")
    if not url:
        raise options.bad("URL", "There is nothing to measure.", "Give a URL, or ORGANIZATION/SERVICE.")
    is_queue: bool = given["runpod_queue"]
    target = find_target(url, access, given["model"] or (base.model if base else ""), is_queue=is_queue)
    other = None
    if given["against"]:
        other = find_target(given["against"], access, given["model"], option="--against")
    plan = plan_like(base) if base else make_plan(load, asked, has_two=other is not None)
    target, owner = _introduced(target, is_queue=is_queue)
    if other is not None:
        other, _ = _introduced(other, is_queue=is_queue)
    demanded = frozenset(LEFT_OUT)
    if base is None:
        plan = for_way(for_server(plan, asked, owner), [one.base_url for one in (target, other) if one])
        demanded = frozenset(name for name in LEFT_OUT if given.get(name) is not None)
    notes: tuple[str, ...] = ()
    if plan.endpoint is not Endpoint.QUEUE:
        # Both arms are asked alike: what the one does not take is left out for the other, too.
        if other is not None:
            other, plan, notes = rehearse(other, plan, demanded=demanded)
        target, plan, more = rehearse(target, plan, demanded=demanded)
        notes += more
    label = given["label"] or ""
    return Job(target, plan, load, label, other, slo, wanted, limits, notes), base


def options_asked(given: dict[str, Any]) -> Any:
    """What is asked of the server."""
    from tidegate.cli import bench_options as options
    from tidegate.cli.bench_plan import DEFAULT_TIMEOUT_S, Asked

    return Asked(
        prompts=options.read_prompts(given["prompts"]),
        input_tokens=options.whole(
            "--input-tokens", given["input_tokens"], options.DEFAULT_INPUT_TOKENS, 100_000
        ),
        max_tokens=options.whole("--max-tokens", given["max_tokens"], options.DEFAULT_MAX_TOKENS, 100_000),
        is_plain=given["plain"],
        is_completions=given["completions"],
        is_queue=given["runpod_queue"],
        ignore_eos=given["ignore_eos"],
        cache_prompt=given["cache_prompt"],
        blocks=None if given["blocks"] is None else options.whole("--blocks", given["blocks"], 1, 100),
        seed=given["seed"],
        timeout_s=options.seconds("--timeout", given["timeout"]) if given["timeout"] else DEFAULT_TIMEOUT_S,
    )


def _introduced(target: "Target", *, is_queue: bool) -> tuple["Target", str]:
    """With the model that the server offers, where none was named, and who made it."""
    from dataclasses import replace

    from tidegate.cli.bench_rehearsal import other_base
    from tidegate.cli.bench_target import ask_models

    if is_queue:
        return target, ""
    offered = ask_models(target) or ask_models(replace(target, base_url=other_base(target.base_url)))
    if not offered:
        return target, ""
    first = next((one for one in offered if one.name == target.model), offered[0])
    return (target if target.model else replace(target, model=first.name)), first.owner


join(app)
