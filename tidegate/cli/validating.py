"""`tidegate validate`: may these files be deployed, and if not, why. Touches nothing that runs."""

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.output import BAD_INPUT, JsonFlag, as_data, escape, print_json, say

if TYPE_CHECKING:
    from tidegate.cli.artifact_names import Named
    from tidegate.cli.validation_run import Done, Stage
    from tidegate.domain import Policy, ServiceConfig
    from tidegate.quality import Bank
    from tidegate.validation import ChildLimits, ValidationReport
    from tidegate.validation.engine_report import EngineJob, EngineRun

PROFILES = ("quick", "standard", "deep")
DEFAULT_FORMATS = ("json", "md", "html")


def validate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Model files, or folders.")],
    model_name: Annotated[str, typer.Option("--model-name", help="Model name, for the report.")] = "",
    version: Annotated[str, typer.Option("--version", help="Its version, for the report.")] = "",
    baseline: Annotated[
        str,
        typer.Option(
            metavar="FILE|VERSION",
            help="Compare with this file, or with MODEL:VERSION or champion of --service.",
        ),
    ] = "",
    policy: Annotated[
        str, typer.Option(metavar="FILE|ORG", help="Limits: a YAML file, or an organization's.")
    ] = "",
    service: Annotated[
        str,
        typer.Option(
            "--service",
            metavar="ORG/SERVICE",
            help="Whose limits and questions apply; else the built-in ones.",
        ),
    ] = "",
    bank: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Questions about the model's subject; else the service's, if named."
        ),
    ] = None,
    profile: Annotated[
        str,
        typer.Option(metavar="quick|standard|deep", help="quick reads the header only; deep asks more."),
    ] = "",
    digest: Annotated[str, typer.Option(metavar="SHA256", help="What the one file must be.")] = "",
    load: Annotated[
        bool, typer.Option("--load/--no-load", help="Also load each file in a child and ask it.")
    ] = True,
    output_dir: Annotated[
        Path | None,
        typer.Option(
            "--output-dir",
            metavar="DIR",
            help="Write reports there: JSON, Markdown and HTML, or those named.",
        ),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Write Markdown.")] = False,
    html: Annotated[bool, typer.Option("--html", help="Write one HTML page for each file.")] = False,
    sarif: Annotated[bool, typer.Option("--sarif", help="Write SARIF 2.1.0 for code scanners.")] = False,
    junit: Annotated[bool, typer.Option("--junit", help="Write JUnit XML for CI.")] = False,
    notify: Annotated[
        str, typer.Option(metavar="URL", help="POST a summary there; a failure of that is a warning.")
    ] = "",
    as_json: JsonFlag = False,
) -> None:
    """Say whether model files may be deployed, and if not, why and what to do.

    Nothing is deployed or registered, and no stack is needed. Files are read and loaded in limited processes.
    Reports go to --output-dir, or to validation-reports when only a format is named.

    Exit codes: 0 every file may be deployed, also with warnings (with quick: nothing is wrong
    in any header); 2 at least one must not, or the input is wrong; 1 an error of ours; 130 interrupted.

    Examples:

      tidegate validate out/pipit-v2.gguf --service swaggystacks/support-chat

      tidegate validate out/*.gguf --profile quick

      tidegate validate new.gguf --baseline live.gguf --output-dir reports --html

      tidegate validate new.gguf --policy swaggystacks --sarif --junit --json
    """
    from tidegate.cli import validation_view
    from tidegate.cli.artifact_names import Named, named_artifact, whole_artifacts
    from tidegate.cli.validation_files import DEFAULT_FOLDER, ReportFolder, check_notify_url
    from tidegate.cli.validation_files import notify as tell
    from tidegate.cli.validation_run import is_without_fault, run_all, watching

    files = whole_artifacts(files)
    _check_options(files, digest, version, profile)
    check_notify_url(notify)
    base = named_artifact(baseline, service=service, model=model_name) if baseline else Named(Path())
    task = _Task(
        *limits_of(policy, service, bank),
        model_name=model_name,
        version=version,
        baseline=base if baseline else None,
        digest=digest.lower() or None,
        profile=profile,
        is_loading=load,
    )
    named = {"md": markdown, "html": html, "sarif": sarif, "junit": junit}
    formats = [name for name, is_named in named.items() if is_named]
    folder: ReportFolder | None = None
    if output_dir is not None or formats:
        chosen = ["json", *formats] if formats else list(DEFAULT_FORMATS)
        folder = ReportFolder(output_dir or DEFAULT_FOLDER, files, chosen)
    with watching(is_wanted=not as_json) as watch:
        results = run_all(files, task.run, watch, on_done=folder.write if folder else lambda done: None)
    if folder is not None:
        folder.write_together(results)
    if as_json:
        print_json([_as_dict(done) for done in results])
    else:
        if len(results) > 1:
            validation_view.print_many(results)
        else:
            validation_view.print_one(results[0])
        if folder is not None:
            say(f"[dim]Written: {escape(folder.told())}[/dim]")
    if notify:
        tell(notify, results)
    if not all(map(is_without_fault, results)):
        raise typer.Exit(BAD_INPUT)


@dataclass(frozen=True)
class _Task:
    """What is done with every file of the run."""

    policy: "Policy"
    service: "ServiceConfig | None"
    bank: "Bank | None"
    model_name: str
    version: str
    baseline: "Named | None"
    digest: str | None
    profile: str
    is_loading: bool
    turn: threading.Lock = field(default_factory=threading.Lock)

    def run(self, path: Path, stage: "Stage") -> "ValidationReport":
        """Raises: NotFound, InvalidInput."""
        from tidegate.validation import PreDeploymentValidator

        launcher = _InTurn(self.turn, stage)
        validator = PreDeploymentValidator(path, progress=stage, launcher=launcher, **self._arguments())
        return validator.validate_all() if self.is_loading else validator.validate_structure()

    def _arguments(self) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "model_name": self.model_name,
            "version": self.version,
            "policy": self.policy,
            "profile": self.profile or None,
            "expected_digest": self.digest,
        }
        if self.baseline is not None:
            arguments |= {"baseline_path": self.baseline.path, "baseline_version": self.baseline.version}
        if self.service is not None:
            arguments |= {
                "context_tokens": self.service.context_tokens,
                "parallel": self.service.parallel,
                "max_memory_bytes": self.service.max_memory_bytes,
                "must_serve": True,
            }
        if self.bank is not None:
            arguments["bank"] = self.bank
        return arguments


@dataclass(frozen=True)
class _InTurn:
    """Files are read at once, engines run one after the other: together they would need the memory of all, and
    each would measure the others' load as its own speed."""

    turn: threading.Lock
    stage: "Stage"

    def run(self, descriptor: int, job: "EngineJob", limits: "ChildLimits") -> "EngineRun":
        from tidegate.validation import ChildLauncher

        with self.turn:
            return ChildLauncher(lambda done, total: self.stage("ask", done, total)).run(
                descriptor, job, limits
            )


def _check_options(files: list[Path], digest: str, version: str, profile: str) -> None:
    from tidegate.domain import InvalidInput

    for name, value in (("digest", digest), ("version", version)):
        if value and len(files) != 1:
            raise InvalidInput(
                f"--{name} is for one file.", remedy="Validate the files one by one.", field=name
            )
    if profile and profile not in PROFILES:
        raise InvalidInput(
            f"'{profile}' is no profile.", remedy=f"Use one of: {', '.join(PROFILES)}.", field="profile"
        )


def limits_of(
    policy: str, service: str, bank: Path | None = None
) -> "tuple[Policy, ServiceConfig | None, Bank | None]":
    """Whose limits and questions apply: a service's, a policy's, or the built-in ones.

    Raises: NotFound, InvalidInput.
    """
    from tidegate.access import load_organizations, read_policy
    from tidegate.domain import InvalidInput, NotFound, Policy, ServiceRef
    from tidegate.quality import find_bank, read_bank
    from tidegate.settings import load_settings

    if policy and service:
        raise InvalidInput(
            "--policy and --service both say whose limits apply.", remedy="Give one.", field="policy"
        )
    questions = None if bank is None else read_bank(bank)
    if not policy and not service:
        return Policy(), None, questions
    settings = load_settings()
    if policy:
        own = settings.policies_dir / f"{policy}.yaml"
        is_name = "/" not in policy and own.is_file()
        return read_policy(own if is_name else Path(policy)), None, questions
    organizations = load_organizations(settings.organizations_dir, settings.policies_dir)
    ref = ServiceRef.parse(service)
    if ref.org not in organizations:
        raise NotFound(
            f"There is no organization '{ref.org}'.",
            remedy=f"Use one of: {', '.join(sorted(organizations))}.",
        )
    config = organizations[ref.org].service(ref)
    own_bank = find_bank(settings.banks_dir, config.policy.quality.bank)
    return config.policy, config, questions or read_bank(own_bank)


def _as_dict(done: "Done") -> dict[str, object]:
    return {
        "path": str(done.path),
        "may_be_deployed": done.may_be_deployed,
        "report": as_data(done.report),
        "error": done.error.as_dict() if done.error else None,
    }
