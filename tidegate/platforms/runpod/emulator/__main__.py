"""`python -m tidegate.platforms.runpod.emulator`: run an emulator in the foreground."""

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tidegate.domain import TidegateError
from tidegate.platforms.runpod.emulator.catalog import load_catalog
from tidegate.platforms.runpod.emulator.images import Images, engine_environment, parse_mapping
from tidegate.platforms.runpod.emulator.server import (
    DEFAULT_CREDIT_USD,
    DEFAULT_ORGANIZATIONS,
    Options,
    serve,
)
from tidegate.platforms.runpod.emulator.timings import Timings

WORKER_SOURCE = Path(__file__).resolve().parents[4] / "deployments" / "images" / "worker"
EXAMPLES = """examples:
  python -m tidegate.platforms.runpod.emulator --home .tidegate/runpod
  python -m tidegate.platforms.runpod.emulator --home /tmp/e --api-port 9001 --data-port 9002 --org swaggystacks
  python -m tidegate.platforms.runpod.emulator --home /tmp/e --image my-image='python worker.py' --timing lease_lost_s=3

The first line of output is JSON with both URLs and the files that hold the keys; no key is ever printed.
"""


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m tidegate.platforms.runpod.emulator",
        description="An emulator of RunPod: control plane and data plane on two loopback ports, workers as processes.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--home", type=Path, required=True, help="folder of its state, keys, logs and volumes")
    made.add_argument(
        "--api-port", type=int, default=0, help="port of the control plane (default: a free one)"
    )
    made.add_argument("--data-port", type=int, default=0, help="port of the data plane (default: a free one)")
    made.add_argument(
        "--told-data-url",
        default="",
        metavar="URL",
        help="told to callers as the data plane, such as a relay's",
    )
    made.add_argument("--org", action="append", metavar="NAME", help="an organization with a key of its own")
    made.add_argument(
        "--credit-usd", type=float, default=DEFAULT_CREDIT_USD, help="balance of a new organization"
    )
    made.add_argument(
        "--image", action="append", default=[], metavar="NAME=COMMAND", help="what an image runs"
    )
    made.add_argument(
        "--worker-env", action="append", default=[], metavar="KEY=VALUE", help="baked into images"
    )
    made.add_argument(
        "--worker-source", type=Path, default=WORKER_SOURCE, help="folder with tidegate_worker/"
    )
    made.add_argument("--catalog", type=Path, help="JSON file with prices and stock")
    made.add_argument("--timing", action="append", default=[], metavar="NAME=VALUE", help="see timings.py")
    return made


def options_of(arguments: argparse.Namespace) -> Options:
    """Raises: InvalidInput for a value that says nothing."""
    images = images_of(arguments.image, arguments.worker_env, arguments.worker_source)
    options = Options(
        home=arguments.home.resolve(),
        images=images,
        api_port=arguments.api_port,
        data_port=arguments.data_port,
        told_data_url=arguments.told_data_url.rstrip("/"),
        credit_usd=arguments.credit_usd,
        timings=Timings().with_texts(_pairs(arguments.timing)),
        catalog=load_catalog(arguments.catalog),
    )
    return replace(options, organizations=tuple(arguments.org or DEFAULT_ORGANIZATIONS))


def images_of(mappings: Sequence[str], worker_env: Sequence[str], source: Path = WORKER_SOURCE) -> Images:
    """Raises: InvalidInput for a mapping that names no command."""
    return Images(
        worker_source=source,
        commands=dict(parse_mapping(text) for text in mappings),
        baked_env={**engine_environment(), **_pairs(worker_env)},
    )


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    return {name: value for name, _, value in (text.partition("=") for text in texts)}


def main(arguments: Sequence[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    try:
        options = options_of(parser().parse_args(arguments))
    except TidegateError as error:
        print(error, file=sys.stderr)
        return 2
    asyncio.run(serve(options, lambda facts: print(json.dumps(facts), flush=True)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
