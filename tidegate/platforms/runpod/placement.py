"""Where a set may run on RunPod and what it costs there: a ladder from the cheapest rung up. Pure.

A serverless endpoint names GPU pools and excludes types; a pod names one type, one cloud. Whatever the
catalog cannot confirm (memory, price) does not qualify: a guess would be paid for.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase

from tidegate.domain import CapacityShortage, Refused
from tidegate.platforms.runpod.replies import Availability, GpuType
from tidegate.platforms.runpod.wire import Cloud

GB = 1024**3
USABLE_SHARE = 0.92
"""Of a GPU's memory: the driver and fragmentation take the rest."""
MAX_POOLS = 3
"""More priorities RunPod does not use."""
RANK: dict[str, int] = {Availability.HIGH: 0, Availability.MEDIUM: 1, Availability.LOW: 2}


@dataclass(frozen=True)
class Limits:
    """What the organization and the service allow together: a type must match a pattern of every list."""

    gpu_types: tuple[tuple[str, ...], ...] = ()
    pools: tuple[str, ...] = ("*",)
    data_centers: tuple[str, ...] = ()
    clouds: tuple[Cloud, ...] = (Cloud.SECURE,)
    max_price_per_hour_usd: Decimal | None = None

    def allows_type(self, type_id: str) -> bool:
        return all(_matches(type_id, patterns) for patterns in self.gpu_types)

    def allows_pool(self, pool: str) -> bool:
        return _matches(pool, self.pools)

    def allows_price(self, price: Decimal) -> bool:
        return self.max_price_per_hour_usd is None or price <= self.max_price_per_hour_usd


@dataclass(frozen=True)
class Need:
    """What one worker or pod must have."""

    memory_bytes: int
    gpus: int = 1
    limits: Limits = Limits()

    def is_met_by(self, gpu: GpuType) -> bool:
        return gpu.memory * GB * self.gpus * USABLE_SHARE >= self.memory_bytes


@dataclass(frozen=True)
class EndpointRung:
    """One way to ask for an endpoint. The price is the highest that one of its workers can cost."""

    pools: tuple[str, ...]
    excluded_types: tuple[str, ...]
    data_centers: tuple[str, ...]
    price_per_hour_usd: Decimal


@dataclass(frozen=True)
class PodRung:
    """One way to ask for a pod."""

    gpu_type: str
    cloud: Cloud
    data_centers: tuple[str, ...]
    price_per_hour_usd: Decimal


@dataclass(frozen=True)
class _Offer:
    """A GPU type that qualifies, with its price and stock."""

    gpu: GpuType
    price: Decimal
    places: tuple[str, ...]
    rank: int | None
    """None when it is out of stock."""

    @property
    def is_in_stock(self) -> bool:
        return self.rank is not None


def endpoint_ladder(need: Need, gpus: Iterable[GpuType]) -> tuple[EndpointRung, ...]:
    """Ways to place an endpoint: first the cheapest pools together, then each pool that is left, by price.

    Raises: Refused when nothing that is allowed fits, CapacityShortage when what fits is out of stock.
    """
    known = [gpu for gpu in gpus if gpu.pool is not None and need.limits.allows_pool(gpu.pool)]
    prices = {gpu.id: gpu.price.serverless for gpu in known}
    offers = _offers(need, known, prices)
    pools: dict[str, list[_Offer]] = {}
    for offer in sorted(offers, key=_by_price):
        assert offer.gpu.pool is not None, "those without a pool were left out"
        pools.setdefault(offer.gpu.pool, []).append(offer)
    names = [name for name, members in pools.items() if any(offer.is_in_stock for offer in members)]
    groups = [names[:MAX_POOLS], *([name] for name in names[MAX_POOLS:])]
    return tuple(_endpoint_rung(group, pools, known, need.limits) for group in groups)


def pod_ladder(need: Need, gpus: Mapping[Cloud, Iterable[GpuType]]) -> tuple[PodRung, ...]:
    """Ways to place a pod, by price; `gpus` holds the catalog with the stock of each cloud.

    Raises: Refused when nothing that is allowed fits, CapacityShortage when what fits is out of stock.
    """
    found: list[tuple[Cloud, _Offer]] = []
    shortage: CapacityShortage | None = None
    refusal: Refused | None = None
    for cloud in need.limits.clouds:
        is_secure = cloud is Cloud.SECURE
        known = [gpu for gpu in gpus.get(cloud, ()) if (gpu.secure if is_secure else gpu.community)]
        roomy = [
            gpu
            for gpu in known
            if (gpu.max_count.secure if is_secure else gpu.max_count.community) >= need.gpus
        ]
        prices = {gpu.id: gpu.price.secure if is_secure else gpu.price.community for gpu in roomy}
        try:
            found += [(cloud, offer) for offer in _offers(need, roomy, prices) if offer.is_in_stock]
        except CapacityShortage as error:
            shortage = error
        except Refused as error:
            refusal = error
    if not found:
        raise shortage or refusal or _nothing(need)
    return tuple(
        PodRung(offer.gpu.id, cloud, offer.places, offer.price)
        for cloud, offer in sorted(found, key=lambda pair: (*_by_price(pair[1]), pair[0] is not Cloud.SECURE))
    )


def _offers(need: Need, gpus: Iterable[GpuType], prices: Mapping[str, Decimal | None]) -> list[_Offer]:
    fitting = [gpu for gpu in gpus if need.is_met_by(gpu) and need.limits.allows_type(gpu.id)]
    priced = [(gpu, price * need.gpus) for gpu in fitting if (price := prices.get(gpu.id)) is not None]
    if not priced:
        raise _nothing(need)
    affordable = [(gpu, price) for gpu, price in priced if need.limits.allows_price(price)]
    if not affordable:
        gpu, price = min(priced, key=lambda pair: pair[1])
        raise Refused(
            f"The cheapest GPU at RunPod that fits costs {price} USD per hour ({gpu.id} x {need.gpus}); "
            f"at most {need.limits.max_price_per_hour_usd} is allowed.",
            remedy="Raise the price limit, or make the model or its context smaller.",
            field="max_price_per_hour_usd",
        )
    offers = [_stocked(gpu, price, need.limits) for gpu, price in affordable]
    if not any(offer.is_in_stock for offer in offers):
        raise CapacityShortage(
            "RunPod has none of the GPUs that fit and are allowed: "
            f"{', '.join(sorted(gpu.id for gpu, _ in affordable))}.",
            remedy="Wait, or allow more GPU types, data centres or clouds.",
        )
    return offers


def _stocked(gpu: GpuType, price: Decimal, limits: Limits) -> _Offer:
    """A data centre that the catalog does not list has no stock; a word that we do not know is the least."""
    if not limits.data_centers:
        # Left open on purpose: RunPod treats a list of data centres as binding.
        levels = {"": gpu.availability or Availability.NONE}
    else:
        stock = {place.id: place.availability for place in gpu.data_centers}
        levels = {place: stock.get(place, Availability.NONE) for place in limits.data_centers}
    present = {place: level for place, level in levels.items() if level != Availability.NONE}
    rank = min((RANK.get(level, len(RANK)) for level in present.values()), default=None)
    return _Offer(gpu, price, tuple(place for place in present if place), rank)


def _endpoint_rung(
    names: list[str], pools: Mapping[str, list[_Offer]], known: list[GpuType], limits: Limits
) -> EndpointRung:
    """Types of a pool that do not qualify are excluded. Those out of stock stay: stock may come back, and RunPod
    places workers for as long as the endpoint lives."""
    offers = [offer for name in names for offer in pools[name]]
    qualified = {offer.gpu.id for offer in offers}
    members = [gpu for gpu in known if gpu.pool in names]
    places = dict.fromkeys(place for offer in offers for place in offer.places)
    return EndpointRung(
        pools=tuple(names),
        excluded_types=tuple(sorted(gpu.id for gpu in members if gpu.id not in qualified)),
        data_centers=tuple(places),
        price_per_hour_usd=max(offer.price for offer in offers),
    )


def _by_price(offer: _Offer) -> tuple[Decimal, int, str]:
    return offer.price, len(RANK) + 1 if offer.rank is None else offer.rank, offer.gpu.id


def _nothing(need: Need) -> Refused:
    return Refused(
        f"No GPU at RunPod that is allowed has {need.memory_bytes / GB:.1f} GiB of memory "
        f"(with {need.gpus} per worker).",
        remedy="Allow other GPU types or pools, more GPUs per worker, or make the model or its context smaller.",
        field="gpu_types",
    )


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
