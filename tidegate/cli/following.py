"""Follows a release in the ledger until it is over or waits for a person. The ledger is the truth, not the run."""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

from tidegate.cli.output import BAD_INPUT, FAILED, NEEDS_PERSON, OK, escape

if TYPE_CHECKING:
    from tidegate.domain import JournalEntry, Release
    from tidegate.stack.prefect_api import FlowRun, PrefectApi
    from tidegate.steps import Ports

POLL_S = 0.25
RUN_LOOK_S = 3.0
MAX_RUNS = 100
SET_TAIL = 8
RELEASE_DEPLOYMENT = "release/release"


def start_run(api: "PrefectApi", release: "Release") -> "FlowRun":
    """The flow run that drives this release: the present one, or a new one where the last has ended.

    A key lives as long as its run, so a release that went on living needs a next key.
    """
    from tidegate.domain import NeedsOperator

    request = release.request.model_dump(mode="json")
    for number in range(MAX_RUNS):
        key = f"{release.id}#{number}"
        run = api.create_flow_run(RELEASE_DEPLOYMENT, {"request": request}, idempotency_key=key)
        if not run.is_over:
            return run
    raise NeedsOperator(
        f"{MAX_RUNS} runs of release {release.id} have ended without finishing it.",
        remedy=f"See: tidegate releases show {release.id}, then stop it: tidegate rollback {release.ref}.",
    )


class Follower:
    """Prints each new row of the journal; tells when the run that drives the release has died."""

    def __init__(self, ports: "Ports", release_id: str, tell: Callable[[str], None]):
        self._ports = ports
        self._release_id = release_id
        self._tell = tell
        self._seen = 0
        self._start: float | None = None

    def follow(
        self, timeout_s: float, *, run: "FlowRun | None" = None, api: "PrefectApi | None" = None
    ) -> "Release":
        """The release once it is over, held or awaiting approval.

        Raises:
            Transient: when the time is over first; the release goes on.
        """
        from tidegate.domain import ReleaseState, Transient

        asking = (ReleaseState.HOLD, ReleaseState.AWAIT_APPROVAL)
        deadline = time.monotonic() + timeout_s
        next_look = time.monotonic() + RUN_LOOK_S
        while True:
            # Read before the rows, so that the last rows of a finished release are told too.
            release = self._ports.ledger.get_release(self._release_id)
            self.tell_new_rows()
            if release.is_over or release.state in asking:
                return release
            now = time.monotonic()
            if now > deadline:
                raise Transient(
                    f"Release {release.id} is still {release.state.value} after {timeout_s:g} s; it goes on.",
                    remedy=f"Follow it with: tidegate releases show {release.id} --follow.",
                )
            if run is not None and api is not None and now > next_look:
                next_look = now + RUN_LOOK_S
                run = self._look_at_run(api, run)
            time.sleep(POLL_S)

    def _look_at_run(self, api: "PrefectApi", run: "FlowRun") -> "FlowRun | None":
        """None once there is nothing more to say about the run. A silent Prefect says nothing about the release."""
        from tidegate.domain import TidegateError

        try:
            now = api.get_flow_run(run.id)
        except TidegateError:
            return run
        if now.is_over:
            self._tell(
                f"[yellow]Its run ended ({now.state.lower()}); reconcile takes over within half a minute.[/yellow]"
            )
            return None
        return now

    def tell_new_rows(self) -> None:
        """What was written since the last time."""
        for entry in self._ports.ledger.entries(self._release_id):
            if entry.seq <= self._seen:
                continue
            self._seen = entry.seq
            at = entry.at.timestamp()
            self._start = at if self._start is None else self._start
            text = describe(entry)
            if text:
                self._tell(f"[dim]{at - self._start:7.2f} s[/dim]  {text}")


def describe(entry: "JournalEntry") -> str:
    """One row of a journal for a person; empty for what only machines need."""
    name, data = escape(entry.name), entry.data
    reason = f"  [dim]{escape(data['reason'])}[/dim]" if data.get("reason") else ""
    match entry.kind:
        case "entered":
            return f"[bold]{name}[/bold]{reason}"
        case "abort":
            return f"[yellow]stop asked by {escape(data.get('actor', '?'))}[/yellow]{reason}"
        case "note":
            return f"[dim]note[/dim] {name}{reason}"
        case "observed":
            return f"  [dim]{name}{_facts(data)}[/dim]"
        case _:
            return ""


def _facts(data: dict[str, Any]) -> str:
    """The small values of a row: `10 % on 12f6ff0a, 90 % on 5008a4f4`."""
    weights = data.get("weights")
    if isinstance(weights, dict):
        # A set's name ends in what tells it from the others.
        shares = cast("dict[str, int]", weights).items()
        return ": " + ", ".join(f"{weight} % on {escape(name[-SET_TAIL:])}" for name, weight in shares)
    plain = [f"{key} {value}" for key, value in data.items() if key != "reason" and len(str(value)) < 60]
    return f": {escape(', '.join(plain))}" if plain else ""


def exit_code(release: "Release") -> int:
    """0 live, 2 refused or rolled back, 3 a person is asked."""
    from tidegate.domain import ReleaseState

    match release.state:
        case ReleaseState.DONE | ReleaseState.EVALUATED:
            return OK
        case ReleaseState.REJECTED | ReleaseState.ROLLED_BACK:
            return BAD_INPUT
        case ReleaseState.HOLD | ReleaseState.AWAIT_APPROVAL:
            return NEEDS_PERSON
        case _:
            return FAILED


def outcome_lines(ports: "Ports", release: "Release") -> Iterator[str]:
    """How it ended, the checks that did not pass, and what to do next."""
    from tidegate.domain import ReleaseState, Verdict

    name = escape(f"{release.request.model}:{release.request.version}")
    match release.state:
        case ReleaseState.DONE:
            yield f"[green]{name} serves {release.ref}.[/green]"
        case ReleaseState.HOLD | ReleaseState.AWAIT_APPROVAL:
            yield f"[yellow]{name} waits for a person:[/yellow] {escape(release.reason)}"
            approvers = ports.service(release.ref).policy.approval.approvers
            by = (
                f" --by {'|'.join(approvers) or 'WHO'}"
                if release.state is ReleaseState.AWAIT_APPROVAL
                else ""
            )
            yield f"What is asked: tidegate approve {release.id}"
            yield f"Go on: tidegate releases approve {release.id}{by} --reason ..."
            yield f"Back: tidegate rollback {release.ref} --reason ..."
        case _:
            word = release.state.value.replace("_", " ")
            yield f"[red]{name} was {word}:[/red] {escape(release.reason)}"
    for row in ports.ledger.evidence(release.id):
        if row.verdict is not Verdict.PASS and not row.is_shown_only:
            yield f"  [red]{row.verdict.value:<10}[/red] {escape(row.check)}: {escape(row.summary)}"
            if row.remedy:
                yield f"             {escape(row.remedy)}"
    yield f"[dim]All of it: tidegate releases show {release.id}[/dim]"
