"""What sets on RunPod cost: before (from the catalog) and afterwards (its bill as charges). Pure, in Decimal."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from tidegate.domain import Charge, Refused
from tidegate.platforms.runpod.account import AccountState
from tidegate.platforms.runpod.placement import Need
from tidegate.platforms.runpod.replies import BillingRecord, GpuType
from tidegate.platforms.runpod.wire import Cloud


def price_ceiling(need: Need, gpus: Iterable[GpuType], max_workers: int) -> Decimal:
    """The most that a set can cost per hour, whatever is in stock: all workers on the dearest GPU that is allowed.

    Raises: Refused when no GPU fits, or none at an allowed price.
    """
    prices = [
        gpu.price.serverless * need.gpus
        for gpu in gpus
        if gpu.pool is not None
        and gpu.price.serverless is not None
        and need.is_met_by(gpu)
        and need.limits.allows_type(gpu.id)
        and need.limits.allows_pool(gpu.pool)
    ]
    return _dearest(need, prices) * max_workers


def pod_price_ceiling(need: Need, gpus: Mapping[Cloud, Iterable[GpuType]]) -> Decimal:
    """The most that a pod can cost per hour: the dearest type that is allowed, on the clouds that are.

    Raises: Refused when no GPU fits, or none at an allowed price.
    """
    prices: list[Decimal] = []
    for cloud in need.limits.clouds:
        is_secure = cloud is Cloud.SECURE
        for gpu in gpus.get(cloud, ()):
            price = gpu.price.secure if is_secure else gpu.price.community
            is_there = gpu.secure if is_secure else gpu.community
            if is_there and price is not None and need.is_met_by(gpu) and need.limits.allows_type(gpu.id):
                prices.append(price * need.gpus)
    return _dearest(need, prices)


def _dearest(need: Need, prices: Sequence[Decimal]) -> Decimal:
    allowed = [price for price in prices if need.limits.allows_price(price)]
    if not allowed:
        raise Refused(
            "No GPU at RunPod fits"
            + (f" at {need.limits.max_price_per_hour_usd} USD per hour or less." if prices else "."),
            remedy="Allow other GPU types or a higher price, or make the model or its context smaller.",
            field="max_price_per_hour_usd" if prices else "gpu_types",
        )
    return max(allowed)


def charges_of(records: Iterable[BillingRecord]) -> list[Charge]:
    """RunPod's records as charges; one that names no resource of ours is left out."""
    return [
        Charge(resource_id, record.start_time, record.end_time, record.total_amount)
        for record in records
        if (resource_id := record.serverless_id or record.pod_id) is not None
    ]


def require_means(account: AccountState | None, price_per_hour_usd: Decimal, hours: Decimal) -> None:
    """Refuse what the account cannot pay, before anything is created. Nothing known means nothing refused.

    Raises: Refused.
    """
    if account is None:
        return
    needed = price_per_hour_usd * hours
    if account.client_balance is not None and account.client_balance < needed:
        raise Refused(
            f"The RunPod account has {account.client_balance:.2f} USD left; {hours} h of this set cost "
            f"{needed:.2f} USD.",
            remedy="Add credit to the RunPod account.",
            field="balance",
        )
    spend = account.current_spend_per_hr or Decimal(0)
    if account.spend_limit is not None and spend + price_per_hour_usd > account.spend_limit:
        raise Refused(
            f"The RunPod account spends {spend:.2f} USD per hour; with this set it would exceed its limit of "
            f"{account.spend_limit:.2f}.",
            remedy="Raise the spend limit in RunPod's console, or remove what is not needed.",
            field="spend_limit",
        )
