"""`tidegate monitoring`: the files of Prometheus and Alertmanager, made from the organizations of this installation."""

from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.output import FAILED, JsonFlag, print_json, say

app = typer.Typer(help="Prometheus and Alertmanager: write what they read.", no_args_is_help=True)


@app.command()
def render(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to write to.")],
    settings_file: Annotated[
        Path | None,
        typer.Option(
            "--settings",
            metavar="FILE",
            help="By default monitoring/monitoring.yaml of the deployments folder.",
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
    standing = settings.deployments_dir / "monitoring"
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
