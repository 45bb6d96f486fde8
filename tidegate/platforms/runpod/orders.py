"""From a set and its service's settings to what is asked of RunPod. Pure."""

from datetime import datetime

from tidegate.domain import RunPodServiceConfig, SetSpec
from tidegate.platforms.runpod.marks import HEALTH_PORT, PORT, PRICE, Marks, Wanted, worker_environment
from tidegate.platforms.runpod.placement import EndpointRung, Limits, Need
from tidegate.platforms.runpod.wire import (
    UNSET,
    CreateEndpoint,
    EndpointGpu,
    EndpointKind,
    Flashboot,
    RequestCount,
    UpdateEndpoint,
    Workers,
    WorkersChange,
)


def endpoint_order(
    spec: SetSpec, config: RunPodServiceConfig, rung: EndpointRung, now: datetime
) -> CreateEndpoint:
    """The endpoint of one set. Its name is the set's: that is how it is found again."""
    marks = Marks(
        name=spec.name,
        digest=spec.digest,
        release_id=spec.release_id,
        wanted=Wanted.RUNNING,
        min_workers=config.min_workers,
        max_workers=config.max_workers,
        started_at=now,
    )
    environment = worker_environment(spec, config) | {PRICE: str(rung.price_per_hour_usd)}
    is_queue = config.kind == "queue"
    return CreateEndpoint(
        name=spec.name,
        type=EndpointKind.QUEUE if is_queue else EndpointKind.LOAD_BALANCER,
        image=config.image,
        disk=config.disk_gb,
        env=marks.write(environment),
        ports=() if is_queue else (f"{PORT}/http", f"{HEALTH_PORT}/http"),
        registry=config.registry if config.registry is not None else UNSET,
        scaling=RequestCount(request_count=config.requests_per_worker or spec.parallel),
        workers=Workers(
            min=config.min_workers,
            max=config.max_workers,
            # RunPod refuses it for a queue that scales by the number of requests.
            idle_timeout=UNSET if is_queue else config.idle_timeout_s,
        ),
        timeout=config.request_timeout_s * 1000,
        flashboot=Flashboot.ON if config.flashboot else Flashboot.OFF,
        gpu=EndpointGpu(
            pools=rung.pools,
            excluded_types=rung.excluded_types or UNSET,
            count=config.gpus_per_worker,
        ),
        data_center_ids=rung.data_centers or UNSET,
        network_volumes=(config.network_volume,) if config.network_volume else UNSET,
    )


def worker_bounds(low: int, high: int) -> UpdateEndpoint:
    """A change of the number of workers alone: it makes no new version."""
    return UpdateEndpoint(workers=WorkersChange(min=low, max=high))


def marked(marks: Marks, env: dict[str, str], low: int, high: int) -> UpdateEndpoint:
    """Worker bounds together with the reason for them, in one change."""
    return UpdateEndpoint(workers=WorkersChange(min=low, max=high), env=marks.write(env))


def need_of(config: RunPodServiceConfig, memory_bytes: int, gpu_types: tuple[str, ...] = ("*",)) -> Need:
    """What a worker must have. `gpu_types`: what the organization allows; the service can only narrow it."""
    return Need(
        memory_bytes=memory_bytes,
        gpus=config.gpus_per_worker,
        limits=Limits(
            gpu_types=(gpu_types, config.gpu_types),
            pools=config.pools,
            data_centers=config.data_centers,
            max_price_per_hour_usd=config.max_price_per_hour_usd,
        ),
    )
