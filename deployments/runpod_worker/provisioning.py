"""From a run's wishes to one pod: look for it by name first, then try its GPU types in order under the price cap."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from deployments.runpod_worker.variables import RunPodJobConfiguration
from tidegate.domain import CapacityShortage, NeedsOperator
from tidegate.platforms.runpod import RunPodClient
from tidegate.platforms.runpod.control import first_named
from tidegate.platforms.runpod.errors import NoCapacity
from tidegate.platforms.runpod.replies import Availability, GpuType, Pod, PodStatus
from tidegate.platforms.runpod.wire import (
    UNSET,
    Cloud,
    CreatePod,
    Maybe,
    Mounts,
    NetworkMount,
    PersistentMount,
    PodGpu,
    Product,
)

PREFIX = "tgrun-"


@dataclass(frozen=True)
class PodName:
    """Which run of which pool a pod is for. The pool keeps apart several Prefect servers of one account."""

    pool_id: UUID
    flow_run_id: UUID

    def __str__(self) -> str:
        return f"{pool_prefix(self.pool_id)}{self.flow_run_id}"


def pool_prefix(pool_id: UUID) -> str:
    return f"{PREFIX}{pool_id.hex[:12]}-"


def flow_run_of(pod: Pod, pool_id: UUID) -> UUID | None:
    """The run that a pod is for; None for a pod of somebody else."""
    prefix = pool_prefix(pool_id)
    if not pod.name.startswith(prefix):
        return None
    try:
        return UUID(pod.name.removeprefix(prefix))
    except ValueError:
        return None


def find_or_create(client: RunPodClient, name: PodName, wanted: RunPodJobConfiguration) -> Pod:
    """The one pod of a run: a submission may be repeated, and must not be paid for twice.

    Raises:
        CapacityShortage: when no wanted type is to be had now.
        NeedsOperator: when none is within the price cap.
    """
    found = first_named(client.control.list_pods(), str(name))
    if found is not None and found.status != PodStatus.TERMINATED:
        return found
    catalog = {gpu.id: gpu for gpu in client.control.catalog.gpus(Product.POD, count=wanted.gpu_count)}
    refusals: list[str] = []
    affordable = False
    for gpu_type in wanted.gpu_types:
        why_not = _why_not(catalog.get(gpu_type), wanted)
        affordable |= why_not is None or why_not.startswith("out of stock")
        if why_not is None:
            try:
                return client.control.create_pod(pod_request(name, gpu_type, wanted))
            except NoCapacity:
                why_not = "out of stock when asked"
        refusals.append(f"{gpu_type}: {why_not}")
    reasons = "; ".join(refusals)
    if affordable:
        raise CapacityShortage(
            f"RunPod has none of the wanted GPUs now ({reasons}).",
            remedy="Run it again later, or allow more GPU types, data centres or the other cloud.",
        )
    raise NeedsOperator(
        f"None of the wanted GPUs may be rented ({reasons}).",
        remedy="Raise max_usd_per_hour, or name other GPU types; `gpu_types` are RunPod's ids.",
    )


def pod_request(name: PodName, gpu_type: str, wanted: RunPodJobConfiguration) -> CreatePod:
    return CreatePod(
        name=str(name),
        image=wanted.image,
        args=wanted.command or "",
        env={key: value for key, value in wanted.env.items() if value is not None},
        disk=wanted.disk_gb,
        ports=(),
        cloud=Cloud(wanted.cloud),
        gpu=PodGpu(id=gpu_type, count=wanted.gpu_count),
        data_center_ids=tuple(wanted.data_center_ids) or UNSET,
        mounts=_mounts(wanted),
    )


def _mounts(wanted: RunPodJobConfiguration) -> Maybe[Mounts]:
    if wanted.network_volume_id is not None:
        return Mounts(network=(NetworkMount(volume_id=wanted.network_volume_id, path=wanted.volume_path),))
    if wanted.volume_gb is not None:
        return Mounts(persistent=PersistentMount(size=wanted.volume_gb, path=wanted.volume_path))
    return UNSET


def _why_not(gpu: GpuType | None, wanted: RunPodJobConfiguration) -> str | None:
    """Why this type is not asked for; None when it is."""
    if gpu is None:
        return "not in RunPod's catalog"
    price = gpu.price.secure if wanted.cloud == "SECURE" else gpu.price.community
    if price is None:
        return f"not offered in the {wanted.cloud.lower()} cloud"
    total = price * wanted.gpu_count
    if total > Decimal(str(wanted.max_usd_per_hour)):
        return f"{total} USD/h is over the cap of {wanted.max_usd_per_hour} USD/h"
    return "out of stock" if gpu.availability == Availability.NONE else None
