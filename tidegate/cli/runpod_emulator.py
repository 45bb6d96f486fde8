"""`tidegate runpod-emulator`: run the emulator of RunPod, look at it, and make it misbehave.

Keys lie in 0600 files below its home; only `key` prints one, and only the one that was asked for.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.output import JsonFlag, pairs, print_json, print_table, say

if TYPE_CHECKING:
    from tidegate.platforms.runpod.emulator import EmulatorControl

app = typer.Typer(
    help="""The emulator of RunPod: run it, look at it, make it misbehave.

    Examples:

      tidegate runpod-emulator start

      tidegate runpod-emulator fault create_reply_lost --count 1
    """,
    no_args_is_help=True,
)

Home = Annotated[
    Path | None, typer.Option(help="Folder of its state, keys, logs and volumes; by default in this home.")
]


@app.command()
def start(
    home: Home = None,
    api_port: Annotated[int, typer.Option(help="Port of the control plane; 0 takes a free one.")] = 0,
    data_port: Annotated[int, typer.Option(help="Port of the data plane; 0 takes a free one.")] = 0,
    org: Annotated[list[str] | None, typer.Option(help="Organization with a key of its own.")] = None,
    image: Annotated[
        list[str] | None, typer.Option(help="NAME=COMMAND: what images of that name run.")
    ] = None,
    worker_env: Annotated[list[str] | None, typer.Option(help="KEY=VALUE, as if baked into images.")] = None,
    timing: Annotated[list[str] | None, typer.Option(help="NAME=SECONDS: shorten what takes long.")] = None,
    catalog: Annotated[Path | None, typer.Option(help="JSON file with prices and stock.")] = None,
    credit_usd: Annotated[float, typer.Option(help="Balance of a new organization.")] = 1000.0,
    as_json: JsonFlag = False,
) -> None:
    """Run the emulator here until Ctrl-C or SIGTERM. Its workers and pods end with it; its state stays.

    Examples:

      tidegate runpod-emulator start

      tidegate runpod-emulator start --api-port 9001 --data-port 9002 --json

      tidegate runpod-emulator start --image flow='python -m prefect {args}' --timing lease_lost_s=5
    """
    import asyncio

    from tidegate.platforms.runpod.emulator.__main__ import images_of
    from tidegate.platforms.runpod.emulator.catalog import load_catalog
    from tidegate.platforms.runpod.emulator.server import DEFAULT_ORGANIZATIONS, Options, serve
    from tidegate.platforms.runpod.emulator.timings import Timings

    options = Options(
        home=_home(home),
        images=images_of(image or [], worker_env or []),
        api_port=api_port,
        data_port=data_port,
        organizations=tuple(org or DEFAULT_ORGANIZATIONS),
        credit_usd=credit_usd,
        timings=Timings().with_texts(pairs(timing)),
        catalog=load_catalog(catalog),
    )
    asyncio.run(serve(options, lambda facts: _announce(facts, as_json=as_json)))


@app.command()
def status(home: Home = None, as_json: JsonFlag = False) -> None:
    """Show what runs in the emulator: endpoints, workers with their processes, pods, faults.

    Examples:

      tidegate runpod-emulator status --json
    """
    with _control(home) as control:
        state = control.state()
        state["faults"] = control.call("GET", "faults")["faults"]
    if as_json:
        print_json(state)
        return
    names = {one["id"]: one["name"] for one in state["endpoints"]}
    rows = [
        [names[one["endpointId"]], one["id"], one["status"], one["pid"] or "-", one["crashes"]]
        for one in state["workers"]
    ]
    print_table(["endpoint", "worker", "status", "process", "crashes"], rows)
    print_table(
        ["pod", "organization", "status"],
        [[one["id"], one["organization"], one["status"]] for one in state["pods"]],
    )
    print_table(
        ["fault", "value", "scope"], [[one["knob"], one["value"], one["scope"]] for one in state["faults"]]
    )


@app.command()
def key(
    name: Annotated[str, typer.Argument(help="Organization, or 'operator'.")],
    home: Home = None,
    as_json: JsonFlag = False,
) -> None:
    """Print the key of one organization, because you ask for it.

    Examples:

      tidegate runpod-emulator key swaggystacks
    """
    from tidegate.domain import NotFound

    path = _home(home) / "keys" / f"{Path(name).name}.key"
    try:
        value = path.read_text().strip()
    except OSError as error:
        raise NotFound(
            f"The emulator has no key for '{name}'.", remedy="Start it with: tidegate runpod-emulator start"
        ) from error
    if as_json:
        print_json({"name": name, "value": value})
    else:
        print(value)


@app.command()
def knobs(as_json: JsonFlag = False) -> None:
    """List every way in which the emulator can be made to misbehave.

    Examples:

      tidegate runpod-emulator knobs
    """
    from tidegate.platforms.runpod.emulator.faults import KNOBS

    found = [[one.name, one.plane, one.kind.__name__, one.does] for one in KNOBS.values()]
    if as_json:
        print_json([dict(zip(("knob", "plane", "type", "does"), row, strict=True)) for row in found])
    else:
        print_table(["knob", "plane", "type", "does"], found)


@app.command()
def fault(
    knob: Annotated[str, typer.Argument(help="See: tidegate runpod-emulator knobs")],
    value: Annotated[str, typer.Argument(help="true, or a number.")] = "true",
    scope: Annotated[str, typer.Option(help="Endpoint, pool, data centre, organization or path.")] = "*",
    count: Annotated[int | None, typer.Option(help="So many times, then no more.")] = None,
    at_s: Annotated[float, typer.Option("--at", help="Begins after so many seconds.")] = 0.0,
    for_s: Annotated[float | None, typer.Option("--for", help="Ends after so many seconds more.")] = None,
    home: Home = None,
    as_json: JsonFlag = False,
) -> None:
    """Make it misbehave in one way.

    Examples:

      tidegate runpod-emulator fault create_reply_lost --count 1

      tidegate runpod-emulator fault stock_out --scope ADA_24 --for 60
    """
    event: dict[str, Any] = {"knob": knob, "value": _plain(value), "scope": scope, "at": at_s}
    event |= {name: given for name, given in (("count", count), ("for", for_s)) if given is not None}
    with _control(home) as control:
        made = control.call("PUT", "faults", event)
    if as_json:
        print_json(made)
    else:
        say(f"{made['knob']} = {made['value']} for {made['scope']}")


@app.command()
def clear(
    knob: Annotated[str | None, typer.Argument(help="One knob; by default every fault.")] = None,
    home: Home = None,
    as_json: JsonFlag = False,
) -> None:
    """End faults.

    Examples:

      tidegate runpod-emulator clear stock_out
    """
    with _control(home) as control:
        cleared = control.call("DELETE", f"faults/{knob}" if knob else "faults")
    if as_json:
        print_json(cleared)
    else:
        say(f"{cleared['cleared']} ended")


@app.command()
def timeline(
    file: Annotated[Path, typer.Argument(help="YAML or JSON list of {at, for, knob, value, scope}.")],
    home: Home = None,
    as_json: JsonFlag = False,
) -> None:
    """Play a timeline of faults for a drill; it begins now.

    Examples:

      tidegate runpod-emulator timeline drill.yaml
    """
    import yaml

    from tidegate.domain import InvalidInput

    try:
        events = yaml.safe_load(file.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise InvalidInput(
            f"The timeline {file} cannot be read: {error}.", remedy="Give a YAML file that can be read."
        ) from error
    with _control(home) as control:
        made = control.call("POST", "timelines", events)
    if as_json:
        print_json(made)
    else:
        say(f"{len(made['faults'])} faults are planned")


@app.command()
def stock(
    gpu: Annotated[str, typer.Argument(help="GPU type id, for example 'NVIDIA L4'.")],
    units: Annotated[int, typer.Argument(help="How many there are.")],
    data_center: Annotated[str | None, typer.Option(help="One data centre; by default each.")] = None,
    home: Home = None,
    as_json: JsonFlag = False,
) -> None:
    """Set how many machines of a GPU type there are.

    Examples:

      tidegate runpod-emulator stock 'NVIDIA L4' 2 --data-center EU-RO-1
    """
    with _control(home) as control:
        control.set_stock(gpu, units, data_center)
    if as_json:
        print_json({"gpu": gpu, "units": units, "data_center": data_center})
    else:
        say(f"{gpu}: {units} in {data_center or 'each data centre'}")


def _announce(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        # One line: a program reads it from a pipe while the emulator goes on.
        import json

        print(json.dumps({**facts, "keys": sorted(facts["keys"])}), flush=True)
        return
    print(f"control plane  {facts['api_url']}\ndata plane     {facts['data_url']}")
    print(
        f"keys           {', '.join(sorted(facts['keys']))}  (tidegate runpod-emulator key NAME)", flush=True
    )


def _home(home: Path | None) -> Path:
    from tidegate.settings import load_settings

    return (home or load_settings().home / "platform" / "runpod-emulator").resolve()


def _control(home: Path | None) -> "EmulatorControl":
    """Raises: Transient when no emulator runs there."""
    from tidegate.domain import Secret
    from tidegate.platforms.runpod.emulator import EmulatorControl, running_emulator

    facts = running_emulator(_home(home))
    return EmulatorControl(facts["api_url"], Secret(Path(facts["keys"]["operator"]).read_text().strip()))


def _plain(text: str) -> bool | float | str:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return float(text)
    except ValueError:
        return text
