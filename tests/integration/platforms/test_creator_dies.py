"""The process that creates a set may be killed at any instruction: the next one finds or makes exactly one engine."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.platforms.watching import engine_processes
from tidegate.domain import SetSpec
from tidegate.platforms.local import LocalPlatform

FakeModel = Callable[[str], Path]
MakeSpec = Callable[..., SetSpec]
READY_S = 60.0
CREATE_AND_DIE = """
import os, signal, sys, threading
from pathlib import Path
from tidegate.domain import SetSpec
from tidegate.engines.llama_server import LlamaServer
from tidegate.platforms.local import LocalPlatform

root, bin_dir, spec, moment = Path(sys.argv[1]), sys.argv[2], SetSpec.model_validate_json(sys.argv[3]), sys.argv[4]


def die():
    os.killpg(0, signal.SIGKILL)


class Mortal(LlamaServer):
    def command(self, *args):
        if moment == "before the order is written":
            die()
        return super().command(*args)

    def environment(self, home):
        if moment == "after the order is written":
            die()
        return super().environment(home)


def die_when_the_engine_is_recorded():
    while not (root / "sets" / spec.name / "process.json").exists():
        pass
    die()


if moment == "as the engine starts":
    threading.Thread(target=die_when_the_engine_is_recorded, daemon=True).start()
if moment == "as the launcher starts":
    sys.addaudithook(lambda event, _: event == "subprocess.Popen" and threading.Timer(0, die).start())
LocalPlatform(root, engine=Mortal(bin_dir)).create(spec)
"""


@pytest.mark.parametrize(
    "moment",
    [
        "before the order is written",
        "after the order is written",
        "as the launcher starts",
        "as the engine starts",
    ],
)
def test_the_next_process_gets_one_engine_whenever_the_first_was_killed(
    moment: str,
    root: Path,
    fakes: LocalPlatform,
    fake_bin_dir: str,
    fake_model: FakeModel,
    make_spec: MakeSpec,
) -> None:
    spec = make_spec(fake_model("serve"))
    creator = subprocess.run(
        [sys.executable, "-c", CREATE_AND_DIE, str(root), fake_bin_dir, spec.model_dump_json(), moment],
        cwd=Path(__file__).parents[3],
        start_new_session=True,
        timeout=READY_S,
        check=False,
    )
    # The race with the launcher may be won by the creator, which then ends well.
    assert creator.returncode in (-signal.SIGKILL, 0)

    fakes.create(spec)

    assert fakes.wait_ready(spec.name, READY_S).is_ready
    assert len(engine_processes(root)) == 1
