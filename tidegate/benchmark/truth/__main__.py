"""An OpenAI-compatible server that answers at known times and tells what it really wrote.

    python -m tidegate.benchmark.truth --ttft lognormal:80:0.4 --gap 10 --tokens-per-chunk 4 --port 8099

Measure http://127.0.0.1:8099/v1 with any tool, then read http://127.0.0.1:8099/truth and compare by the
request header x-request-id. A time is in milliseconds: 50, uniform:20:80 (low:high) or lognormal:50:0.5
(median:sigma). It listens on the loopback address, knows no keys, and is no model.
"""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from tidegate.benchmark.pauses import no_long_pauses
from tidegate.benchmark.truth.server import TruthServer
from tidegate.benchmark.truth.shape import Fault, Shape
from tidegate.domain import InvalidInput

LINE_ENDS = {"lf": "\n", "crlf": "\r\n", "cr": "\r"}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    given = vars(parser.parse_args(arguments))
    port, from_stdin = given.pop("port"), given.pop("shapes_from_stdin")
    try:
        shapes = _shapes_of_stdin() if from_stdin else {"": _shape(given)}
    except (InvalidInput, ValidationError) as error:
        parser.error(str(error))
    with no_long_pauses():
        asyncio.run(_serve(shapes, port, until_stdin_ends=from_stdin))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tidegate.benchmark.truth",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: any that is free)")
    parser.add_argument("--shapes-from-stdin", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--fault",
        dest="faults",
        action="append",
        metavar="KIND[:SHARE[:AFTER[:STATUS]]]",
        help="what goes wrong, in which share of the requests, after how many chunks; may be repeated. "
        "Kinds: status, error_event, named_error_event, broken_json, cut, reset, quiet_end, no_done, hang",
    )
    for name, field in Shape.model_fields.items():
        if name == "faults":
            continue
        flag, told = f"--{name.replace('_', '-')}", (field.description or "").replace("\n", " ")
        if field.annotation is bool:
            parser.add_argument(flag, default=None, action=argparse.BooleanOptionalAction, help=told)
        else:
            choices = list(LINE_ENDS) if name == "line_end" else None
            parser.add_argument(flag, default=None, help=told, choices=choices)
    return parser


def _shape(given: dict[str, Any]) -> Shape:
    wanted = {name: value for name, value in given.items() if value is not None}
    if "line_end" in wanted:
        wanted["line_end"] = LINE_ENDS[wanted["line_end"]]
    wanted["faults"] = [_fault(text) for text in wanted.get("faults", [])]
    return Shape.model_validate(wanted)


def _fault(text: str) -> Fault:
    parts = dict(zip(("kind", "share", "after", "status"), text.split(":"), strict=False))
    return Fault.model_validate(parts)


def _shapes_of_stdin() -> dict[str, Shape]:
    given: dict[str, Any] = json.loads(sys.stdin.readline())
    return {name: Shape.model_validate(shape) for name, shape in given.items()}


async def _serve(shapes: dict[str, Shape], port: int, *, until_stdin_ends: bool) -> None:
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    if until_stdin_ends:
        # Whoever started this server has ended when this closes, however that came about.
        loop.add_reader(sys.stdin.fileno(), stopping.set)
    server = TruthServer(shapes)
    listener = await server.listen("127.0.0.1", port)
    origin = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    print(json.dumps({"origin": origin, "url": f"{origin}/v1", "truth": f"{origin}/truth"}), flush=True)
    await stopping.wait()
    listener.close()
    server.close_connections()
    await listener.wait_closed()


if __name__ == "__main__":
    sys.exit(main())
