"""What RunPod says, live, about whether one service of an organization could be released there now. Only reads."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from tidegate.domain import RunPodServiceConfig, TidegateError
from tidegate.platforms.runpod.client import RunPodClient
from tidegate.platforms.runpod.costs import require_means
from tidegate.platforms.runpod.placement import EndpointRung, Limits, Need, endpoint_ladder
from tidegate.platforms.runpod.wire import Product


@dataclass(frozen=True)
class Fact:
    """One thing that was looked at. `is_ok` is None for what cannot be known from here."""

    name: str
    is_ok: bool | None
    text: str
    remedy: str = ""


def readiness(
    client: RunPodClient, config: RunPodServiceConfig, memory_bytes: int, gpu_types: tuple[str, ...] = ("*",)
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
    ladder: list[EndpointRung] = []
    yield from _asked("GPUs", lambda: _gpus(client, config, memory_bytes, gpu_types, ladder))
    hourly = ladder[0].price_per_hour_usd * config.min_workers if ladder else Decimal(0)
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
    gpu_types: tuple[str, ...],
    ladder: list[EndpointRung],
) -> Fact:
    """Raises: Refused when nothing that is allowed fits, CapacityShortage when what fits is out of stock."""
    limits = Limits(
        gpu_types=(gpu_types, config.gpu_types),
        pools=config.pools,
        data_centers=config.data_centers,
        max_price_per_hour_usd=config.max_price_per_hour_usd,
    )
    gpus = client.control.catalog.gpus(Product.SERVERLESS, count=config.gpus_per_worker)
    ladder += endpoint_ladder(Need(memory_bytes, config.gpus_per_worker, limits), gpus)
    rungs = "; then ".join(
        f"{', '.join(rung.pools)} at most {rung.price_per_hour_usd} USD/h" for rung in ladder
    )
    return Fact("GPUs", True, f"{memory_bytes / 2**30:.1f} GiB fit into {rungs}")


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
