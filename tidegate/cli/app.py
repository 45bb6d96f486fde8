"""Puts the commands together and turns every error into one short answer."""

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from tidegate.cli import (
    agents,
    approving,
    auditing,
    backups,
    banks,
    bench,
    captures,
    comparing,
    diagnosis,
    drifting,
    drill,
    errors,
    exporting,
    gateways,
    health,
    inspecting,
    keys,
    logs,
    models,
    monitoring,
    nights,
    notifying,
    policies,
    quality,
    reconciling,
    registry_checking,
    releases,
    rolling_back,
    running,
    runpod_emulator,
    services,
    standing,
    tokens,
    trying,
    validating,
)
from tidegate.cli.error_notes import note_error
from tidegate.cli.judging import JudgingCommand
from tidegate.cli.output import INTERRUPTED, JSON_KEY, TRACEBACK_KEY, is_ours, render_error

HELP = """A gate between training and users for GGUF language models.

Nothing carries traffic until evidence says that it may.

Start here:  tidegate up,  tidegate demo,  tidegate status,  tidegate doctor.
"""


class Commands(TyperGroup):
    """The root: one path for everything that goes wrong below it."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # The reader (`head`, a pager) has seen enough; nothing may be flushed into its pipe at exit.
            sys.stdout = open("/dev/null", "w")  # noqa: SIM115
            raise typer.Exit(0) from None
        except Exception as error:
            # Typer's own exceptions end the command in Typer's way: usage errors with exit code 2.
            if type(error).__module__.startswith(("typer", "click")):
                raise
            if ctx.meta.get(TRACEBACK_KEY) and not is_ours(error):
                note_error(error, f"command {ctx.invoked_subcommand}")
                raise
            code = render_error(error, as_json=bool(ctx.meta.get(JSON_KEY)))
            note_error(error, f"command {ctx.invoked_subcommand}")
            raise typer.Exit(code) from None


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    # Help in plain text: Rich takes three times as long to import as everything else together.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (running.up, running.down, services.status, diagnosis.doctor, logs.logs, trying.demo):
    app.command()(command)
for command in (
    validating.validate,
    inspecting.inspect,
    comparing.compare,
    releases.release,
    approving.approve,
    rolling_back.rollback,
    reconciling.reconcile,
    notifying.notifier,
    exporting.exporter,
):
    app.command()(command)
app.command(cls=JudgingCommand)(drifting.drift)
app.command(cls=JudgingCommand)(drill.drill)
app.command("registry-check")(registry_checking.registry_check)
app.add_typer(bench.app, name="bench")
app.add_typer(releases.app, name="releases")
app.add_typer(models.app, name="models")
app.add_typer(policies.app, name="policy")
app.add_typer(banks.app, name="bank")
app.add_typer(nights.app, name="nightly")
app.add_typer(keys.app, name="keys")
app.add_typer(gateways.app, name="gateways")
app.add_typer(monitoring.app, name="monitoring")
app.add_typer(standing.holds, name="hold")
app.add_typer(standing.quarantine, name="quarantine")
app.add_typer(captures.app, name="captures")
app.add_typer(quality.app, name="quality")
app.add_typer(runpod_emulator.app, name="runpod-emulator")
app.add_typer(notifying.app, name="notify")
app.add_typer(health.app, name="health")
app.add_typer(backups.app, name="backup")
app.add_typer(tokens.app, name="token")
app.add_typer(errors.app, name="errors")
app.add_typer(auditing.app, name="audit")
app.add_typer(agents.app, name="agent", hidden=True)


def _version(value: bool) -> None:
    if value:
        from tidegate import __version__

        typer.echo(f"tidegate {__version__}")
        raise typer.Exit


@app.callback(help=HELP)
def root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Everything before the command."""


def main() -> None:
    """The console script."""
    app()
