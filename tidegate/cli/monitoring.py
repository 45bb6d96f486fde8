"""`tidegate monitoring`: the files of Prometheus and Alertmanager, and both of them running on top of `tidegate up`."""

from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.output import FAILED, JsonFlag, escape, print_json, say

PREFERRED_PORTS = {"prometheus": 9090, "alertmanager": 9093}

app = typer.Typer(
    help="Prometheus and Alertmanager: write what they read, or run them here.", no_args_is_help=True
)


@app.command()
def render(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to write to.")],
    settings_file: Annotated[
        Path | None,
        typer.Option(
            "--settings",
            metavar="FILE",
            help="By default monitoring/monitoring.yaml of the deployments folder, or of Tidegate itself.",
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit code 1 when DIR is not as it should be.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Write prometheus.yml, alertmanager.yml, rules and templates for all organizations.

    Examples:

      tidegate monitoring render --out deployments/monitoring

      tidegate monitoring render --out /etc/tidegate/monitoring --check
    """
    from tidegate.access import load_organizations
    from tidegate.observability.monitoring_files import render_monitoring
    from tidegate.observability.monitoring_settings import load_monitoring
    from tidegate.settings import load_settings

    settings = load_settings()
    standing = _standing(settings.deployments_dir)
    wanted = load_monitoring(settings_file or standing / "monitoring.yaml")
    organizations = load_organizations(settings.organizations_dir, settings.policies_dir)
    files = render_monitoring(wanted, organizations, standing)
    changed = files.differing(out) if check else files.write(out)
    if as_json:
        print_json({"folder": str(out), "files": sorted(files.texts), "changed": changed})
    elif changed:
        for name in changed:
            say(f"{'differs' if check else 'written'}  {out / name}")
    else:
        say(f"{out} is as it should be: {len(files.texts)} files.")
    if check and changed:
        raise typer.Exit(FAILED)


def _standing(deployments_dir: Path) -> Path:
    """Rules, templates and settings: of the installation's own deployments folder, else those that come with Tidegate."""
    from tidegate.settings import SOURCE_ROOT

    own = deployments_dir / "monitoring"
    return own if own.exists() else SOURCE_ROOT / "deployments" / "monitoring"


@app.command()
def up() -> None:
    """Run Prometheus and Alertmanager on top of the stack that is up here, until Ctrl-C.

    They read what `render` writes, with the addresses of this stack. Alerts reach the channels of the organizations;
    nobody is mailed by Alertmanager itself. Where the two programs are taken from: docs/operations.md.

    Examples:

      tidegate up && tidegate monitoring up
    """
    import os

    from deployments.setup.errors import SetupError
    from deployments.setup.monitoring import require_tools
    from tidegate.access import ALERT_TOKEN, SecretStore, load_organizations
    from tidegate.cli.agents import stop_quietly
    from tidegate.domain import NeedsOperator
    from tidegate.observability import monitors
    from tidegate.observability.monitoring_files import render_monitoring
    from tidegate.observability.monitoring_settings import load_monitoring
    from tidegate.settings import LOOPBACK, load_settings
    from tidegate.stack.launching import running_stack
    from tidegate.stack.port_choice import choose_ports

    settings = load_settings()
    stack = running_stack(settings.home)
    if stack is None:
        raise NeedsOperator("The stack is not up: there is nothing to look at.", remedy="Run: tidegate up.")
    try:
        tools = require_tools()
    except SetupError as error:
        raise NeedsOperator(error.message, remedy=error.remedy) from error
    folder, standing = settings.home / "monitoring", _standing(settings.deployments_dir)
    folder.mkdir(mode=0o700, exist_ok=True)
    ports = choose_ports(folder, PREFERRED_PORTS, LOOPBACK)
    here = monitors.of_this_stack(load_monitoring(standing / "monitoring.yaml"), stack.urls, ports, folder)
    organizations = load_organizations(settings.organizations_dir, settings.policies_dir)
    render_monitoring(here, organizations, standing).write(folder)
    monitors.keep_token(folder, SecretStore(settings.secrets_dir, os.environ).ensure(ALERT_TOKEN))

    def tell() -> None:
        say("[green]Ready[/green]; Ctrl-C ends both.")
        say(f"  prometheus    http://{escape(here.prometheus)}/alerts")
        say(f"  alertmanager  http://{escape(here.alertmanager)}")

    wanted = monitors.monitors(here, folder, tools.prometheus, tools.alertmanager)
    monitors.run_until(wanted, stop_quietly(), tell)
