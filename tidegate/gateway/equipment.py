"""What sets elsewhere want of a gateway: their credentials, and authorities to hold their certificates against."""

from collections.abc import Callable, Sequence

from tidegate.domain import NeedsOperator, Route, Secret, ServiceRef, TidegateError
from tidegate.gateway.config import GatewayConfig
from tidegate.gateway.publish import Publisher

Credentials = Callable[[str, str], Secret | None]
"""The secret of this name, if that organization may use it."""


def no_credentials(org: str, name: str) -> Secret | None:
    """For a gateway whose sets all stand on our own hosts."""
    return None


class Equipment:
    def __init__(self, config: GatewayConfig, ask: Credentials, publisher: Publisher):
        self._config = config
        self._ask = ask
        self._publisher = publisher

    def equip(self, routes: Sequence[Route]) -> dict[ServiceRef, str]:
        """Publish the credentials that routes name; returns the services that lack what their sets want."""
        lacking: dict[ServiceRef, str] = {}
        secrets: dict[str, Secret] = {}
        for route in routes:
            try:
                secrets.update(self._secrets_of(route))
            except TidegateError as error:
                lacking[ServiceRef(route.org, route.service)] = error.message
        self._publisher.publish_credentials(secrets)
        return lacking

    def _secrets_of(self, route: Route) -> dict[str, Secret]:
        """Raises: NeedsOperator, or what the store of secrets says."""
        if any(upstream.tls for upstream in route.upstreams) and not self._config.ca_file.is_file():
            raise NeedsOperator(
                f"There is no file of trusted authorities {self._config.ca_file}.",
                remedy="Install ca-certificates, or set TIDEGATE_CA_FILE.",
            )
        secrets: dict[str, Secret] = {}
        for name in _credential_names(route):
            secret = self._ask(route.org, name)
            if secret is None:
                raise NeedsOperator(
                    f"{route.org} has no secret '{name}' at this gateway.",
                    remedy="Store it where this gateway reads secrets: tidegate doctor names the place.",
                )
            secrets[name] = secret
        return secrets


def _credential_names(route: Route) -> set[str]:
    return {upstream.credential for upstream in route.upstreams if upstream.credential is not None}
