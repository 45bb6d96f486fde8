"""What RunPod says, live, about whether one service of an organization could be released there now. Only reads."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from tidegate.domain import RunPodServiceConfig, TidegateError
from tidegate.platforms.runpod.client import RunPodClient
from tidegate.platforms.runpod.costs import require_means
from tidegate.platforms.runpod.orders import Allowance, need_of
from tidegate.platforms.runpod.placement import Need, endpoint_ladder, pod_ladder
from tidegate.platforms.runpod.wire import Product

SHOWN_RUNGS = 4


@dataclass(frozen=True)
class Fact:
    """One thing that was looked at. `is_ok` is None for what cannot be known from here."""

    name: str
    is_ok: bool | None
    text: str
    remedy: str = ""


def readiness(
    client: RunPodClient,
    config: RunPodServiceConfig,
    memory_bytes: int,
    allowance: Allowance | None = None,
) -> Iterator[Fact]:
    """Key, money, GPUs that fit and are in stock, and the named volume and registry. Nothing is created.

    A question that cannot be answered is a fact like the others; only the key ends the questions.
    """
    try:
        count = len(client.control.list_endpoints())
        yield Fact("key", True, f"accepted; {count} endpoints in the account")
    except TidegateError as error:
        yield Fact("key", False, error.message, error.remedy)
        return
    # Nothing but a write proves the right to write, and nothing is written here.
    yield Fact("key may create", None, "not asked: only a release proves it")
    prices: list[Decimal] = []
    find = _machines if config.kind == "pod" else _gpus
    yield from _asked("GPUs", lambda: find(client, config, memory_bytes, allowance or Allowance(), prices))
    hourly = prices[0] * config.worker_bounds[0] if prices else Decimal(0)
    yield from _asked("balance", lambda: _balance(client, hourly))
    if config.network_volume is not None:
        volume = config.network_volume
        yield from _asked("network volume", lambda: _volume(client, volume, config.data_centers))
    if config.registry is not None:
        registry = config.registry
        yield from _asked("registry", lambda: _registry(client, registry))


def _asked(name: str, ask: Callable[[], Fact]) -> Iterator[Fact]:
    try:
        yield ask()
    except TidegateError as error:
        yield Fact(name, False, error.message, error.remedy)


def _gpus(
    client: RunPodClient,
    config: RunPodServiceConfig,
    memory_bytes: int,
    allowance: Allowance,
    prices: list[Decimal],
) -> Fact:
    """Raises: Refused when nothing that is allowed fits, CapacityShortage when what fits is out of stock."""
    need = _need(client, config, memory_bytes, allowance)
    gpus = client.control.catalog.gpus(Product.SERVERLESS, count=config.gpus_per_worker)
    ladder = endpoint_ladder(need, gpus)
    prices += [rung.price_per_hour_usd for rung in ladder]
    rungs = "; then ".join(
        f"{', '.join(rung.pools)} at most {rung.price_per_hour_usd} USD/h" for rung in ladder
    )
    return Fact("GPUs", True, f"{memory_bytes / 2**30:.1f} GiB fit into {rungs}")


def _machines(
    client: RunPodClient,
    config: RunPodServiceConfig,
    memory_bytes: int,
    allowance: Allowance,
    prices: list[Decimal],
) -> Fact:
    """As `_gpus`, for a pod. Raises: Refused, CapacityShortage."""
    need = _need(client, config, memory_bytes, allowance)
    catalog, count = client.control.catalog, config.gpus_per_worker
    stock = {cloud: catalog.gpus(Product.POD, count=count, cloud=cloud) for cloud in need.limits.clouds}
    ladder = pod_ladder(need, stock)
    prices += [rung.price_per_hour_usd for rung in ladder]
    rungs = "; then ".join(
        f"{rung.gpu_type} ({rung.cloud.value.lower()}) {rung.price_per_hour_usd} USD/h"
        for rung in ladder[:SHOWN_RUNGS]
    )
    more = f"; and {len(ladder) - SHOWN_RUNGS} more" if len(ladder) > SHOWN_RUNGS else ""
    return Fact("GPUs", True, f"{memory_bytes / 2**30:.1f} GiB fit into {rungs}{more}")


def _need(client: RunPodClient, config: RunPodServiceConfig, memory_bytes: int, allowance: Allowance) -> Need:
    """Raises: Refused when organization and service leave nothing."""

    def known_places() -> list[str]:
        return [place.id for place in client.control.catalog.data_centers()]

    return need_of(config, memory_bytes, allowance, known_places)


def _balance(client: RunPodClient, hourly_usd: Decimal) -> Fact:
    """Raises: Refused when an hour of the smallest set cannot be paid."""
    account = client.account.state()
    if account is None or account.client_balance is None:
        return Fact("balance", None, "RunPod does not tell it", "Look at RunPod's console.")
    require_means(account, hourly_usd, Decimal(1))
    spent = account.current_spend_per_hr or Decimal(0)
    limit = "no limit known" if account.spend_limit is None else f"limit {account.spend_limit:.2f}"
    return Fact("balance", True, f"{account.client_balance:.2f} USD; spends {spent:.2f} USD/h, {limit}")


def _volume(client: RunPodClient, volume_id: str, data_centers: tuple[str, ...]) -> Fact:
    known = {volume.id: volume for volume in client.control.list_volumes()}
    found = known.get(volume_id)
    if found is None:
        return Fact(
            "network volume",
            False,
            f"there is no volume {volume_id}",
            f"Use one of: {', '.join(known) or '-'}.",
        )
    if found.data_center not in data_centers:
        return Fact(
            "network volume",
            False,
            f"{volume_id} is in {found.data_center}, the service asks for {', '.join(data_centers)}",
            f"Write `data_centers: [{found.data_center}]`.",
        )
    return Fact("network volume", True, f"{volume_id} in {found.data_center}, {found.size} GB")


def _registry(client: RunPodClient, registry_id: str) -> Fact:
    known = {registry.id for registry in client.control.list_registries()}
    if registry_id not in known:
        names = ", ".join(sorted(known)) or "-"
        return Fact("registry", False, f"there are no credentials {registry_id}", f"Use one of: {names}.")
    return Fact("registry", True, registry_id)
