"""A supervisor over tiny fake processes, started as its own process, and the leftovers it must not leave."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tidegate.stack.launching import running_stack, stop_stack
from tidegate.stack.processes import MARK
from tidegate.stack.record import StackRecord, read_record

WAIT_S = 60.0
RUNNER = """
import json, sys
from pathlib import Path
from tidegate.domain import NeedsOperator
from tidegate.stack import specification as s
from tidegate.stack.supervisor import Blueprint, Supervisor, only_one

plan = json.loads(Path(sys.argv[1]).read_text())
home = Path(plan["home"])

def spec(item):
    ready = item.pop("ready", None)
    probe = {"ready": s.LogProbe(ready)} if ready else {"ready": s.AliveProbe(0.05)}
    restart = s.RestartPolicy(first_delay_s=0.05, max_delay_s=0.2, give_up_after=3)
    path = home / "logs" / (item["name"] + ".log")
    values = {**item, **probe, "restart": restart, "cwd": home, "log_path": path}
    values["argv"], values["after"] = tuple(values["argv"]), tuple(values.get("after", ()))
    values["env"] = {**plan["env"], **item.get("env", {})}
    return s.ProcessSpec(**values)

blueprint = Blueprint(
    home=home,
    specs=tuple(spec(item) for item in plan["specs"]),
    teardown=tuple(spec(item) for item in plan.get("teardown", [])),
)
try:
    with only_one(home):
        Supervisor(blueprint, lambda line: print(line, flush=True)).run()
except NeedsOperator as error:
    print(error)
    sys.exit(3)
"""


def wait_for(condition: Callable[[], Any], seen: Callable[[], object] = lambda: "") -> Any:
    """The first true answer; fails with what was seen last."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if answer := condition():
            return answer
        time.sleep(0.02)
    raise AssertionError(f"not within {WAIT_S} s: {seen()}")


class Bench:
    """One home with a plan of fake processes."""

    def __init__(self, home: Path):
        self.home = home
        self.supervisors: list[subprocess.Popen[bytes]] = []
        self._plan = home.parent / "plan.json"

    def start(
        self, *specs: dict[str, Any], teardown: tuple[dict[str, Any], ...] = ()
    ) -> subprocess.Popen[bytes]:
        env = {**os.environ, MARK: str(self.home)}
        plan = {"home": str(self.home), "specs": specs, "teardown": teardown, "env": env}
        self._plan.write_text(json.dumps(plan))
        (self.home / "logs").mkdir(parents=True, exist_ok=True)
        with (self.home / "logs" / "supervisor.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", RUNNER, str(self._plan)],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.supervisors.append(process)
        return process

    def wait_state(self, state: str, process: subprocess.Popen[bytes] | None = None) -> StackRecord:
        def reached() -> StackRecord | None:
            record = read_record(self.home)
            right = record is not None and record.state == state
            return record if right and (process is None or record.supervisor.pid == process.pid) else None

        return wait_for(reached, lambda: (read_record(self.home), self.log("supervisor")))

    def wait_for(self, condition: Callable[[], Any]) -> Any:
        return wait_for(condition, lambda: self.log("supervisor"))

    def record(self) -> StackRecord:
        record = running_stack(self.home)
        assert record is not None
        return record

    def pid(self, name: str) -> int | None:
        record = read_record(self.home)
        process = record.process(name) if record else None
        return process.identity.pid if process and process.identity else None

    def log(self, name: str) -> str:
        path = self.home / "logs" / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def marked(self) -> list[psutil.Process]:
        """Living processes that carry this home's mark, found without the code under test."""
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            try:
                ours = process.environ().get(MARK) == str(self.home)
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "home")
    yield bench
    for process in bench.supervisors:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(WAIT_S)
    stop_stack(bench.home, print)
    assert bench.marked() == []
