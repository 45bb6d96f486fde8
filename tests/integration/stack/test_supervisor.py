"""The supervisor with real, tiny processes: order, restarts, one copy, and nothing left behind."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from tidegate.stack.launching import running_stack, stop_stack
from tidegate.stack.record import read_record
from tidegate.stack.specification import ProcessStatus


def python(code: str) -> list[str]:
    """A fake process: announces itself, then runs this code."""
    return [sys.executable, "-u", "-S", "-c", f"import os,sys,time,signal\nprint('up', os.getpid())\n{code}"]


def service(name: str, code: str = "time.sleep(600)", **more: Any) -> dict[str, Any]:
    return {"name": name, "argv": python(code), "ready": "up", "ready_timeout_s": 60.0, **more}


def task(name: str, code: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "argv": python(code), "kind": "task", **more}


def test_processes_start_in_the_order_of_their_dependencies(bench: Any):
    """The setup ends only once the gateway runs: it would wait for ever for one that waits for it."""
    bench.start(
        service("worker", after=["setup"]),
        task("setup", "while not os.path.exists('gateway'): time.sleep(0.02)", after=["server"]),
        service("server"),
        service("gateway", "open('gateway', 'w').close(); time.sleep(600)"),
    )

    record = bench.wait_state("ready")

    since = {process.name: process.since for process in record.processes}
    assert since["server"] <= since["setup"] <= since["worker"]
    assert record.process("setup").status is ProcessStatus.DONE
    assert record.process("setup").restarts == 0


def test_a_process_that_dies_is_started_again_and_counted(bench: Any):
    bench.start(service("one"), service("two"))
    bench.wait_state("ready")
    first, other = bench.pid("one"), bench.pid("two")

    os.kill(first, signal.SIGKILL)

    bench.wait_for(lambda: bench.pid("one") not in (None, first) and bench.record().state == "ready")
    again = bench.record().process("one")
    assert (again.restarts, again.last_exit) == (1, "ended by SIGKILL")
    assert bench.pid("two") == other


def test_a_process_that_cannot_start_is_given_up_and_the_others_stay(bench: Any):
    bench.start(service("good"), service("bad", code="sys.exit('no such bank')", ready="never"))

    record = bench.wait_state("failed")

    assert record.process("bad").status is ProcessStatus.FAILED
    assert record.process("bad").last_exit == "ended with exit code 1"
    assert "no such bank" in bench.log("bad")
    # A busy machine may start the bad one three times before the good one has begun.
    bench.wait_for(lambda: bench.record().process("good").status is ProcessStatus.READY)
    assert bench.record().state == "failed"


def test_a_missing_program_is_told_in_its_own_log(bench: Any):
    bench.start({"name": "ghost", "argv": ["/no/such/program"]})

    record = bench.wait_state("failed")

    assert record.process("ghost").last_exit == "cannot be started: No such file or directory"
    assert "cannot be started" in bench.log("ghost")


def test_a_task_that_fails_at_first_is_tried_again(bench: Any, tmp_path: Path):
    marker = tmp_path / "tried"
    code = f"m={str(marker)!r}\nif not os.path.exists(m):\n  open(m,'w').close(); sys.exit(4)"

    bench.start(task("setup", code), service("worker", after=["setup"]))

    assert bench.wait_state("ready").process("setup").restarts == 1


def test_what_is_not_ready_in_time_is_killed_and_tried_again(bench: Any):
    bench.start(service("slow", ready="never appears", ready_timeout_s=0.3))

    record = bench.wait_state("failed")

    assert record.process("slow").last_exit == "not ready within 0.3 s"


def test_a_second_supervisor_of_the_same_home_is_refused(bench: Any):
    bench.start(service("one"))
    bench.wait_state("ready")

    second = bench.start(service("one"))

    assert second.wait(60) == 3
    assert "is up already" in bench.log("supervisor")
    assert bench.record().state == "ready"


def test_an_orderly_end_stops_in_reverse_order_and_leaves_nothing(bench: Any):
    polite = "signal.signal(15, lambda *_: (print('ended', time.time()), sys.exit(0)))\nprint('polite')\nwhile True: time.sleep(600)"
    child = f"import subprocess; subprocess.Popen({python('time.sleep(600)')!r})\n{polite}"
    supervisor = bench.start(
        service("server", code=polite, ready="polite"),
        service("worker", code=child, ready="polite", after=["server"]),
        teardown=(
            {"name": "stop-sets", "argv": python("print('sets stopped', time.time())"), "kind": "task"},
        ),
    )
    bench.wait_state("ready")
    assert len(bench.marked()) == 3

    supervisor.send_signal(signal.SIGTERM)

    assert supervisor.wait(60) == 0
    ended = {name: float(bench.log(name).split()[-1]) for name in ("server", "worker", "stop-sets")}
    assert ended["worker"] < ended["server"] < ended["stop-sets"]
    assert bench.marked() == []
    assert read_record(bench.home).state == "stopped"


def test_a_process_that_ignores_the_request_is_killed(bench: Any):
    stubborn = "signal.signal(15, signal.SIG_IGN)\nprint('stubborn')\nwhile True: time.sleep(600)"
    supervisor = bench.start(service("one", code=stubborn, ready="stubborn", stop_timeout_s=0.3))
    bench.wait_state("ready")

    supervisor.send_signal(signal.SIGTERM)

    assert supervisor.wait(60) == 0
    assert bench.marked() == []


def test_descendants_in_other_groups_are_found_by_their_mark(bench: Any):
    sets = f"import subprocess\nsubprocess.Popen({python('time.sleep(600)')!r}, start_new_session=True)\ntime.sleep(600)"
    supervisor = bench.start(service("platform", code=sets))
    bench.wait_state("ready")
    bench.wait_for(lambda: len(bench.marked()) == 2)

    supervisor.send_signal(signal.SIGTERM)
    supervisor.wait(60)

    assert bench.marked() == []


def test_after_the_supervisor_was_killed_the_next_takes_over_what_still_runs(bench: Any):
    first = bench.start(service("gateway"), service("server"))
    bench.wait_state("ready", first)
    kept, lost = bench.pid("gateway"), bench.pid("server")
    first.kill()
    first.wait()
    os.kill(lost, signal.SIGKILL)
    bench.wait_for(lambda: lost not in [process.pid for process in bench.marked()])

    second = bench.start(service("gateway"), service("server"))
    record = bench.wait_state("ready", second)

    assert record.process("gateway").identity.pid == kept
    assert record.process("server").identity.pid != lost


def test_a_process_that_was_taken_over_is_started_again_when_it_dies(bench: Any):
    first = bench.start(service("gateway"))
    bench.wait_state("ready", first)
    kept = bench.pid("gateway")
    first.kill()
    first.wait()
    bench.wait_state("ready", bench.start(service("gateway")))
    assert bench.pid("gateway") == kept

    os.kill(kept, signal.SIGKILL)

    bench.wait_for(lambda: bench.pid("gateway") not in (None, kept) and bench.record().state == "ready")


def test_after_the_supervisor_was_killed_what_is_no_longer_wanted_is_ended(bench: Any):
    first = bench.start(service("gateway"), service("console"))
    bench.wait_state("ready", first)
    changed = bench.pid("gateway")
    first.kill()
    first.wait()

    second = bench.start(service("gateway", env={"TIDEGATE_PORT": "1"}))
    record = bench.wait_state("ready", second)

    assert record.process("gateway").identity.pid != changed
    assert [process.pid for process in bench.marked()] == [record.process("gateway").identity.pid]


def test_stopping_after_the_supervisor_was_killed_cleans_up(bench: Any):
    supervisor = bench.start(service("gateway"), service("server"))
    bench.wait_state("ready", supervisor)
    supervisor.kill()
    supervisor.wait()
    assert running_stack(bench.home) is None

    swept: list[str] = []
    assert stop_stack(bench.home, print, teardown=lambda: swept.append("sets")) is True

    assert bench.marked() == []
    assert swept == ["sets"]
    assert stop_stack(bench.home, print) is False


def test_children_of_a_process_that_must_keep_them_survive_its_death(bench: Any):
    code = f"import subprocess\nif not os.path.exists('kept'):\n  open('kept','w').close(); subprocess.Popen({python('time.sleep(600)')!r})\ntime.sleep(600)"
    bench.start(service("gateway", code=code, orphans="keep"))
    bench.wait_state("ready")
    bench.wait_for(lambda: len(bench.marked()) == 2)
    agent = bench.pid("gateway")
    envoy = next(process.pid for process in bench.marked() if process.pid != agent)

    os.kill(agent, signal.SIGKILL)

    bench.wait_for(lambda: bench.pid("gateway") not in (None, agent) and bench.record().state == "ready")
    assert envoy in [process.pid for process in bench.marked()]


def test_the_record_never_holds_the_environment(bench: Any):
    bench.start(service("one", env={"PREFECT_API_AUTH_STRING": "tidegate:hush-hush"}))
    bench.wait_state("ready")

    assert "hush-hush" not in (bench.home / "stack.json").read_text()
    assert "hush-hush" not in bench.log("supervisor")
