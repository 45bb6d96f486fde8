"""On which GPU a model fits, by what it costs. Data and one comparison; prices move, so a catalog may replace them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tidegate.domain import InvalidInput
from tidegate.gguf.memory import MemoryEstimate

GPU_TABLE_DATE = "2026-11"
GIBIBYTE = 1024**3
# Driver and error correction take the rest: a 24 GB card has about 24 100 MiB free.
USABLE_SHARE = 0.97


@dataclass(frozen=True, slots=True)
class Gpu:
    """One type that can be rented, by the name that RunPod's catalog gives it."""

    id: str
    memory_gib: int
    price_usd_per_hour: float | None = None

    @property
    def usable_bytes(self) -> int:
        return int(self.memory_gib * GIBIBYTE * USABLE_SHARE)


# Types and memory: RunPod's documentation. Prices: example list prices of secure pods of late 2026, the same
# as in this project's emulator of RunPod; a type without one is shown without a price.
GPUS: tuple[Gpu, ...] = (
    Gpu("NVIDIA RTX A2000", 6),
    Gpu("NVIDIA GeForce RTX 3070", 8),
    Gpu("NVIDIA GeForce RTX 3080", 10),
    Gpu("NVIDIA GeForce RTX 3080 Ti", 12),
    Gpu("NVIDIA GeForce RTX 4070 Ti", 12),
    Gpu("NVIDIA RTX A4000", 16, 0.25),
    Gpu("NVIDIA RTX 2000 Ada Generation", 16),
    Gpu("NVIDIA GeForce RTX 4080", 16),
    Gpu("NVIDIA GeForce RTX 4080 SUPER", 16),
    Gpu("NVIDIA GeForce RTX 5080", 16),
    Gpu("Tesla V100-SXM2-16GB", 16),
    Gpu("NVIDIA RTX A4500", 20, 0.25),
    Gpu("NVIDIA RTX 4000 Ada Generation", 20, 0.26),
    Gpu("NVIDIA RTX A5000", 24, 0.27),
    Gpu("NVIDIA L4", 24, 0.39),
    Gpu("NVIDIA A30", 24),
    Gpu("NVIDIA GeForce RTX 3090", 24, 0.46),
    Gpu("NVIDIA GeForce RTX 3090 Ti", 24),
    Gpu("NVIDIA GeForce RTX 4090", 24, 0.69),
    Gpu("NVIDIA GeForce RTX 5090", 32),
    Gpu("NVIDIA RTX 5000 Ada Generation", 32),
    Gpu("Tesla V100-SXM2-32GB", 32),
    Gpu("NVIDIA A40", 48, 0.40),
    Gpu("NVIDIA RTX A6000", 48, 0.49),
    Gpu("NVIDIA RTX 6000 Ada Generation", 48, 0.77),
    Gpu("NVIDIA L40", 48),
    Gpu("NVIDIA L40S", 48, 0.86),
    Gpu("NVIDIA A100 80GB PCIe", 80, 1.39),
    Gpu("NVIDIA A100-SXM4-80GB", 80),
    Gpu("NVIDIA H100 PCIe", 80),
    Gpu("NVIDIA H100 80GB HBM3", 80, 2.69),
    Gpu("NVIDIA H100 NVL", 94),
    Gpu("NVIDIA H200", 141, 3.59),
    Gpu("NVIDIA B200", 180),
    Gpu("AMD Instinct MI300X OAM", 192),
    Gpu("NVIDIA B300 SXM6 AC", 288),
)


@dataclass(frozen=True, slots=True)
class GpuFit:
    """Whether one model, served in one way, fits on one GPU."""

    gpu: str
    memory_gib: int
    price_usd_per_hour: float | None
    fits: bool
    headroom_bytes: int
    """What would be left; negative is what is missing."""


def fit(estimate: MemoryEstimate, gpus: Iterable[Gpu] = GPUS) -> tuple[GpuFit, ...]:
    """Compare an estimate made with `is_on_gpu=True` with every GPU: cheapest first, unpriced ones last.

    One GPU at a time: how an engine splits a model over several depends on layers and links, and a wrong
    promise is worse than none.

    Raises:
        InvalidInput: the estimate was made for a machine without a GPU.
    """
    if not estimate.gpu_bytes:
        raise InvalidInput(
            "The estimate is for a machine without a GPU.",
            remedy="Estimate with is_on_gpu=True first.",
            field="estimate",
        )
    fits = [_fit(estimate, gpu) for gpu in gpus]
    return tuple(sorted(fits, key=_cost))


def cheapest(fits: Iterable[GpuFit]) -> GpuFit | None:
    """The first GPU that holds the model, or None."""
    return next((one for one in sorted(fits, key=_cost) if one.fits), None)


def with_prices(gpus: Iterable[Gpu], prices: Mapping[str, float]) -> tuple[Gpu, ...]:
    """The same types with the prices of a live catalog; types that it does not list lose theirs."""
    return tuple(replace(gpu, price_usd_per_hour=prices.get(gpu.id)) for gpu in gpus)


def _fit(estimate: MemoryEstimate, gpu: Gpu) -> GpuFit:
    headroom = gpu.usable_bytes - estimate.gpu_bytes
    return GpuFit(gpu.id, gpu.memory_gib, gpu.price_usd_per_hour, headroom >= 0, headroom)


def _cost(one: GpuFit) -> tuple[bool, float, int, str]:
    price = one.price_usd_per_hour
    return price is None, price or 0.0, one.memory_gib, one.gpu
