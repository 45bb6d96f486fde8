"""`tidegate drift`: how far a candidate's next tokens are from its baseline's. Touches nothing that runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.output import JsonFlag, as_data, escape, print_json, say

if TYPE_CHECKING:
    from tidegate.domain import Evidence, ServiceConfig, ServiceRef
    from tidegate.domain.policy import DriftPolicy
    from tidegate.drift import DriftOptions, DriftReport, TextSet
    from tidegate.drift.bounds_report import BoundsReport
    from tidegate.drift.report import SetName

ADDRESSES = ("http://", "https://")
COLOURS = {"pass": "green", "warning": "yellow", "FAIL": "red", "not judged": "yellow", "error": "red"}


def drift(
    base: Annotated[
        str, typer.Argument(metavar="BASE", help="A file, MODEL:VERSION, an alias, or a URL ending in /v1.")
    ],
    candidate: Annotated[str, typer.Argument(metavar="CANDIDATE", help="Likewise.")],
    texts: Annotated[
        list[Path] | None,
        typer.Option(
            "--texts", metavar="FILE", help="Texts that must not change; else the shipped ones. Repeatable."
        ),
    ] = None,
    meant_to_change: Annotated[
        list[Path] | None,
        typer.Option(
            "--meant-to-change",
            metavar="FILE",
            help="Texts of the subject that was trained; else the bank of --service. Repeatable.",
        ),
    ] = None,
    quantization: Annotated[
        bool, typer.Option("--quantization", help="CANDIDATE is BASE (f16) quantized: is it damaged?")
    ] = False,
    context: Annotated[
        int | None, typer.Option("--context", metavar="TOKENS", help="Context; else the service's, or 512.")
    ] = None,
    limit_tokens: Annotated[
        int, typer.Option("--limit-tokens", metavar="TOKENS", help="Most tokens measured of each set.")
    ] = 8192,
    service: Annotated[
        str, typer.Option("--service", metavar="ORG/SERVICE", help="Whose limits, bank and aliases apply.")
    ] = "",
    org: Annotated[str, typer.Option("--org", help="Organization whose registered versions are meant.")] = "",
    policy: Annotated[
        str, typer.Option(metavar="FILE|ORG", help="Limits: a YAML file, or an organization's.")
    ] = "",
    key_env: Annotated[
        str, typer.Option("--key-env", metavar="NAME", help="Environment variable with the key of the URLs.")
    ] = "",
    output_dir: Annotated[
        Path | None,
        typer.Option("--output-dir", metavar="DIR", help="Write the report there: JSON, Markdown and HTML."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Say how far a candidate's next tokens are from its baseline's, on texts that must not change and on texts that
    are meant to.

    Both files are checked first and loaded in a limited process. The divergence is exact over the whole vocabulary;
    models of different vocabularies are refused. Of two URLs only bounds can be given. Where there is an installation
    the result is kept in its ledger.

    Exit codes: 0 all limits are kept, also with warnings; 1 one is shown to be broken, or the models cannot be
    compared; 2 wrong input; 3 it could not be judged; 130 interrupted.

    Examples:

      tidegate drift live.gguf tuned.gguf --meant-to-change heldout.jsonl

      tidegate drift champion pipit:v3 --service swaggystacks/support-chat --output-dir reports

      tidegate drift tuned-f16.gguf tuned-Q4_K_M.gguf --quantization

      tidegate drift http://127.0.0.1:8080/v1 http://127.0.0.1:8081/v1 --json
    """
    from tidegate.drift import general_texts, read_texts

    limits, config, ref = _limits(policy, service)
    unchanged = read_texts(texts, "texts") if texts else general_texts()
    addresses = [name.startswith(ADDRESSES) for name in (base, candidate)]
    if any(addresses):
        _check_addresses(addresses, quantization=quantization, has_changing=bool(meant_to_change))
        shown, rows = _endpoints(base, candidate, unchanged, key_env, limits, is_quiet=as_json)
    else:
        from tidegate.drift import DriftOptions

        sets: dict[SetName, TextSet] = {"must_not_change": unchanged}
        if not quantization and (changing := _changing(meant_to_change, config)) is not None:
            sets["meant_to_change"] = changing
        options = DriftOptions(
            context_tokens=context or (config.context_tokens if config else 512),
            limit_tokens=limit_tokens,
            is_quantization=quantization,
        )
        names = (base, candidate)
        shown, rows = _files(names, sets, options, limits, ref, org=org, service=service, is_quiet=as_json)
    _tell(shown, rows, output_dir, as_json=as_json)


def _limits(
    policy: str, service: str
) -> "tuple[DriftPolicy | None, ServiceConfig | None, ServiceRef | None]":
    """Limits of a service or a policy; None: nobody has set any.

    Raises: NotFound, InvalidInput.
    """
    from tidegate.cli.validating import limits_of
    from tidegate.domain import ServiceRef

    if not policy and not service:
        return None, None, None
    found, config, _ = limits_of(policy, service)
    declared = found.drift if found.drift.is_declared else None
    return declared, config, ServiceRef.parse(service) if service else None


def _changing(files: Sequence[Path] | None, config: "ServiceConfig | None") -> "TextSet | None":
    from tidegate.drift import read_texts, texts_of_bank
    from tidegate.quality import find_bank, read_bank
    from tidegate.settings import load_settings

    if files:
        return read_texts(files, "meant-to-change")
    if config is None:
        return None
    path = find_bank(load_settings().banks_dir, config.policy.quality.bank)
    bank = texts_of_bank(read_bank(path))
    return bank if bank.texts else None


def _files(
    names: tuple[str, str],
    sets: "dict[SetName, TextSet]",
    options: "DriftOptions",
    limits: "DriftPolicy | None",
    ref: "ServiceRef | None",
    *,
    org: str,
    service: str,
    is_quiet: bool,
) -> "tuple[DriftReport, list[Evidence]]":
    from tidegate.cli.artifact_names import named_artifact
    from tidegate.cli.validation_run import watching
    from tidegate.drift import judge_drift, measure_drift
    from tidegate.drift.judging import usual_limits

    found = [named_artifact(name, org=org, service=service) for name in names]
    with watching(is_wanted=not is_quiet) as watch:
        watch.begin(found[1].path)
        report = measure_drift(
            found[0].path,
            found[1].path,
            sets,
            options,
            expected=(found[0].digest, found[1].digest),
            progress=lambda doing, done, total: watch.stage(found[1].path, doing, done, total),
        )
        watch.end(found[1].path)
    _keep(report, sets, options, ref)
    chosen = limits or usual_limits(sets, is_quantization=options.is_quantization)
    return report, judge_drift(report, chosen)


def _endpoints(
    base: str, candidate: str, texts: "TextSet", key_env: str, limits: "DriftPolicy | None", *, is_quiet: bool
) -> "tuple[BoundsReport, list[Evidence]]":
    from tidegate.cli.endpoint_access import base_url, read_key
    from tidegate.cli.validation_run import watching
    from tidegate.drift.bounds_report import judge_bounds
    from tidegate.drift.endpoints import Endpoint, measure_bounds
    from tidegate.drift.judging import USUAL_LIMITS

    key = read_key(key_env, None) if key_env else None
    base, candidate = base_url(base, "BASE"), base_url(candidate, "CANDIDATE")
    name = Path("endpoints")
    with (
        Endpoint(base, key) as one,
        Endpoint(candidate, key) as two,
        watching(is_wanted=not is_quiet) as watch,
    ):
        watch.begin(name)
        report = measure_bounds(
            one, two, texts, progress=lambda done, total: watch.stage(name, "compare", done, total)
        )
        watch.end(name)
    return report, judge_bounds(report, limits or USUAL_LIMITS)


def _check_addresses(addresses: Sequence[bool], *, quantization: bool, has_changing: bool) -> None:
    from tidegate.domain import InvalidInput

    if not all(addresses):
        raise InvalidInput(
            "A URL can be compared with a URL only.", remedy="Name two files, or two URLs.", field="candidate"
        )
    if quantization or has_changing:
        raise InvalidInput(
            "--quantization and --meant-to-change need files: endpoints tell no probability of given tokens.",
            remedy="Leave them out, or compare two files.",
            field="quantization" if quantization else "meant_to_change",
        )


def _keep(
    report: "DriftReport", sets: "dict[SetName, TextSet]", options: "DriftOptions", ref: "ServiceRef | None"
) -> None:
    """In the ledger, where there is one. The same comparison is kept once."""
    from tidegate.settings import load_settings

    settings = load_settings()
    is_installed = (
        not settings.ledger_url.startswith("sqlite") or (settings.home / "ledger.sqlite3").is_file()
    )
    if not is_installed or report.problem:
        return
    from tidegate.domain import NotFound
    from tidegate.drift.filing import measurement_id, measurement_of
    from tidegate.ledger import Ledger

    digests = {name: texts.digest for name, texts in sets.items()}
    identity = measurement_id(report.base.digest, report.candidate.digest, digests, options.deciding())
    identity = f"{identity}-{ref.org}" if ref else identity
    ledger = Ledger.open(settings.ledger_url)
    try:
        ledger.measurement(identity)
    except NotFound:
        ledger.record_measurement(measurement_of(identity, report, ref))
    finally:
        ledger.close()


def _tell(
    report: "DriftReport | BoundsReport", rows: "list[Evidence]", output_dir: Path | None, *, as_json: bool
) -> None:
    """Raises: typer.Exit unless every row passes."""
    from tidegate.cli.judging import exit_code
    from tidegate.domain import Verdict
    from tidegate.drift.markdown import headline, to_text, word_of

    written = [] if output_dir is None else _write(output_dir, report, rows)
    passed = bool(rows) and all(row.verdict is Verdict.PASS for row in rows)
    if as_json:
        print_json({"passed": passed, "evidence": as_data(rows), "report": as_data(report)})
    else:
        say(f"[bold]{headline(rows)}[/bold]")
        for row in rows:
            word = word_of(row)
            say(f"[{COLOURS[word]}]{word}[/{COLOURS[word]}]  [bold]{row.check}[/bold]  {escape(row.summary)}")
            if row.remedy and word != "pass":
                say(f"      [dim]{escape(row.remedy)}[/dim]")
        for line in to_text(report):
            say(escape(line))
        if written:
            say(f"[dim]Written: {escape(', '.join(map(str, written)))}[/dim]")
    if code := exit_code([row.verdict for row in rows] or [Verdict.NOT_JUDGED]):
        raise typer.Exit(code)


def _write(folder: Path, report: "DriftReport | BoundsReport", rows: "list[Evidence]") -> list[Path]:
    import json

    from tidegate.drift.html import to_html
    from tidegate.drift.markdown import to_markdown
    from tidegate.validation import write_whole

    data = {"evidence": as_data(rows), "report": as_data(report)}
    contents = {
        "json": json.dumps(data, indent=2) + "\n",
        "md": to_markdown(report, rows),
        "html": to_html(report, rows),
    }
    return [write_whole(folder / f"drift.{ending}", text) for ending, text in contents.items()]
