"""`tidegate exporter`: the process that Prometheus reads."""

from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.output import TRACEBACK_KEY

PORT = 8091


def exporter(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where it answers.")] = PORT,
    gpu_host: Annotated[
        bool,
        typer.Option("--gpu-host", help="Only the GPUs and resources of this machine; needs no ledger."),
    ] = False,
    gpus: Annotated[
        bool, typer.Option("--gpus", help="Everything, and the GPUs of this machine, too.")
    ] = False,
    once: Annotated[bool, typer.Option("--once", help="Print one page and end.")] = False,
) -> None:
    """Metrics of this installation for Prometheus, until Ctrl-C. `tidegate up` runs one by itself.

    It answers /metrics, /healthz, /readyz, and /sd/engines: the engines as targets of an HTTP service discovery. One
    for each ledger is enough; of two, both would add up what sets cost.

    Examples:

      tidegate exporter --once

      tidegate exporter --gpu-host --host 10.0.0.5     (on a machine with GPUs)
    """
    from tidegate import exporting, wiring
    from tidegate.cli.agents import log_to_stdout, stop_event

    context.meta[TRACEBACK_KEY] = True
    if gpu_host:
        log_to_stdout()
        exporting.run_gpu_host(host=host, port=port, stop=stop_event())
        return
    from tidegate.cli.connect import prefect_api
    from tidegate.settings import SOURCE_ROOT

    ports = wiring.load()
    flows = known_flows(SOURCE_ROOT)
    connect = lambda: prefect_api(ports.settings)  # noqa: E731 - asked anew for each look
    if once:
        collecting, _ = exporting.build(ports, connect, flows, has_gpus=gpus)
        collecting.look_all()
        typer.echo(collecting.page().decode(), nl=False)
        return
    log_to_stdout()
    exporting.run(ports, connect, flows, host=host, port=port, stop=stop_event(), has_gpus=gpus)


def known_flows(root: Path) -> list[str]:
    """Names of flows that have a deployment; none where that is written elsewhere."""
    import yaml

    try:
        content = yaml.safe_load((root / "prefect.yaml").read_text(encoding="utf-8"))
        entries = [str(one["entrypoint"]) for one in content["deployments"]]
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return []
    return sorted({entry.rpartition(".")[2].rpartition(":")[2].replace("_", "-") for entry in entries})
