"""The agent beside one Envoy: follows the wanted routes, publishes them, reports what Envoy confirmed.

It outlives failures of the source of routes (Envoy keeps serving), of Envoy (started again on the same
files) and of itself (its memory is in its folder). It never makes a decision about traffic.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from tidegate.domain import (
    GatewayStatus,
    LiveBatch,
    NeedsOperator,
    Permanent,
    Route,
    Secret,
    ServiceRef,
    TidegateError,
    TrafficCounts,
    Transient,
)
from tidegate.gateway.admin import Admin
from tidegate.gateway.config import GatewayConfig
from tidegate.gateway.envoy import Envoy, find_envoy
from tidegate.gateway.fence import Fence
from tidegate.gateway.files import single_writer
from tidegate.gateway.key_agent import KeyAgent, Keys
from tidegate.gateway.meter import Meter
from tidegate.gateway.metrics import Members, Totals, read_counts, read_members
from tidegate.gateway.publish import Published, Publisher

_LOG = logging.getLogger(__name__)
_RETRY_S = 0.25
_REFUSED_RETRY_S = 2.0
_ROTATE_S = 10.0

Credentials = Callable[[str, str], Secret | None]
"""The secret of this name, if that organization may use it."""


class RouteSource(Protocol):
    """The part of the router that a gateway needs."""

    def list_routes(self) -> list[Route]: ...

    def generation(self) -> int: ...

    def report_gateway(self, status: GatewayStatus) -> None: ...

    def record_counts(self, gateway: str, counts: Sequence[TrafficCounts]) -> None: ...

    def record_live(self, batches: Sequence[LiveBatch]) -> None: ...


def no_credentials(org: str, name: str) -> Secret | None:
    """For a gateway whose sets all stand on our own hosts."""
    return None


def serve(
    config: GatewayConfig,
    source: RouteSource,
    keys: Keys,
    stop: threading.Event,
    credentials: Credentials = no_credentials,
) -> None:
    """Start Envoy, follow the source until `stop`, and end gracefully.

    Raises:
        Refused: another process runs this gateway.
        NeedsOperator: Envoy cannot be started at all.
    """
    binary = find_envoy(config.envoy_bin)
    with single_writer(config.path("writer.lock")), Admin(config.admin_socket) as admin:
        publisher = Publisher(config, admin, binary)
        publisher.prepare()
        envoy = Envoy(config, admin, binary)
        key_agent = KeyAgent(config, keys)
        meter = Meter(config, source)
        is_over = threading.Event()
        threads = [
            threading.Thread(target=key_agent.run, args=(is_over,), name=f"{config.name}-keys"),
            threading.Thread(target=meter.run, args=(is_over,), name=f"{config.name}-live"),
        ]
        agent = Agent(
            config,
            source,
            credentials,
            admin=admin,
            envoy=envoy,
            publisher=publisher,
            problems=lambda: {"keys": key_agent.problem, "live": meter.problem},
        )
        try:
            envoy.start()
            for thread in threads:
                thread.start()
            run_agent(agent, stop, config.poll_s)
        finally:
            is_over.set()
            for thread in threads:
                if thread.is_alive():
                    thread.join()
            envoy.stop()
            meter.finish()


def run_agent(agent: "Agent", stop: threading.Event, poll_s: float) -> None:
    """The loop alone, over an Envoy that runs."""
    while not stop.is_set():
        agent.step()
        stop.wait(poll_s)


class _Timer:
    """True at most once in each period."""

    def __init__(self, period_s: float):
        self._period_s = period_s
        self._next = 0.0

    def is_due(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._period_s
        return True

    def make_due(self) -> None:
        self._next = 0.0

    def postpone(self, seconds: float) -> None:
        self._next = time.monotonic() + seconds


class Agent:
    """One step does at most one publication, one sample and one report, whatever is due."""

    def __init__(
        self,
        config: GatewayConfig,
        source: RouteSource,
        credentials: Credentials = no_credentials,
        *,
        admin: Admin,
        envoy: Envoy,
        publisher: Publisher,
        problems: Callable[[], dict[str, str]] = dict,
    ):
        self._config = config
        self._source = source
        self._ask_credential = credentials
        self._problems = problems
        self._admin = admin
        self._envoy = envoy
        self._publisher = publisher
        self._fence = Fence(config.path("fence.json"))
        self._totals = Totals(config.path("counts.json"))
        self._envoy_pid = envoy.pid
        self._observed = publisher.live.generation
        self._is_complete = False
        self._healthy: tuple[str, ...] = ()
        self._errors: dict[str, str] = {}
        self._credential_timer = _Timer(config.keys_s)
        self._retry_timer = _Timer(_RETRY_S)
        self._report_timer = _Timer(config.report_s)
        self._member_timer = _Timer(min(config.report_s, config.sample_s) / 2)
        self._sample_timer = _Timer(config.sample_s)
        self._rotate_timer = _Timer(_ROTATE_S)

    def step(self) -> None:
        self._guard("envoy", self._tend_envoy)
        self._guard("credentials", self._renew_credentials)
        self._guard("routes", self._follow)
        self._guard("members", self._look_at_members)
        self._guard("counts", self._sample)
        self._guard("drain", self._sweep)
        self._guard("report", self._report)
        self._guard("log", self._rotate_log)

    def _guard(self, name: str, action: Callable[[], bool]) -> None:
        """Nothing that one part of the agent meets may end the others: clients depend on them.

        Sources and key stores are foreign code, so every exception is taken, told once and reported until
        the part worked again; False says that it had nothing to do and proves nothing.
        """
        try:
            is_proof = action()
        except TidegateError as error:
            self._fail(name, error.message)
        except Exception as error:  # noqa: BLE001
            self._fail(name, f"{type(error).__name__} in the agent's '{name}' part")
            _LOG.debug("gateway %s: %s failed", self._config.name, name, exc_info=True)
        else:
            if is_proof:
                self._errors.pop(name, None)

    def _fail(self, name: str, message: str) -> None:
        if self._errors.get(name) != message:
            _LOG.warning("gateway %s: %s: %s", self._config.name, name, message)
            self._errors[name] = message
            self._report_timer.make_due()

    def _tend_envoy(self) -> bool:
        self._envoy.tend()
        if self._envoy.pid != self._envoy_pid:
            _LOG.warning("gateway %s: Envoy had died and was started again", self._config.name)
            self._envoy_pid = self._envoy.pid
            self._totals.restarted()
            self._report_timer.make_due()
        return self._envoy_pid is not None

    def _renew_credentials(self) -> bool:
        """A changed secret of a set that serves is taken without a new route."""
        if not self._credential_timer.is_due():
            return False
        lacking = self._equip(self._publisher.live.routes)
        if lacking:
            raise Transient("; ".join(f"{ref}: {reason}" for ref, reason in sorted(lacking.items())))
        return True

    def _follow(self) -> bool:
        generation = self._source.generation()
        self._fence.check_generation(generation)
        if generation > self._observed:
            self._is_complete = False
            if generation > self._fence.generation:
                self._retry_timer.make_due()
        if self._is_complete or not self._retry_timer.is_due():
            return self._is_complete
        wanted = self._source.list_routes()
        unequipped = self._equip(wanted)
        routes, refused = self._admitted(wanted, unequipped, generation)
        try:
            published = self._publisher.publish(routes, generation)
        except Permanent:
            self._retry_timer.postpone(_REFUSED_RETRY_S)
            raise
        self._note(published, refused, generation)
        return True

    def _equip(self, routes: Sequence[Route]) -> dict[ServiceRef, str]:
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
            secret = self._ask_credential(route.org, name)
            if secret is None:
                raise NeedsOperator(f"{route.org} has no secret '{name}' at this gateway.")
            secrets[name] = secret
        return secrets

    def _admitted(
        self, routes: Sequence[Route], unequipped: dict[ServiceRef, str], generation: int
    ) -> tuple[list[Route], dict[ServiceRef, str]]:
        """Routes that are complete and not older than seen before; another is replaced by what is live."""
        refused = {**unequipped, **self._fence.refusals(routes)}
        self._fence.remember(routes, generation)
        admitted: list[Route] = []
        for route in routes:
            ref = ServiceRef(route.org, route.service)
            former = self._publisher.live.route(ref)
            if ref not in refused:
                admitted.append(route)
            elif former is not None:
                admitted.append(former)
        return admitted, refused

    def _note(self, published: Published, refused: dict[ServiceRef, str], generation: int) -> None:
        left_out = {**published.held, **refused}
        if left_out:
            reasons = "; ".join(f"{ref}: {reason}" for ref, reason in sorted(left_out.items()))
            raise Transient(f"Generation {generation} is not wholly live: {reasons}")
        self._is_complete = True
        self._observed = generation
        self._report_timer.make_due()

    def _look_at_members(self) -> bool:
        if not self._member_timer.is_due():
            return False
        if self._members().healthy != self._healthy:
            self._report_timer.make_due()
        return True

    def _members(self) -> Members:
        return read_members(self._admin)

    def _sample(self) -> bool:
        if not self._sample_timer.is_due():
            return False
        changed = self._totals.add(read_counts(self._admin, datetime.now(UTC)))
        if changed:
            self._source.record_counts(self._config.name, changed)
        return True

    def _sweep(self) -> bool:
        for name in self._publisher.sweep(lambda: self._members().active):
            _LOG.info("gateway %s: removed the cluster of %s", self._config.name, name)
        return True

    def _report(self) -> bool:
        if not self._report_timer.is_due():
            return False
        members = self._members()
        self._healthy = members.healthy
        errors = {**self._errors, **self._problems()}
        self._source.report_gateway(
            GatewayStatus(
                gateway=self._config.name,
                observed_generation=self._observed,
                seen_at=datetime.now(UTC),
                healthy_sets=members.healthy,
                active_requests={name: count for name, count in members.active.items() if count},
                error="; ".join(f"{name}: {message}" for name, message in sorted(errors.items()) if message),
            )
        )
        return True

    def _rotate_log(self) -> bool:
        """Keep one former access log; Envoy goes on writing to the old file until it is told."""
        if not self._rotate_timer.is_due():
            return False
        log = self._config.access_log
        if log.exists() and log.stat().st_size > self._config.max_access_log_bytes:
            log.replace(log.with_name(f"{log.name}.1"))
            self._admin.post("/reopen_logs")
        return True


def _credential_names(route: Route) -> set[str]:
    return {upstream.credential for upstream in route.upstreams if upstream.credential is not None}
