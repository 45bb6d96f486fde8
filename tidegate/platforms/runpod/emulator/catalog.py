"""What can be rented: GPU and CPU types, data centres, prices and stock. Prices are examples of late 2026.

Stock is units per GPU type and data centre; what workers and pods hold is subtracted.
"""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tidegate.domain import InvalidInput
from tidegate.platforms.runpod.emulator.faults import FaultBoard

DEFAULT_UNITS = 16
LOW_BELOW, MEDIUM_BELOW = 4, 12
CUDA_VERSIONS = ("12.4", "12.6", "12.8", "12.9", "13.0")


@dataclass(frozen=True)
class Gpu:
    """One GPU type; prices in USD per GPU and hour."""

    id: str
    name: str
    pool: str | None
    memory_gb: int
    secure_usd: float
    community_usd: float
    serverless_usd: float
    max_count: int = 8
    manufacturer: str = "NVIDIA"


@dataclass(frozen=True)
class Cpu:
    """One CPU flavour; prices in USD per vCPU and hour."""

    id: str
    name: str
    group: str
    min_vcpu: int
    max_vcpu: int
    ram_gb_per_vcpu: float
    secure_usd: float
    serverless_usd: float


@dataclass(frozen=True)
class DataCenter:
    id: str
    name: str
    region: str
    country: str
    is_global_network: bool = True
    volume_types: tuple[str, ...] = ("STANDARD",)
    compliance: tuple[str, ...] = ()


GPUS = (
    Gpu("NVIDIA RTX A4000", "RTX A4000", "AMPERE_16", 16, 0.25, 0.17, 0.576),
    Gpu("NVIDIA RTX A4500", "RTX A4500", "AMPERE_16", 20, 0.25, 0.19, 0.576),
    Gpu("NVIDIA RTX 4000 Ada Generation", "RTX 4000 Ada", "AMPERE_16", 20, 0.26, 0.20, 0.576),
    Gpu("NVIDIA L4", "L4", "AMPERE_24", 24, 0.39, 0.36, 0.684),
    Gpu("NVIDIA RTX A5000", "RTX A5000", "AMPERE_24", 24, 0.27, 0.16, 0.684),
    Gpu("NVIDIA GeForce RTX 3090", "RTX 3090", "AMPERE_24", 24, 0.46, 0.22, 0.684),
    Gpu("NVIDIA GeForce RTX 4090", "RTX 4090", "ADA_24", 24, 0.69, 0.34, 1.116),
    Gpu("NVIDIA RTX A6000", "RTX A6000", "AMPERE_48", 48, 0.49, 0.33, 1.224),
    Gpu("NVIDIA A40", "A40", "AMPERE_48", 48, 0.40, 0.35, 1.224),
    Gpu("NVIDIA L40S", "L40S", "ADA_48_PRO", 48, 0.86, 0.79, 1.908),
    Gpu("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada", "ADA_48_PRO", 48, 0.77, 0.74, 1.908),
    Gpu("NVIDIA A100 80GB PCIe", "A100 PCIe", "AMPERE_80", 80, 1.39, 1.19, 2.736),
    Gpu("NVIDIA H100 80GB HBM3", "H100 SXM", "ADA_80_PRO", 80, 2.69, 2.49, 4.176),
    Gpu("NVIDIA H200", "H200 SXM", "HOPPER_141", 141, 3.59, 3.39, 5.580),
)
CPUS = (
    Cpu("cpu3c", "Compute-Optimized 3", "Compute-Optimized", 2, 32, 2.0, 0.030, 0.036),
    Cpu("cpu3g", "General Purpose 3", "General Purpose", 2, 32, 4.0, 0.040, 0.048),
    Cpu("cpu5c", "Compute-Optimized 5", "Compute-Optimized", 2, 32, 2.0, 0.035, 0.042),
    Cpu("cpu5g", "General Purpose 5", "General Purpose", 2, 32, 4.0, 0.045, 0.054),
)
DATA_CENTERS = (
    DataCenter("EU-RO-1", "EU-RO-1", "EUROPE", "RO", compliance=("GDPR", "ISO_IEC_27001")),
    DataCenter("EU-CZ-1", "EU-CZ-1", "EUROPE", "CZ", compliance=("GDPR",)),
    DataCenter("EUR-IS-1", "EUR-IS-1", "EUROPE", "IS", compliance=("GDPR", "RENEWABLE")),
    DataCenter("US-KS-2", "US-KS-2", "NORTH_AMERICA", "US", volume_types=("STANDARD", "HIGH_PERFORMANCE")),
    DataCenter("US-CA-2", "US-CA-2", "NORTH_AMERICA", "US", volume_types=("STANDARD", "HIGH_PERFORMANCE")),
    DataCenter("US-GA-2", "US-GA-2", "NORTH_AMERICA", "US"),
    DataCenter("CA-MTL-1", "CA-MTL-1", "NORTH_AMERICA", "CA", is_global_network=False),
)


@dataclass(frozen=True)
class Claim:
    """Machines that a worker or pod would hold or holds."""

    gpu_id: str | None
    count: int
    data_center: str


@dataclass
class Catalog:
    """The types, the stock, and who holds what."""

    gpus: tuple[Gpu, ...] = GPUS
    cpus: tuple[Cpu, ...] = CPUS
    data_centers: tuple[DataCenter, ...] = DATA_CENTERS
    default_units: int = DEFAULT_UNITS
    units: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    claims: dict[str, Claim] = field(default_factory=dict[str, Claim])

    def gpu(self, identifier: str) -> Gpu | None:
        return next((gpu for gpu in self.gpus if gpu.id == identifier), None)

    def cpu(self, identifier: str) -> Cpu | None:
        return next((cpu for cpu in self.cpus if cpu.id == identifier), None)

    def data_center(self, identifier: str) -> DataCenter | None:
        return next((one for one in self.data_centers if one.id == identifier), None)

    def pool_members(self, pools: Iterable[str], excluded: Collection[str]) -> list[Gpu]:
        """The types of the pools, in the pools' order: the first is the one asked for most."""
        return [gpu for pool in pools for gpu in self.gpus if gpu.pool == pool and gpu.id not in excluded]

    def free(self, gpu: Gpu, data_center: str, faults: FaultBoard, cloud: str = "") -> int:
        """Units that nobody holds; a stock-out fault hides all of them. `cloud` matters to pods only."""
        if faults.read("stock_out", gpu.id, gpu.pool or "", data_center, cloud):
            return 0
        held = sum(
            claim.count
            for claim in self.claims.values()
            if claim.gpu_id == gpu.id and claim.data_center == data_center
        )
        return max(0, self.units.get((gpu.id, data_center), self.default_units) - held)

    def place(
        self,
        gpus: Iterable[Gpu],
        count: int,
        data_centers: Collection[str],
        faults: FaultBoard,
        cloud: str = "",
    ) -> Claim | None:
        """The first type and data centre with room, without taking it."""
        places = [one.id for one in self.data_centers if not data_centers or one.id in data_centers]
        for gpu in gpus:
            for place in places:
                if self.free(gpu, place, faults, cloud) >= count:
                    return Claim(gpu.id, count, place)
        return None

    def place_cpu(self, data_centers: Collection[str], faults: FaultBoard) -> Claim | None:
        """CPU machines run out only where a fault says so."""
        for one in self.data_centers:
            if (not data_centers or one.id in data_centers) and not faults.read("stock_out", "cpu", one.id):
                return Claim(None, 0, one.id)
        return None

    def serverless_usd_per_h(self, config: dict[str, Any], gpu_id: str | None = None) -> float:
        """What one worker costs: on the machine that it got, else on the one that it would get first."""
        if "gpu" not in config:
            choice = config["cpu"][0]
            cpu = self.cpu(choice["id"])
            return cpu.serverless_usd * choice["vcpuCount"] if cpu else 0.0
        gpu = self.gpu(gpu_id) if gpu_id else None
        if gpu is None:
            members = self.pool_members(config["gpu"]["pools"], config["gpu"].get("excludedTypes", []))
            gpu = members[0]
        return gpu.serverless_usd * config["gpu"]["count"]

    def set_units(self, gpu_id: str, data_center: str | None, units: int) -> None:
        """Raises: InvalidInput for a type or data centre that the catalog lacks."""
        if self.gpu(gpu_id) is None:
            raise InvalidInput(
                f"The catalog has no GPU type '{gpu_id}'.", remedy="Use a GPU type of the catalog."
            )
        known = [one.id for one in self.data_centers]
        if data_center is not None and data_center not in known:
            raise InvalidInput(
                f"The catalog has no data centre '{data_center}'.", remedy="Use a data centre of the catalog."
            )
        for place in known if data_center is None else [data_center]:
            self.units[gpu_id, place] = units


def load_catalog(path: Path | None) -> Catalog:
    """The built-in catalog, with prices and stock from a JSON file: `{"gpus": {ID: {"serverless_usd": 1.2,
    "units": 3}}, "default_units": 8}`.

    Raises:
        InvalidInput: for a file that does not say that.
    """
    if path is None:
        return Catalog()
    try:
        data: dict[str, Any] = json.loads(path.read_text())
        catalog = Catalog(default_units=int(data.get("default_units", DEFAULT_UNITS)))
        for identifier, changes in data.get("gpus", {}).items():
            units = changes.pop("units", None)
            if units is not None:
                catalog.set_units(identifier, None, int(units))
            catalog.gpus = tuple(
                replace(gpu, **changes) if gpu.id == identifier else gpu for gpu in catalog.gpus
            )
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InvalidInput(
            f"The catalog file {path} cannot be used: {error}.",
            remedy="Give a catalog file as the emulator's documentation shows it.",
        ) from error
    return catalog


def level(units: int) -> str:
    """The vendor's four words for stock."""
    if units <= 0:
        return "NONE"
    if units < LOW_BELOW:
        return "LOW"
    return "MEDIUM" if units < MEDIUM_BELOW else "HIGH"
