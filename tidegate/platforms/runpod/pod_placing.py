"""Finds a machine for a pod: climbs the ladder of types and clouds until RunPod takes the order."""

import logging
from collections.abc import Callable
from decimal import Decimal

from tidegate.domain import CapacityShortage, RunPodServiceConfig
from tidegate.platforms.runpod.client import RunPodClient
from tidegate.platforms.runpod.costs import pod_price_ceiling, require_means
from tidegate.platforms.runpod.errors import BadRequest, Forbidden, NoCapacity
from tidegate.platforms.runpod.orders import need_of
from tidegate.platforms.runpod.placement import Need, PodRung, pod_ladder
from tidegate.platforms.runpod.replies import Pod
from tidegate.platforms.runpod.tenant import Tenant
from tidegate.platforms.runpod.wire import CreatePod, Product

log = logging.getLogger(__name__)


class PodPlacer:
    """Where the pods of one organization may run, and what they cost there."""

    def __init__(self, tenant: Tenant, client: RunPodClient):
        self._tenant = tenant
        self._client = client

    def need(self, memory_bytes: int, config: RunPodServiceConfig) -> Need:
        """Raises: Refused when organization and service leave nothing."""

        def known_places() -> list[str]:
            return [place.id for place in self._client.control.catalog.data_centers()]

        return need_of(config, memory_bytes, self._tenant.allowance, known_places)

    def price_ceiling(self, memory_bytes: int, config: RunPodServiceConfig) -> Decimal:
        """The most that a pod can cost per hour. Raises: Refused."""
        need = self.need(memory_bytes, config)
        return pod_price_ceiling(need, dict.fromkeys(need.limits.clouds, self._client.control.catalog.gpus()))

    def climb(
        self,
        name: str,
        config: RunPodServiceConfig,
        need: Need,
        order: Callable[[PodRung], CreatePod],
        starved: set[str],
    ) -> Pod:
        """The pod on the first rung that has room. `starved` names machines that need not be asked this time.

        Raises: CapacityShortage when no rung holds, Refused, InvalidInput.
        """
        catalog, count = self._client.control.catalog, config.gpus_per_worker
        stock = {cloud: catalog.gpus(Product.POD, count=count, cloud=cloud) for cloud in need.limits.clouds}
        ladder = pod_ladder(need, stock)
        require_means(self._client.account.state(), ladder[0].price_per_hour_usd, self._tenant.funded_hours)
        tried = [rung for rung in ladder if _rung_name(rung) not in starved]
        refusals: list[BadRequest | Forbidden] = []
        for rung in tried:
            try:
                return self._client.control.create_pod(order(rung))
            except (NoCapacity, BadRequest, Forbidden) as error:
                # RunPod's words: a 400 may mean "not placed" without saying so, a 403 this machine only.
                log.info("runpod: no pod for %s on %s: %s", name, _rung_name(rung), error.message)
                refusals += [error] if isinstance(error, BadRequest | Forbidden) else []
        if tried and len(refusals) == len(tried):
            # The same answer everywhere is about the request, not about the stock.
            raise refusals[-1]
        # Next time everything is tried again: by then there may be stock.
        starved.clear()
        raise CapacityShortage(
            f"RunPod has no room for set {name} on any machine that fits: "
            f"{', '.join(_rung_name(rung) for rung in ladder)}.",
            remedy="Wait, or allow more GPU types, data centres or clouds.",
            set=name,
        )


def machine_name(gpu_type: str, cloud: str) -> str:
    """How messages and memory name a type on a cloud."""
    return f"{gpu_type} ({cloud.lower()})"


def _rung_name(rung: PodRung) -> str:
    return machine_name(rung.gpu_type, rung.cloud)
