"""Collector of the GPUs of this host, through NVIDIA's own library (`nvidia-ml-py`, extra `gpu`).

What a card does not tell is absent, never 0: many know no energy, no ECC, no remapped rows.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

from tidegate.domain import NeedsOperator
from tidegate.observability.registry import Readings

MILLI = 1000.0


def load_library() -> Any:
    """The module `pynvml`. Raises: NeedsOperator when it is not installed."""
    try:
        import pynvml  # pyright: ignore[reportMissingImports, reportMissingModuleSource, reportUnknownVariableType]
    except ModuleNotFoundError as error:
        raise NeedsOperator(
            "The library that reads GPUs is not installed.", remedy="Install tidegate[gpu]."
        ) from error
    return pynvml  # pyright: ignore[reportUnknownVariableType]


class GpuCollector:
    """Every GPU of this host by its position. The library is opened for each look, so that a driver that was reloaded
    is seen again."""

    name = "gpu"
    interval_s = 5.0
    names = (
        "tidegate_host_gpu_memory_used_bytes",
        "tidegate_host_gpu_memory_total_bytes",
        "tidegate_host_gpu_utilization_ratio",
        "tidegate_host_gpu_temperature_celsius",
        "tidegate_host_gpu_energy_joules_total",
        "tidegate_host_gpu_faults_total",
    )

    def __init__(self, library: Any):
        self._nvml = library

    def collect(self, into: Readings) -> None:
        faults: dict[str, float] = {}
        with self._opened():
            for number in range(self._nvml.nvmlDeviceGetCount()):
                handle = self._nvml.nvmlDeviceGetHandleByIndex(number)
                self._show(into, handle, str(number))
                for kind, count in self._counted_faults(handle):
                    faults[kind] = faults.get(kind, 0.0) + count
        for kind, count in faults.items():
            into.put("tidegate_host_gpu_faults_total", count, kind)

    @contextmanager
    def _opened(self) -> Generator[None]:
        """Raises: NeedsOperator when there is no driver."""
        try:
            self._nvml.nvmlInit()
        except self._nvml.NVMLError as error:
            raise NeedsOperator(
                "The NVIDIA driver of this host does not answer.",
                remedy="Check it with nvidia-smi, or run the exporter without --gpu-host.",
            ) from error
        try:
            yield
        finally:
            self._nvml.nvmlShutdown()

    def _show(self, into: Readings, handle: object, gpu: str) -> None:
        nvml = self._nvml
        memory = self._told(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
        if memory is not None:
            into.put("tidegate_host_gpu_memory_used_bytes", float(memory.used), gpu)
            into.put("tidegate_host_gpu_memory_total_bytes", float(memory.total), gpu)
        rates = self._told(lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
        if rates is not None:
            into.put("tidegate_host_gpu_utilization_ratio", float(rates.gpu) / 100, gpu)
        celsius = self._told(lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))
        if celsius is not None:
            into.put("tidegate_host_gpu_temperature_celsius", float(celsius), gpu)
        millijoules = self._told(lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle))
        if millijoules is not None:
            into.put("tidegate_host_gpu_energy_joules_total", float(millijoules) / MILLI, gpu)

    def _counted_faults(self, handle: object) -> Iterator[tuple[str, float]]:
        nvml = self._nvml
        ecc = self._told(
            lambda: nvml.nvmlDeviceGetTotalEccErrors(
                handle, nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC
            )
        )
        if ecc is not None:
            yield "ecc", float(ecc)
        rows = self._told(lambda: nvml.nvmlDeviceGetRemappedRows(handle))
        if rows is not None:
            # Corrected, uncorrected, pending, failed.
            yield "row_remap", float(rows[1])

    def _told(self, ask: Callable[[], Any]) -> Any:
        """None where this card does not know. Raises: every other error of the library, as what it is."""
        try:
            return ask()
        except self._nvml.NVMLError as error:
            if getattr(error, "value", None) in (
                self._nvml.NVML_ERROR_NOT_SUPPORTED,
                self._nvml.NVML_ERROR_NO_PERMISSION,
            ):
                return None
            raise
