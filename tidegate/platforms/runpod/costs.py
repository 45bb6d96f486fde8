"""What sets on RunPod cost: before (from the catalog), meanwhile (accrued), afterwards (billed). Pure, in Decimal."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from tidegate.domain import Charge, Refused
from tidegate.platforms.runpod.account import AccountState
from tidegate.platforms.runpod.placement import Need
from tidegate.platforms.runpod.replies import BillingRecord, GpuType
from tidegate.platforms.runpod.wire import Cloud

CENT_OF_CENT = Decimal("0.0001")
SECONDS_PER_HOUR = Decimal(3600)


@dataclass(frozen=True)
class WorkerSpan:
    """Time that one worker was billed for: start-up, execution and idle timeout."""

    seconds: Decimal
    price_per_hour_usd: Decimal


@dataclass(frozen=True)
class Reconciliation:
    """What we expected of a set and what RunPod billed for it."""

    expected_usd: Decimal
    billed_usd: Decimal
    tolerance_usd: Decimal

    @property
    def difference_usd(self) -> Decimal:
        return self.billed_usd - self.expected_usd

    @property
    def agrees(self) -> bool:
        return abs(self.difference_usd) <= self.tolerance_usd

    @property
    def is_exceeded(self) -> bool:
        """More was billed than expected: somebody else uses it, or a price was misread."""
        return self.difference_usd > self.tolerance_usd


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


def accrued(spans: Iterable[WorkerSpan]) -> Decimal:
    """USD to a hundredth of a cent; rounded once, at the end."""
    total = sum(
        (span.seconds / SECONDS_PER_HOUR * span.price_per_hour_usd for span in spans), start=Decimal(0)
    )
    return total.quantize(CENT_OF_CENT, rounding=ROUND_HALF_UP)


def reconcile_costs(
    expected_usd: Decimal,
    records: Iterable[BillingRecord],
    *,
    since: datetime,
    until: datetime,
    tolerance: Decimal = Decimal("0.05"),
) -> Reconciliation:
    """Compare with the records that lie within the time. `tolerance` is a share; below a cent nothing is told."""
    billed = sum(
        (record.total_amount for record in records if record.end_time > since and record.start_time < until),
        start=Decimal(0),
    )
    return Reconciliation(expected_usd, billed, max(Decimal("0.01"), tolerance * max(expected_usd, billed)))


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
