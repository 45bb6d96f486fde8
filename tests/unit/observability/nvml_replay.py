"""A stand-in of the module `pynvml` that replays answers: for each card a table from question to answer or error code."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

NOT_SUPPORTED, NO_PERMISSION, GPU_LOST, DRIVER_NOT_LOADED = 3, 4, 15, 9


class NVMLError(Exception):
    def __init__(self, value: int):
        super().__init__(f"NVML error {value}")
        self.value = value


@dataclass
class Nvml:
    """Two cards by default: an H100, which tells everything, and a GeForce, which knows no ECC."""

    cards: list[dict[str, Any]]
    init_error: int = 0
    opened: int = 0
    asked: list[str] = field(default_factory=list)

    NVMLError = NVMLError
    NVML_ERROR_NOT_SUPPORTED = NOT_SUPPORTED
    NVML_ERROR_NO_PERMISSION = NO_PERMISSION
    NVML_TEMPERATURE_GPU = 0
    NVML_MEMORY_ERROR_TYPE_UNCORRECTED = 1
    NVML_VOLATILE_ECC = 0

    def nvmlInit(self) -> None:  # noqa: N802 - NVIDIA's names
        if self.init_error:
            raise NVMLError(self.init_error)
        self.opened += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.opened -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("nvmlDeviceGet"):
            raise AttributeError(name)

        def answer(handle: int, *_: int) -> Any:
            assert self.opened, f"{name} before nvmlInit"
            told = self.cards[handle][name.removeprefix("nvmlDeviceGet")]
            if isinstance(told, Mapping):
                if "error" in told:
                    raise NVMLError(told["error"])
                return SimpleNamespace(**told)
            return told

        return answer


H100: dict[str, Any] = {
    "MemoryInfo": {"total": 85520809984, "free": 12345678848, "used": 73175131136},
    "UtilizationRates": {"gpu": 97, "memory": 61},
    "Temperature": 54,
    "TotalEnergyConsumption": 987654321,
    "TotalEccErrors": 2,
    "RemappedRows": (3, 1, 0, 0),
}
GEFORCE: dict[str, Any] = {
    "MemoryInfo": {"total": 25757220864, "free": 25000000000, "used": 757220864},
    "UtilizationRates": {"gpu": 0, "memory": 0},
    "Temperature": 31,
    "TotalEnergyConsumption": {"error": NO_PERMISSION},
    "TotalEccErrors": {"error": NOT_SUPPORTED},
    "RemappedRows": {"error": NOT_SUPPORTED},
}
