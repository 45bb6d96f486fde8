"""Says once what a gateway serves from now on, in the name of the release that changed it."""

import logging
from collections.abc import Iterable

from tidegate.domain import Route

_LOG = logging.getLogger(__name__)


class RouteNews:
    """Remembers which generation of each service was told."""

    def __init__(self, gateway: str):
        self._gateway = gateway
        self._told: dict[tuple[str, str], int] = {}

    def tell(self, routes: Iterable[Route]) -> None:
        """One line for each service whose route is another than before."""
        for route in routes:
            key = (route.org, route.service)
            if self._told.get(key) == route.generation:
                continue
            self._told[key] = route.generation
            newest = next((one for one in route.upstreams if one.set_name == route.newest), None)
            of_release = {"release_id": newest.release_id, "set": newest.set_name} if newest else {}
            _LOG.info(
                "gateway %s serves %s/%s by %s",
                self._gateway,
                route.org,
                route.service,
                dict(route.weights),
                extra={"org": route.org, "service": route.service, **of_release},
            )
