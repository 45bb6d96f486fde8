"""Follows the keys of clients, beside the agent of the routes and never behind it.

Publishing routes waits for new sets to answer, up to some seconds. A revoked key must not work that long.
"""

import logging
import threading
from collections.abc import Callable, Sequence

from tidegate.domain import Permanent, TidegateError
from tidegate.gateway.admin import Admin
from tidegate.gateway.config import AUTH, ClientKey, GatewayConfig
from tidegate.gateway.delivery import Delivery
from tidegate.gateway.render import render_keys

_LOG = logging.getLogger(__name__)
_REFUSED_RETRY_S = 2.0

Keys = Callable[[], Sequence[ClientKey]]


class KeyAgent:
    """Runs in a thread of its own, with a connection of its own to Envoy."""

    def __init__(
        self,
        config: GatewayConfig,
        keys: Keys,
        on_error: Callable[[str, Exception], None] = lambda part, error: None,
    ):
        self._config = config
        self._on_error = on_error
        self._ask = keys
        self._known: tuple[ClientKey, ...] | None = None
        self.problem = ""
        """Why the keys in Envoy may be behind; the agent of the routes reports it."""

    def run(self, stop: threading.Event) -> None:
        with Admin(self._config.admin_socket) as admin:
            delivery = Delivery(self._config, admin)
            while not stop.is_set():
                stop.wait(self._config.keys_s if self._step(delivery) else _REFUSED_RETRY_S)

    def _step(self, delivery: Delivery) -> bool:
        """False when asking again soon is of no use. A store of keys is foreign code: no error of it ends us."""
        try:
            keys = tuple(self._ask())
            if keys != self._known:
                delivery.push(AUTH, render_keys(keys))
                self._known = keys
        except TidegateError as error:
            self._on_error("keys", error)
            self._fail(error.message)
            return not isinstance(error, Permanent)
        except Exception as error:  # noqa: BLE001
            self._on_error("keys", error)
            self._fail(f"{type(error).__name__} when asking for the keys")
            _LOG.debug("gateway %s: keys failed", self._config.name, exc_info=True)
        else:
            self.problem = ""
        return True

    def _fail(self, message: str) -> None:
        if self.problem != message:
            _LOG.warning("gateway %s: keys: %s", self._config.name, message)
            self.problem = message
