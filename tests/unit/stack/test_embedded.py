"""The declared stack: who gets which secret, and the switches that must never be lost."""

from pathlib import Path

import pytest

from tidegate.domain import InvalidInput, Secret
from tidegate.settings import load_settings
from tidegate.stack.embedded import embedded_stack, preferred_ports
from tidegate.stack.processes import MARK
from tidegate.stack.specification import ProcessSpec
from tidegate.stack.supervisor import Blueprint

PORTS = {"gateway": 18080, "prefect": 14200, "console": 18090, "exporter": 18091}
AUTH = "tidegate:hush-hush"


@pytest.fixture
def stack(tmp_path: Path) -> Blueprint:
    environ = {
        "PATH": "/usr/bin",
        "TIDEGATE_HOME": str(tmp_path),
        "TIDEGATE_SECRET_RUNPOD": "paid-key",
        "PREFECT_API_URL": "https://somebody.else/api",
        "PREFECT_API_KEY": "pnu_foreign",
    }
    return embedded_stack(load_settings(environ), environ, PORTS, Secret(AUTH))


def process(stack: Blueprint, name: str) -> ProcessSpec:
    return next(spec for spec in stack.specs if spec.name == name)


def test_no_secret_is_on_a_command_line(stack: Blueprint):
    for spec in (*stack.specs, *stack.teardown):
        assert "hush" not in " ".join(spec.argv)
        assert "paid-key" not in " ".join(spec.argv)


def test_the_prefect_server_gets_only_its_own_secret(stack: Blueprint):
    env = process(stack, "prefect").env

    assert env["PREFECT_SERVER_API_AUTH_STRING"] == AUTH
    assert "paid-key" not in env.values()


def test_only_those_who_call_prefect_may(stack: Blueprint):
    holders = {spec.name for spec in stack.specs if "PREFECT_API_AUTH_STRING" in spec.env}

    assert holders == {"bootstrap", "flow-host", "worker-control", "worker-gpu"}


def test_prefect_settings_of_the_caller_never_reach_the_stack(stack: Blueprint):
    for spec in stack.specs:
        assert "PREFECT_API_KEY" not in spec.env
        assert spec.env.get("PREFECT_API_URL", "http://127.0.0.1:14200/api") == "http://127.0.0.1:14200/api"


def test_prefect_listens_on_loopback_stays_quiet_and_never_starts_a_private_server(stack: Blueprint):
    server = process(stack, "prefect")

    assert server.argv[-4:] == ("--host", "127.0.0.1", "--port", "14200")
    assert (
        server.env["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] == "http://127.0.0.1:14200,http://localhost:14200"
    )
    assert server.env["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"].endswith("filesystem")
    for spec in stack.specs:
        assert spec.env["PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"] == "false"
        assert spec.env["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
        assert spec.env["DO_NOT_TRACK"] == "1"


@pytest.mark.parametrize("pool", ["control", "gpu"])
def test_workers_never_make_pools_or_install_packages(stack: Blueprint, pool: str):
    argv = process(stack, f"worker-{pool}").argv

    assert "--no-create-pool-if-not-found" in argv
    assert argv[argv.index("--install-policy") + 1] == "never"
    assert argv[argv.index("--pool") + 1] == pool


def test_the_gpu_worker_declares_one_slot_and_takes_one_run(stack: Blueprint):
    gpu, control = process(stack, "worker-gpu"), process(stack, "worker-control")

    assert gpu.argv[-2:] == ("--limit", "1")
    assert gpu.env["TIDEGATE_GPU_SLOT"] == "0"
    assert "TIDEGATE_GPU_SLOT" not in control.env


def test_workers_wait_for_pools_and_deployments_and_nothing_waits_for_the_gateway(stack: Blueprint):
    assert process(stack, "worker-control").after == ("bootstrap",)
    assert process(stack, "bootstrap").after == ("prefect",)
    assert process(stack, "gateway").after == process(stack, "platform").after == ()


def test_everything_carries_the_mark_of_its_home(stack: Blueprint, tmp_path: Path):
    assert {spec.env[MARK] for spec in (*stack.specs, *stack.teardown)} == {str(tmp_path)}


def test_health_checks_look_from_the_start_and_know_the_prefect_server(stack: Blueprint):
    health = process(stack, "health")
    assert health.argv[-2:] == ("agent", "health")
    assert health.after == ()
    assert health.env["PREFECT_API_URL"].endswith("/api")


def test_the_notifier_waits_for_nothing_and_may_finish_what_it_is_sending(stack: Blueprint):
    notifier = process(stack, "notifier")

    assert notifier.argv[-2:] == ("agent", "notifier")
    assert notifier.after == ()
    assert notifier.stop_timeout_s > 25


def test_sets_are_suspended_at_the_end(stack: Blueprint):
    assert [spec.argv[-1] for spec in stack.teardown] == ["stop-sets"]


def test_a_second_gateway_has_a_name_a_port_and_a_log_of_its_own(tmp_path: Path):
    environ = {"PATH": "/usr/bin", "TIDEGATE_HOME": str(tmp_path), "TIDEGATE_GATEWAYS": "2"}

    stack = embedded_stack(load_settings(environ), environ, {**PORTS, "gateway-2": 18092}, Secret(AUTH))

    first, second = process(stack, "gateway"), process(stack, "gateway-2")
    assert (first.argv[-2:], second.argv[-2:]) == (
        ("--name=gateway-1", "--port=18080"),
        ("--name=gateway-2", "--port=18092"),
    )
    assert second.orphans == "keep"
    assert second.log_path.name == "gateway-2.log"
    assert stack.urls["gateway-2"] == "http://127.0.0.1:18092"


def test_every_gateway_prefers_a_port_of_its_own():
    assert preferred_ports(1) == {"gateway": 8080, "prefect": 4200, "console": 8090, "exporter": 8091}
    assert len(set(preferred_ports(9).values())) == 12


@pytest.mark.parametrize("text", ["0", "10", "two", "-1"])
def test_what_is_no_number_of_gateways_is_refused(tmp_path: Path, text: str):
    with pytest.raises(InvalidInput, match="TIDEGATE_GATEWAYS"):
        load_settings({"TIDEGATE_HOME": str(tmp_path), "TIDEGATE_GATEWAYS": text})
