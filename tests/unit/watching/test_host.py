"""GPUs as the driver's own tool tells them. Its lines are recorded from nvidia-smi's documented CSV form."""

from pathlib import Path

import pytest

from tidegate.domain.health import Health
from tidegate.observability.health import Thresholds
from tidegate.observability.health.judging_host import judge_gpus
from tidegate.watching.host import read_gpus, see_gpus, see_host

H100 = "NVIDIA H100 80GB HBM3, 1024, 81559, 41, 37, 0\n"
LAPTOP = "NVIDIA GeForce RTX 4060, 512, 8188, 52, [N/A], [N/A]\n"


def test_a_card_is_read_with_what_it_has():
    (gpu,) = read_gpus(H100).gpus
    assert (gpu.name, gpu.temperature_celsius, gpu.utilization_ratio) == ("NVIDIA H100 80GB HBM3", 41.0, 0.37)
    assert gpu.memory_total_bytes == 81559 * 1024**2
    (small,) = read_gpus(LAPTOP).gpus
    assert (small.utilization_ratio, small.uncorrected_errors) == (None, None)


@pytest.mark.parametrize("text", ["Unable to determine the device handle\n", H100 + "a, b, c, d, e, f\n"])
def test_what_cannot_be_read_is_not_a_card_less(text):
    seen = read_gpus(text)
    assert "cannot be read" in seen.error
    assert judge_gpus(seen, Thresholds().gpu).health is Health.UNKNOWN


def tool(folder: Path, script: str) -> str:
    path = folder / "smi"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_the_tool_is_asked(tmp_path: Path):
    seen = see_gpus(tmp_path / "driver", tool(tmp_path, f"echo '{H100.strip()}'"))
    assert (seen.has_driver, len(seen.gpus), seen.error) == (True, 1, "")


def test_a_driver_that_fails_is_told_and_a_tool_without_driver_is_no_gpu(tmp_path: Path):
    driver, command = tmp_path / "driver", tool(tmp_path, "echo 'No devices were found' >&2; exit 6")
    assert not see_gpus(driver, command).has_driver
    driver.touch()
    assert see_gpus(driver, command).error == "No devices were found"


def test_a_driver_without_its_tool_is_not_well(tmp_path: Path):
    driver = tmp_path / "driver"
    assert see_gpus(driver, "no-such-tool").error == ""
    driver.touch()
    assert "not installed" in see_gpus(driver, "no-such-tool").error


def test_the_host_is_seen(tmp_path: Path):
    seen = see_host(tmp_path)
    assert 0 < seen.memory_free_bytes <= seen.memory_total_bytes
    assert 0 < seen.disk_free_bytes <= seen.disk_total_bytes
