"""From a set and its service's settings to what is asked of RunPod. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fnmatch import fnmatchcase

from tidegate.domain import Refused, RunPodServiceConfig, Secret, SetSpec
from tidegate.platforms.runpod.marks import (
    ENGINE_KEY,
    HEALTH_PORT,
    PORT,
    PRICE,
    Marks,
    Wanted,
    worker_environment,
)
from tidegate.platforms.runpod.placement import EndpointRung, Limits, Need, PodRung
from tidegate.platforms.runpod.replies import Pod
from tidegate.platforms.runpod.wire import (
    UNSET,
    Cloud,
    CreateEndpoint,
    CreatePod,
    EndpointGpu,
    EndpointKind,
    Flashboot,
    Mounts,
    NetworkMount,
    PodGpu,
    RequestCount,
    Unset,
    UpdateEndpoint,
    UpdatePod,
    Workers,
    WorkersChange,
)

VOLUME_PATH = "/runpod-volume"
"""Where serverless workers find a network volume; pods get it at the same place, so that one model_url serves both."""


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


def pod_marks(spec: SetSpec, need: Need, key_id: str, now: datetime) -> Marks:
    """What is written on a new pod."""
    return Marks(
        name=spec.name,
        digest=spec.digest,
        release_id=spec.release_id,
        wanted=Wanted.RUNNING,
        min_workers=1,
        max_workers=1,
        started_at=now,
        key_id=key_id,
        need_bytes=need.memory_bytes,
    )


def pod_order(
    spec: SetSpec, config: RunPodServiceConfig, rung: PodRung, marks: Marks, key: Secret
) -> CreatePod:
    """The pod of one set. Its engine's key goes into the environment, the only way into a pod that RunPod has; it is
    worth nothing but this one set."""
    environment = worker_environment(spec, config) | {
        PRICE: str(rung.price_per_hour_usd),
        ENGINE_KEY: key.reveal(),
    }
    return CreatePod(
        name=spec.name,
        image=config.image,
        disk=config.disk_gb,
        env=marks.write(environment),
        ports=(f"{PORT}/http", f"{HEALTH_PORT}/http"),
        registry=config.registry if config.registry is not None else UNSET,
        cloud=rung.cloud,
        gpu=PodGpu(id=rung.gpu_type, count=config.gpus_per_worker),
        data_center_ids=rung.data_centers or UNSET,
        mounts=_mounts(config),
    )


def same_pod_elsewhere(pod: Pod, config: RunPodServiceConfig, rung: PodRung, marks: Marks) -> CreatePod:
    """A pod whose machine is lost, once more: image and environment as they were, so that it is the same set."""
    return CreatePod(
        name=pod.name,
        image=pod.image or config.image,
        disk=pod.disk or config.disk_gb,
        env=marks.write(pod.env | {PRICE: str(rung.price_per_hour_usd)}),
        ports=(f"{PORT}/http", f"{HEALTH_PORT}/http"),
        registry=pod.registry if pod.registry is not None else UNSET,
        cloud=rung.cloud,
        gpu=PodGpu(id=rung.gpu_type, count=config.gpus_per_worker),
        data_center_ids=rung.data_centers or UNSET,
        mounts=_mounts(config),
    )


def pod_marked(marks: Marks, env: dict[str, str]) -> UpdatePod:
    """Other marks on a pod. A running container keeps the environment that it was started with."""
    return UpdatePod(env=marks.write(env))


def _mounts(config: RunPodServiceConfig) -> Mounts | Unset:
    if config.network_volume is None:
        return UNSET
    return Mounts(network=(NetworkMount(volume_id=config.network_volume, path=VOLUME_PATH),))


def worker_bounds(low: int, high: int) -> UpdateEndpoint:
    """A change of the number of workers alone: it makes no new version."""
    return UpdateEndpoint(workers=WorkersChange(min=low, max=high))


def marked(marks: Marks, env: dict[str, str], low: int, high: int) -> UpdateEndpoint:
    """Worker bounds together with the reason for them, in one change."""
    return UpdateEndpoint(workers=WorkersChange(min=low, max=high), env=marks.write(env))


@dataclass(frozen=True)
class Allowance:
    """What the organization allows on RunPod; a service can only narrow it. Patterns are those of a shell."""

    gpu_types: tuple[str, ...] = ("*",)
    data_centers: tuple[str, ...] = ("*",)
    gpus_per_worker: int | None = None
    clouds: tuple[Cloud, ...] = (Cloud.SECURE,)
    """Of pods: serverless workers run where RunPod puts them."""
    max_price_per_hour_usd: Decimal | None = None
    """Of a whole set, with all its workers."""

    @property
    def is_bound_to_places(self) -> bool:
        return "*" not in self.data_centers

    def places(self, known: Iterable[str]) -> tuple[str, ...]:
        return tuple(
            place for place in known if any(fnmatchcase(place, pattern) for pattern in self.data_centers)
        )


def need_of(
    config: RunPodServiceConfig,
    memory_bytes: int,
    allowance: Allowance,
    known_places: Callable[[], Iterable[str]],
) -> Need:
    """What a worker must have, within what organization and service allow.

    `known_places` lists RunPod's data centres; it is asked only when the organization is bound to some and the
    service names none. Raises: Refused when the two leave nothing.
    """
    if allowance.gpus_per_worker is not None and config.gpus_per_worker > allowance.gpus_per_worker:
        raise Refused(
            f"The service wants {config.gpus_per_worker} GPUs per worker; "
            f"its organization allows {allowance.gpus_per_worker}.",
            remedy="Lower gpus_per_worker of the service, or raise the organization's limit.",
            field="gpus_per_worker",
        )
    return Need(
        memory_bytes=memory_bytes,
        gpus=config.gpus_per_worker,
        limits=Limits(
            gpu_types=(allowance.gpu_types, config.gpu_types),
            pools=config.pools,
            data_centers=_places(config, allowance, known_places),
            clouds=_clouds(config, allowance),
            max_price_per_hour_usd=_price_of_a_worker(config, allowance),
        ),
    )


def _places(
    config: RunPodServiceConfig, allowance: Allowance, known_places: Callable[[], Iterable[str]]
) -> tuple[str, ...]:
    if not allowance.is_bound_to_places:
        return config.data_centers
    places = allowance.places(config.data_centers or known_places())
    if not places:
        raise Refused(
            f"The organization allows data centres {', '.join(allowance.data_centers)}; the service uses none of them.",
            remedy="Name an allowed one under data_centers of the service.",
            field="data_centers",
        )
    return places


def _clouds(config: RunPodServiceConfig, allowance: Allowance) -> tuple[Cloud, ...]:
    """A network volume is only reachable from RunPod's own machines."""
    if config.kind != "pod":
        return allowance.clouds
    wanted = tuple(Cloud[cloud.upper()] for cloud in config.clouds)
    if config.network_volume is not None:
        wanted = tuple(cloud for cloud in wanted if cloud is Cloud.SECURE)
    clouds = tuple(cloud for cloud in allowance.clouds if cloud in wanted)
    if not clouds:
        raise Refused(
            f"The organization allows pods on {', '.join(allowance.clouds).lower()} machines; "
            f"the service may use {', '.join(wanted).lower() or 'none'}.",
            remedy="Change `clouds` of the service, or `limits.clouds` of the organization.",
            field="clouds",
        )
    return clouds


def _price_of_a_worker(config: RunPodServiceConfig, allowance: Allowance) -> Decimal | None:
    share = (
        None
        if allowance.max_price_per_hour_usd is None
        else allowance.max_price_per_hour_usd / config.worker_bounds[1]
    )
    prices = [price for price in (share, config.max_price_per_hour_usd) if price is not None]
    return min(prices, default=None)
