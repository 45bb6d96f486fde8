"""A gateway from start to end: the newest routes first, then Envoy, then the agent's loop; and the ways out of it."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from tidegate.gateway.admin import Admin
from tidegate.gateway.agent import Agent, RouteSource
from tidegate.gateway.config import GatewayConfig
from tidegate.gateway.envoy import Envoy, find_envoy
from tidegate.gateway.equipment import Credentials, no_credentials
from tidegate.gateway.files import single_writer
from tidegate.gateway.key_agent import KeyAgent, Keys
from tidegate.gateway.meter import Meter
from tidegate.gateway.publish import Publisher

_LOG = logging.getLogger(__name__)


def serve(
    config: GatewayConfig,
    source: RouteSource,
    keys: Keys,
    stop: threading.Event,
    credentials: Credentials = no_credentials,
    on_error: Callable[[str, Exception], None] = lambda part, error: None,
) -> None:
    """Keep Envoy equal to the source until `stop`, then end gracefully.

    A person may ask two more things of it through the source: to drain (Envoy ends, the agent waits for its next
    word), and to hand over (the agent ends and leaves Envoy serving; the next agent replaces it without a gap).
    `on_error` is told what ended a round of one of its parts; the next round comes all the same.

    Raises:
        Refused: another process runs this gateway.
        NeedsOperator: Envoy cannot be started at all.
    """
    binary = find_envoy(config.envoy_bin)
    with single_writer(config.path("writer.lock")), Admin(config.admin_socket) as admin:
        _Gateway(config, source, keys, credentials, on_error, admin, binary).run(stop)


class _Gateway:
    def __init__(
        self,
        config: GatewayConfig,
        source: RouteSource,
        keys: Keys,
        credentials: Credentials,
        on_error: Callable[[str, Exception], None],
        admin: Admin,
        binary: Path,
    ):
        self._config = config
        self._envoy = Envoy(config, admin, binary)
        self._key_agent = KeyAgent(config, keys, on_error)
        self._meter = Meter(config, source, on_error)
        self._agent = Agent(
            config,
            source,
            credentials,
            admin=admin,
            envoy=self._envoy,
            publisher=Publisher(config, admin, binary),
            on_error=on_error,
            problems=lambda: {"keys": self._key_agent.problem, "live": self._meter.problem},
        )

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            if not self._agent.catch_up():
                # An Envoy that an earlier agent left goes on serving meanwhile; a new one would guess.
                stop.wait(self._config.keys_s)
            elif self._agent.is_drained:
                self._end(self._config.drain_s)
                self._rest(stop)
            elif self._serve(stop):
                _LOG.info("gateway %s: leaves Envoy to the next agent", self._config.name)
                return
        self._end(self._config.shutdown_s)
        self._agent.say_stopped()

    def _rest(self, stop: threading.Event) -> None:
        while self._agent.is_drained and not stop.is_set():
            self._agent.rest()
            stop.wait(self._config.poll_s)

    def _serve(self, stop: threading.Event) -> bool:
        """True when Envoy is left running for the next agent."""
        is_over = threading.Event()
        name = self._config.name
        threads = [
            threading.Thread(target=self._key_agent.run, args=(is_over,), name=f"{name}-keys"),
            threading.Thread(target=self._meter.run, args=(is_over,), name=f"{name}-live"),
        ]
        try:
            self._envoy.start()
            for thread in threads:
                thread.start()
            while not (stop.is_set() or self._agent.is_drained or self._agent.is_renewed):
                self._agent.step()
                stop.wait(self._config.poll_s)
        except BaseException:
            self._end(self._config.shutdown_s)
            raise
        finally:
            is_over.set()
            for thread in threads:
                if thread.is_alive():
                    thread.join()
        return self._agent.is_renewed and not stop.is_set()

    def _end(self, ceiling_s: float) -> None:
        """No new connection; what is in flight ends, with a ceiling."""
        cut = self._envoy.stop(ceiling_s, self._agent.watch_drain)
        self._meter.finish()
        if cut:
            _LOG.warning("gateway %s: ended with %d requests in flight", self._config.name, cut)
