"""The local platform's own promises, over a fake engine that can be told to misbehave."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.integration.platforms.watching import engine_processes, until
from tidegate.domain import InvalidInput, NeedsOperator, NotFound, Refused, SetSpec, SetState, Transient
from tidegate.engines.llama_server import LlamaServer
from tidegate.platforms.local import HealingPolicy, Limits, LocalPlatform, run_agent
from tidegate.platforms.local.launcher import process_identity

FakeModel = Callable[[str], Path]
MakeSpec = Callable[..., SetSpec]
MakePlatform = Callable[..., LocalPlatform]
READY_S = 60.0
CREATE = """
import os, signal, sys
from pathlib import Path
from tidegate.domain import SetSpec
from tidegate.engines.llama_server import LlamaServer
from tidegate.platforms.local import LocalPlatform
platform = LocalPlatform(Path(sys.argv[1]), engine=LlamaServer(sys.argv[2]))
platform.create(SetSpec.model_validate_json(sys.argv[3]))
print("created", flush=True)
if sys.argv[4] == "die":
    os.killpg(0, signal.SIGKILL)
"""


def _creator(root: Path, bin_dir: str, spec: SetSpec, end: str) -> subprocess.Popen[str]:
    """Another process of ours, leader of its own group, that creates the set."""
    return subprocess.Popen(
        [sys.executable, "-c", CREATE, str(root), bin_dir, spec.model_dump_json(), end],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=Path(__file__).parents[3],
    )


def _main_process(root: Path) -> psutil.Process:
    (process,) = engine_processes(root)
    return process


def test_a_set_outlives_the_killing_of_its_creators_whole_group(
    root: Path, fakes: LocalPlatform, fake_bin_dir: str, fake_model: FakeModel, make_spec: MakeSpec
) -> None:
    spec = make_spec(fake_model("serve"))
    creator = _creator(root, fake_bin_dir, spec, "die")
    output, _ = creator.communicate(timeout=READY_S)

    assert output == "created\n"
    assert creator.returncode == -signal.SIGKILL
    assert fakes.wait_ready(spec.name, READY_S).is_ready
    engine = _main_process(root)
    assert fakes.create(spec).restarts == 0
    assert _main_process(root).pid == engine.pid


def test_creators_at_once_make_one_engine(
    root: Path, fakes: LocalPlatform, fake_bin_dir: str, fake_model: FakeModel, make_spec: MakeSpec
) -> None:
    spec = make_spec(fake_model("serve"))
    creators = [_creator(root, fake_bin_dir, spec, "live") for _ in range(3)]
    for creator in creators:
        creator.communicate(timeout=READY_S)

    assert [creator.returncode for creator in creators] == [0, 0, 0]
    assert fakes.wait_ready(spec.name, READY_S).is_ready
    assert len(engine_processes(root)) == 1


def test_an_engine_is_nobodys_child_and_leads_its_own_session(
    root: Path, fakes: LocalPlatform, fake_model: FakeModel, make_spec: MakeSpec
) -> None:
    spec = make_spec(fake_model("serve"))
    fakes.create(spec)
    assert fakes.wait_ready(spec.name, READY_S).is_ready

    engine = _main_process(root)
    assert engine.ppid() != os.getpid()
    assert os.getsid(engine.pid) == engine.pid


def test_an_engine_inherits_nothing_from_our_environment(
    fakes: LocalPlatform, fake_model: FakeModel, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGATE_TEST_PASSWORD", "never-to-be-seen")
    spec = make_spec(fake_model("serve"))
    fakes.create(spec)
    assert fakes.wait_ready(spec.name, READY_S).is_ready

    reply = fakes.invoke(spec.name, "/v1/chat/completions", {"messages": ["hello"]}, timeout_s=30)
    environment = reply["environment"]
    assert isinstance(environment, dict)
    assert {"PATH", "HOME", "LANG", "TIDEGATE_SET"} <= set(environment)
    assert "TIDEGATE_TEST_PASSWORD" not in environment


def test_an_engine_that_reports_another_digest_is_failed_not_ready(
    fakes: LocalPlatform, fake_model: FakeModel, make_spec: MakeSpec
) -> None:
    spec = make_spec(fake_model("wrong_alias"))
    fakes.create(spec)

    status = fakes.wait_ready(spec.name, READY_S)

    assert status.state is SetState.FAILED
    assert status.digest == "f" * 64
    assert spec.digest in status.message


def test_an_engine_that_dies_at_once_is_failed_with_its_last_words(
    fakes: LocalPlatform, fake_model: FakeModel, make_spec: MakeSpec
) -> None:
    spec = make_spec(fake_model("die"))
    fakes.create(spec)

    status = fakes.wait_ready(spec.name, READY_S)

    assert status.state is SetState.FAILED
    assert "the tensors of this model do not add up" in status.message


def test_an_engine_that_never_gets_ready_stays_starting(
    fakes: LocalPlatform, fake_model: FakeModel, make_spec: MakeSpec
) -> None:
    spec = make_spec(fake_model("never_ready"))
    fakes.create(spec)
    until(lambda: fakes.status(spec.name).message == "Loading model")

    status = fakes.wait_ready(spec.name, 0.1)

    assert status.state is SetState.STARTING
    assert not status.is_ready


def test_a_crash_loop_is_given_up_and_start_forgives_it(
    make_platform: MakePlatform, fake_bin_dir: str, fake_model: FakeModel, make_spec: MakeSpec
) -> None:
    platform = make_platform(fake_bin_dir, healing=HealingPolicy(crash_limit=2, first_delay_s=0.01))
    spec = make_spec(fake_model("die"))
    platform.create(spec)

    def given_up() -> bool:
        platform.heal()
        return "died 3 times in a row" in platform.status(spec.name).message

    until(given_up)
    before = platform.status(spec.name)
    platform.heal()

    assert before.state is SetState.FAILED
    assert before.restarts == 2
    assert platform.status(spec.name) == before
    platform.start(spec.name)
    assert "in a row" not in platform.wait_ready(spec.name, READY_S).message


def test_a_set_that_recovers_is_ready_with_its_restart_counted(
    fakes: LocalPlatform, fake_model: FakeModel, make_spec: MakeSpec
) -> None:
    spec = make_spec(fake_model("die_first"))
    fakes.create(spec)
    assert fakes.wait_ready(spec.name, READY_S).state is SetState.FAILED

    fakes.heal()

    status = fakes.wait_ready(spec.name, READY_S)
    assert status.is_ready
    assert status.restarts == 1


def test_stop_ends_a_group_that_ignores_the_polite_signal(
    root: Path, make_platform: MakePlatform, fake_bin_dir: str, fake_model: FakeModel, make_spec: MakeSpec
) -> None:
    platform = make_platform(fake_bin_dir, limits=Limits(stop_grace_s=0.2))
    spec = make_spec(fake_model("stubborn"))
    platform.create(spec)
    assert platform.wait_ready(spec.name, READY_S).is_ready
    assert len(engine_processes(root)) == 2

    platform.stop(spec.name)

    assert engine_processes(root) == []
    assert platform.status(spec.name).state is SetState.STOPPED


def test_stop_ends_a_child_that_outlived_the_engine(
    root: Path, fakes: LocalPlatform, fake_model: FakeModel, make_spec: MakeSpec
) -> None:
    spec = make_spec(fake_model("stubborn"))
    fakes.create(spec)
    assert fakes.wait_ready(spec.name, READY_S).is_ready
    (leader,) = [one for one in engine_processes(root) if os.getpgid(one.pid) == one.pid]
    leader.kill()
    until(lambda: len(engine_processes(root)) == 1)

    fakes.stop(spec.name)

    assert engine_processes(root) == []


def test_a_stranger_with_a_used_pid_is_neither_believed_nor_ended(
    root: Path, fakes: LocalPlatform, fake_model: FakeModel, make_spec: MakeSpec
) -> None:
    spec = make_spec(fake_model("serve"))
    fakes.create(spec)
    assert fakes.wait_ready(spec.name, READY_S).is_ready
    engine = _main_process(root)
    record = root / "sets" / spec.name / "process.json"
    stranger = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True
    )
    record.write_text(record.read_text().replace(f'"pid": {engine.pid}', f'"pid": {stranger.pid}'))

    assert fakes.status(spec.name).state is SetState.FAILED
    fakes.stop(spec.name)
    assert stranger.poll() is None

    engine.kill()
    stranger.communicate(b"\n", timeout=READY_S)
    until(lambda: engine_processes(root) == [])


def test_a_lost_race_for_the_port_ends_on_another_port_without_counting_as_a_crash(
    root: Path, fake_bin_dir: str, fake_model: FakeModel, make_spec: MakeSpec
) -> None:
    class Raced(LlamaServer):
        """Another process takes the first port between its choice and the engine's start."""

        squatter: socket.socket | None = None

        def command(self, spec: SetSpec, host: str, port: int) -> list[str]:
            if self.squatter is None:
                self.squatter = socket.create_server((host, port))
            return super().command(spec, host, port)

    engine = Raced(fake_bin_dir)
    platform = LocalPlatform(root, engine=engine)
    spec = make_spec(fake_model("serve"))
    platform.create(spec)

    status = platform.wait_ready(spec.name, READY_S)

    assert engine.squatter is not None
    with engine.squatter as squatter:
        assert status.is_ready
        assert status.port != squatter.getsockname()[1]
        assert status.restarts == 0


@pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere the first thread does not end before its process"
)
def test_a_process_lives_until_its_last_thread_has_ended() -> None:
    program = (
        "import ctypes, threading\n"
        "threading.Thread(target=input).start()\n"
        "ctypes.CDLL(None).pthread_exit(None)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as process:
        until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
        assert process_identity(process.pid) is not None
        process.kill()
        until(lambda: process_identity(process.pid) is None)


def test_a_restarted_set_keeps_its_port(
    fakes: LocalPlatform, fake_model: FakeModel, make_spec: MakeSpec
) -> None:
    spec = make_spec(fake_model("serve"))
    fakes.create(spec)
    port = fakes.wait_ready(spec.name, READY_S).port

    fakes.stop(spec.name)
    fakes.start(spec.name)

    assert fakes.wait_ready(spec.name, READY_S).port == port


def test_a_set_that_takes_too_much_memory_is_ended_with_the_reason(
    make_platform: MakePlatform, fake_bin_dir: str, fake_model: FakeModel, make_spec: MakeSpec
) -> None:
    platform = make_platform(fake_bin_dir)
    spec = make_spec(fake_model("hungry"), max_memory_bytes=100 * 1024**2)
    platform.create(spec)
    assert platform.wait_ready(spec.name, READY_S).is_ready

    platform.heal()

    status = platform.status(spec.name)
    assert status.state is SetState.FAILED
    assert "of memory" in status.message
    platform.heal()
    assert platform.status(spec.name).memory_deaths == 1


@pytest.mark.parametrize(("behaviour", "deaths"), [("bad_alloc", 1), ("die", 0)])
def test_a_death_is_one_for_want_of_memory_only_when_the_engines_last_words_say_so(
    make_platform: MakePlatform,
    fake_bin_dir: str,
    fake_model: FakeModel,
    make_spec: MakeSpec,
    behaviour: str,
    deaths: int,
) -> None:
    platform = make_platform(fake_bin_dir, healing=HealingPolicy(crash_limit=0))
    spec = make_spec(fake_model(behaviour))
    platform.create(spec)

    def given_up() -> bool:
        platform.heal()
        return "in a row" in platform.status(spec.name).message

    until(given_up)
    platform.heal()

    assert platform.status(spec.name).memory_deaths == deaths


def test_an_artifact_changed_on_disk_is_never_started(
    root: Path, fakes: LocalPlatform, fake_model: FakeModel, make_spec: MakeSpec
) -> None:
    path = fake_model("serve")
    spec = make_spec(path)
    path.write_text('{"behaviour": "serve", "changed": true}')

    status = fakes.create(spec)

    assert status.state is SetState.FAILED
    assert "is damaged" in status.message
    fakes.heal()
    assert engine_processes(root) == []


def test_a_missing_artifact_is_named(
    fakes: LocalPlatform, fake_model: FakeModel, make_spec: MakeSpec
) -> None:
    path = fake_model("serve")
    spec = make_spec(path)
    path.unlink()

    status = fakes.create(spec)

    assert status.state is SetState.FAILED
    assert str(path) in status.message


def test_a_missing_engine_stores_nothing(
    make_platform: MakePlatform, fake_model: FakeModel, make_spec: MakeSpec, tmp_path: Path
) -> None:
    platform = make_platform(str(tmp_path / "nowhere"))
    spec = make_spec(fake_model("serve"))

    with pytest.raises(NotFound, match="llama-server"):
        platform.create(spec)

    assert platform.status(spec.name).state is SetState.ABSENT


def test_a_name_taken_by_another_digest_is_refused(
    fakes: LocalPlatform, fake_model: FakeModel, make_spec: MakeSpec
) -> None:
    spec = make_spec(fake_model("serve"))
    fakes.create(spec)

    with pytest.raises(Refused, match="exists and serves"):
        fakes.create(spec.model_copy(update={"digest": "0" * 64}))


def test_a_name_that_leaves_the_folder_is_invalid(fakes: LocalPlatform) -> None:
    with pytest.raises(InvalidInput):
        fakes.delete("../elsewhere")


def test_a_deletion_cut_short_is_finished_by_heal(
    root: Path, fakes: LocalPlatform, fake_model: FakeModel, make_spec: MakeSpec
) -> None:
    spec = make_spec(fake_model("serve"))
    fakes.create(spec)
    assert fakes.wait_ready(spec.name, READY_S).is_ready
    record = root / "sets" / spec.name / "set.json"
    record.write_text(record.read_text().replace('"wanted":"running"', '"wanted":"deleted"'))

    fakes.heal()

    assert engine_processes(root) == []
    assert fakes.list_owned() == []
    assert not record.exists()


def test_an_order_that_was_never_carried_out_is_carried_out_by_waiting(
    root: Path, fakes: LocalPlatform, fake_model: FakeModel, make_spec: MakeSpec
) -> None:
    spec = make_spec(fake_model("serve"))
    fakes.create(spec)
    fakes.wait_ready(spec.name, READY_S)
    fakes.stop_all()
    fakes.resume_all()

    assert fakes.status(spec.name).state is SetState.PENDING
    assert fakes.wait_ready(spec.name, READY_S).is_ready
    assert len(engine_processes(root)) == 1


def test_damaged_files_make_one_set_unknown_and_leave_the_others_alone(
    root: Path, fakes: LocalPlatform, fake_model: FakeModel, make_spec: MakeSpec
) -> None:
    good, bad = (make_spec(fake_model("serve"), release=release) for release in ("r1", "r2"))
    for spec in (good, bad):
        fakes.create(spec)
        assert fakes.wait_ready(spec.name, READY_S).is_ready
    record = root / "sets" / bad.name / "set.json"
    whole = record.read_text()
    record.write_text(whole[: len(whole) // 2])

    def states() -> dict[str, SetState]:
        return {status.name: status.state for status in fakes.list_owned()}

    # One that serves and is slow to answer, as on a busy machine, is degraded for a moment.
    until(lambda: states() == {good.name: SetState.READY, bad.name: SetState.UNKNOWN})
    fakes.crash(good.name)
    fakes.heal()
    assert fakes.wait_ready(good.name, READY_S).is_ready
    with pytest.raises(NeedsOperator):
        fakes.stop_all()
    assert engine_processes(root) == []
    record.write_text(whole)


def test_a_request_that_the_engine_calls_wrong_is_invalid_input(
    fakes: LocalPlatform, fake_model: FakeModel, make_spec: MakeSpec
) -> None:
    spec = make_spec(fake_model("serve"))
    fakes.create(spec)
    fakes.wait_ready(spec.name, READY_S)

    with pytest.raises(InvalidInput, match="messages is missing"):
        fakes.invoke(spec.name, "/v1/chat/completions", {"messages": []}, timeout_s=60)


def test_a_stopped_set_cannot_be_asked(
    fakes: LocalPlatform, fake_model: FakeModel, make_spec: MakeSpec
) -> None:
    spec = make_spec(fake_model("serve"))
    fakes.create(spec)
    fakes.stop(spec.name)

    with pytest.raises(Transient):
        fakes.invoke(spec.name, "/v1/chat/completions", {"messages": ["x"]}, timeout_s=5)
    assert fakes.metrics(spec.name) == {}


def test_the_agent_heals_and_leaves_its_sets_running_when_it_ends(
    root: Path, fakes: LocalPlatform, fake_model: FakeModel, make_spec: MakeSpec
) -> None:
    spec, idle = (make_spec(fake_model("serve"), release=release) for release in ("r1", "r2"))
    fakes.create(spec)
    fakes.create(idle)
    assert fakes.wait_ready(idle.name, READY_S).is_ready
    fakes.stop(idle.name)
    fakes.stop_all()
    assert engine_processes(root) == []
    stop = threading.Event()
    agent = threading.Thread(target=run_agent, args=(fakes, stop, 0.02))
    agent.start()
    try:
        until(lambda: fakes.status(spec.name).is_ready)
        fakes.crash(spec.name)
        until(lambda: fakes.status(spec.name).restarts == 1 and fakes.status(spec.name).is_ready)
    finally:
        stop.set()
        agent.join(READY_S)

    left = fakes.wait_ready(spec.name, READY_S)
    assert (left.is_ready, left.restarts) == (True, 1)
    assert fakes.status(idle.name).state is SetState.STOPPED
