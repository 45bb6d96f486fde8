"""A stand-in of the module `pynvml` that replays answers: for each card a table from question to answer or error code.

The H100's answers were recorded on one (`tests/data/nvml_h100.json`); those of a GeForce are written by NVIDIA's manual.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

NOT_SUPPORTED, NO_PERMISSION, GPU_LOST, DRIVER_NOT_LOADED = 3, 4, 15, 9


class NVMLError(Exception):
    def __init__(self, value: int):
        super().__init__(f"NVML error {value}")
        self.value = value


@dataclass
class Nvml:
    """Cards that answer what their tables say."""

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


RECORDED: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "data" / "nvml_h100.json").read_text(encoding="utf-8")
)
H100: dict[str, Any] = RECORDED["busy"]
# The recorded card had no fault.
FAULTY_H100: dict[str, Any] = {**H100, "TotalEccErrors": 2, "RemappedRows": (3, 1, 0, 0)}
GEFORCE: dict[str, Any] = {
    "MemoryInfo": {"total": 25757220864, "free": 25000000000, "used": 757220864},
    "UtilizationRates": {"gpu": 0, "memory": 0},
    "Temperature": 31,
    "TotalEnergyConsumption": {"error": NO_PERMISSION},
    "TotalEccErrors": {"error": NOT_SUPPORTED},
    "RemappedRows": {"error": NOT_SUPPORTED},
}
