"""GPUs of this host through NVIDIA's library, whose answers are replayed."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tidegate.domain import NeedsOperator
from tidegate.observability.collect_gpu import GpuCollector, load_library
from tidegate.observability.registry import Family, Readings, Register


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"metrics_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


replay = _load("nvml_replay")


def look(nvml: object) -> dict[str, Family]:
    collector = GpuCollector(nvml)
    into, guard = Readings(collector.name, collector.names), Register()
    collector.collect(into)
    shown = guard.settle(into)
    assert guard.refused == 0
    return shown


def test_a_busy_h100_tells_memory_utilization_temperature_energy_and_that_nothing_failed() -> None:
    shown = look(replay.Nvml([replay.H100]))

    assert shown["tidegate_host_gpu_memory_used_bytes"] == {("0",): 1563230208.0}
    assert shown["tidegate_host_gpu_memory_total_bytes"] == {("0",): 85520809984.0}
    assert shown["tidegate_host_gpu_utilization_ratio"] == {("0",): pytest.approx(0.99)}
    assert shown["tidegate_host_gpu_temperature_celsius"] == {("0",): 55.0}
    assert shown["tidegate_host_gpu_energy_joules_total"] == {("0",): pytest.approx(7285.12)}
    assert shown["tidegate_host_gpu_faults_total"] == {("ecc",): 0.0, ("row_remap",): 0.0}


def test_energy_only_grows_from_idle_over_work_to_rest() -> None:
    told = [
        look(replay.Nvml([replay.RECORDED[state]]))["tidegate_host_gpu_energy_joules_total"][("0",)]
        for state in ("idle", "busy", "after")
    ]

    assert told == sorted(told)


def test_what_a_card_does_not_know_is_absent_and_the_rest_is_told() -> None:
    shown = look(replay.Nvml([replay.GEFORCE]))

    assert shown["tidegate_host_gpu_utilization_ratio"] == {("0",): 0.0}
    assert shown["tidegate_host_gpu_energy_joules_total"] == {}
    assert shown["tidegate_host_gpu_faults_total"] == {}


def test_faults_of_all_cards_are_added() -> None:
    shown = look(replay.Nvml([replay.FAULTY_H100, replay.GEFORCE, replay.FAULTY_H100]))

    assert shown["tidegate_host_gpu_faults_total"] == {("ecc",): 4.0, ("row_remap",): 2.0}
    assert set(shown["tidegate_host_gpu_temperature_celsius"]) == {("0",), ("1",), ("2",)}


def test_the_library_is_closed_again_also_when_a_card_was_lost() -> None:
    nvml = replay.Nvml([{**replay.H100, "UtilizationRates": {"error": replay.GPU_LOST}}])
    with pytest.raises(replay.NVMLError):
        look(nvml)

    assert nvml.opened == 0


def test_without_a_driver_a_person_is_told_what_to_do() -> None:
    with pytest.raises(NeedsOperator, match="driver") as told:
        look(replay.Nvml([], init_error=replay.DRIVER_NOT_LOADED))
    assert "nvidia-smi" in told.value.remedy


def test_without_the_library_a_person_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(NeedsOperator) as told:
        load_library()
    assert "tidegate[gpu]" in told.value.remedy
