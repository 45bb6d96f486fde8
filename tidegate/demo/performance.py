"""The whole evening: choose and clear the home, start the stack, play all parts at once, tell and report."""

import os
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from tidegate import wiring
from tidegate.access import PREFECT_AUTH, SecretStore, api_key_name
from tidegate.benchmark.traffic import TrafficClient
from tidegate.cli.following import start_run
from tidegate.cli.output import print_json
from tidegate.cli.running import READY_TIMEOUT_S, Progress
from tidegate.demo.home import (
    PROVENANCE,
    DemoHome,
    choose_home,
    clear,
    is_used,
    mark,
    only_demonstration,
)
from tidegate.demo.machine import describe_machine
from tidegate.demo.player import Player, Stage
from tidegate.demo.recorder import Recorder
from tidegate.demo.report import write_report
from tidegate.demo.scenario import ACTS, APPROVED_BY, CASTS, Cast
from tidegate.demo.story import Story
from tidegate.demo.summary import summarise
from tidegate.demo.verdict import print_directions, print_verdict
from tidegate.demo.view import choose_view
from tidegate.domain import NeedsOperator, NotFound, ServiceRef, TidegateError
from tidegate.platforms.local import LocalPlatform
from tidegate.quality import find_bank, read_bank
from tidegate.stack.launching import running_stack, start_detached, stop_stack, wait_until_ready
from tidegate.stack.prefect_api import PrefectApi
from tidegate.stack.record import StackRecord
from tidegate.steps import Ports, approve_release, register_model, request_release

APPROVAL = "the demonstration approves what its gates let through"
LOOK_S = 0.25
REQUESTS_PER_S = 20.0
SHORT_WORKERS = STREAM_WORKERS = 2


@dataclass(frozen=True)
class Wishes:
    """The options of the command."""

    as_json: bool
    plain: bool
    keep_up: bool
    report: Path
    org: str


def perform(wishes: Wishes) -> int:
    """See `run_demo`."""
    casts = _casts(wishes.org)
    home = choose_home()
    require_models(home, casts)
    console = Console(highlight=False, quiet=wishes.as_json)
    with only_demonstration(home.settings):
        try:
            story = _perform(wishes, home, casts, console)
        except KeyboardInterrupt:
            console.print(interruption_text(home, is_up=wishes.keep_up), markup=False, soft_wrap=True)
            raise
        finally:
            if not wishes.keep_up:
                stop_stack(home.settings.home, lambda line: console.print(f"  {line}", markup=False))
    summary = summarise(story, len(ACTS))
    report = write_report(wishes.report, story, summary)
    if wishes.as_json:
        print_json(
            {**summary.as_dict(), "report": str(report), "urls": story.urls, "home": str(home.settings.home)}
        )
    else:
        print_verdict(console, story, summary)
        print_directions(console, story.urls, report, is_up=wishes.keep_up, prefix=home.command_prefix)
    return summary.exit_code


def interruption_text(home: DemoHome, *, is_up: bool) -> str:
    """What Ctrl-C means: nothing has to be repaired."""
    text = "Interrupted; the next demonstration begins anew."
    if not is_up:
        return text
    prefix = home.command_prefix
    return f"{text} The stack is up and finishes what is under way: {prefix}tidegate status, {prefix}tidegate down."


def _perform(wishes: Wishes, home: DemoHome, casts: Sequence[Cast], console: Console) -> Story:
    started = time.monotonic()
    record = bring_up(home, console, quiet=wishes.as_json)
    stack_s = time.monotonic() - started
    ports = wiring.load(home.settings)
    register_models(ports, casts)
    recorders = [Recorder(cast, ACTS, ports.ledger) for cast in casts]
    stage = _stage(ports, home, record)
    machine, began_at = describe_machine(), datetime.now(UTC)
    console.print(
        f"\n{len(casts)} services, {len(ACTS)} releases each, under client traffic. Ctrl-C stops.\n"
    )
    _play(stage, recorders, casts, console, wishes)
    return Story(
        started_at=began_at,
        ended_at=datetime.now(UTC),
        stack_s=stack_s,
        urls=record.urls,
        machine=machine,
        services=tuple(recorder.story() for recorder in recorders),
    )


def _play(
    stage: Stage, recorders: Sequence[Recorder], casts: Sequence[Cast], console: Console, wishes: Wishes
) -> None:
    """All parts at once, watched until the last is over. Whatever ends it, no traffic is left behind."""
    view = choose_view(console, plain=wishes.plain, quiet=wishes.as_json)
    players = [Player(stage, cast, ACTS, recorder) for cast, recorder in zip(casts, recorders, strict=True)]
    with ThreadPoolExecutor(len(players), thread_name_prefix="player") as pool:
        parts: list[Future[None]] = [pool.submit(player.play) for player in players]
        try:
            with view:
                while True:
                    is_over = all(part.done() for part in parts)
                    for recorder in recorders:
                        recorder.sample()
                    view.show([recorder.board for recorder in recorders])
                    if is_over:
                        break
                    time.sleep(LOOK_S)
        finally:
            stage.interrupted.set()
            for recorder in recorders:
                recorder.stop_traffic()
    for part in parts:
        part.result()


def bring_up(home: DemoHome, console: Console, *, quiet: bool) -> StackRecord:
    """The stack of this home, ready and holding nothing of an earlier demonstration.

    Raises:
        NeedsOperator: when it does not become ready; what was started is ended again.
    """
    settings = home.settings
    progress = Progress(quiet=quiet)
    if is_used(settings):
        console.print(f"Clearing the earlier demonstration in {settings.home}", markup=False)
        clear(settings, progress.note)
    mark(settings)
    log = settings.logs_dir / "supervisor.log"
    found = running_stack(settings.home)
    if found is not None:
        console.print("The stack is up already.")
        return wait_until_ready(settings.home, None, READY_TIMEOUT_S, log)
    console.print(f"Starting the stack in {settings.home}", markup=False)
    command = (sys.executable, "-m", "tidegate.cli", "agent", "supervisor")
    process = start_detached(command, home.environ, log)
    try:
        with progress:
            return wait_until_ready(settings.home, process, READY_TIMEOUT_S, log, progress.show)
    except (TidegateError, KeyboardInterrupt):
        stop_stack(settings.home, progress.note)
        raise


def register_models(ports: Ports, casts: Sequence[Cast]) -> None:
    """Every version of every part, as a training pipeline would: the file, and where it comes from."""
    for cast in casts:
        for act in ACTS:
            path = ports.settings.deployments_dir / "demo" / "models" / cast.file_name(act.version)
            register_model(ports, cast.ref.org, cast.model, act.version, path, dict(PROVENANCE))


def require_models(home: DemoHome, casts: Sequence[Cast]) -> None:
    """Raises: NotFound, naming the first file that is missing, before anything is started."""
    folder = home.settings.deployments_dir / "demo" / "models"
    for cast in casts:
        for act in ACTS:
            if not (folder / cast.file_name(act.version)).is_file():
                raise NotFound(
                    f"The demo model {folder / cast.file_name(act.version)} is missing.",
                    remedy="Check out the whole repository: the demo models are part of it.",
                )


def _stage(ports: Ports, home: DemoHome, record: StackRecord) -> Stage:
    auth = SecretStore(home.settings.secrets_dir, os.environ).get(PREFECT_AUTH)

    def make_clients(cast: Cast) -> TrafficClient:
        key = ports.secrets.get(api_key_name(cast.ref.org))
        if key is None:
            raise NeedsOperator(
                f"There is no client key of {cast.ref.org}.", remedy="Run: tidegate down, then tidegate demo."
            )
        bank = ports.service(cast.ref).policy.quality.bank
        questions = read_bank(find_bank(home.settings.banks_dir, bank)).questions
        return TrafficClient(
            f"{record.urls['gateway']}/{cast.ref}/v1",
            key,
            [question.prompt for question in questions],
            short_workers=SHORT_WORKERS,
            stream_workers=STREAM_WORKERS,
            rate_per_s=REQUESTS_PER_S,
        )

    def crash(ref: ServiceRef, set_name: str) -> None:
        platform = ports.platform(ref)
        assert isinstance(platform, LocalPlatform), "the demonstration's services run on the local platform"
        platform.crash(set_name)

    return Stage(
        ledger=ports.ledger,
        request=lambda request: request_release(ports, request),
        approve=lambda release_id: approve_release(ports, release_id, APPROVED_BY, APPROVAL),
        open_api=lambda: PrefectApi(f"{record.urls['prefect']}/api", auth),
        start_run=start_run,
        make_clients=make_clients,
        crash=crash,
        interrupted=threading.Event(),
    )


def _casts(org: str) -> list[Cast]:
    """All parts, or the one of this organization. Raises: NotFound."""
    found = [cast for cast in CASTS if org in ("", cast.ref.org)]
    if not found:
        known = ", ".join(cast.ref.org for cast in CASTS)
        raise NotFound(
            f"The demonstration has no part for '{org}'.", remedy=f"Use one of: {known}.", field="org"
        )
    return found
