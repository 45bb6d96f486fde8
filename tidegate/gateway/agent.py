"""The agent beside one Envoy: follows the wanted routes, publishes them, reports what Envoy confirmed.

It outlives failures of the source of routes (Envoy keeps serving what it had), of Envoy (started again, on the
newest routes) and of itself (its memory is in its folder). It never makes a decision about traffic.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from tidegate.domain import (
    Fenced,
    GatewayStatus,
    InvalidInput,
    LiveBatch,
    Permanent,
    Route,
    ServiceRef,
    TidegateError,
    TrafficCounts,
    Transient,
)
from tidegate.gateway.admin import Admin
from tidegate.gateway.config import GatewayConfig
from tidegate.gateway.envoy import Envoy
from tidegate.gateway.equipment import Credentials, Equipment, no_credentials
from tidegate.gateway.fence import Fence
from tidegate.gateway.metrics import Members, Totals, read_counts, read_members
from tidegate.gateway.presence import DRAINED, Presence, renewal
from tidegate.gateway.publish import Published, Publisher
from tidegate.gateway.route_news import RouteNews
from tidegate.gateway.timer import Timer
from tidegate.log_files import forget_old, rotate

_LOG = logging.getLogger(__name__)
_RETRY_S = 0.25
_REFUSED_RETRY_S = 2.0
_ROTATE_S = 10.0
_OLD_ANSWER_S = 1.0


class RouteSource(Protocol):
    """The part of the router that a gateway needs."""

    def list_routes(self) -> list[Route]: ...

    def generation(self) -> int: ...

    def report_gateway(self, status: GatewayStatus) -> None: ...

    def record_counts(self, gateway: str, counts: Sequence[TrafficCounts]) -> None: ...

    def wanted_of_gateway(self, gateway: str) -> str | None:
        """What a person asks of this gateway; None: to serve."""
        ...

    def record_live(self, batches: Sequence[LiveBatch]) -> None: ...


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
        on_error: Callable[[str, Exception], None] = lambda part, error: None,
    ):
        self._config = config
        self._source = source
        self._equipment = Equipment(config, credentials, publisher)
        self._problems = problems
        self._on_error = on_error
        self._admin = admin
        self._envoy = envoy
        self._publisher = publisher
        self._fence = Fence(config.path("fence.json"))
        self._presence = Presence()
        self._wish: str | None = None
        self._totals = Totals(config.path("counts.json"))
        self._envoy_pid = envoy.pid
        self._observed = 0
        self._is_complete = False
        self._leaving_active: dict[str, int] = {}
        self._healthy: tuple[str, ...] = ()
        self._errors: dict[str, str] = {}
        self._credential_timer = Timer(config.keys_s)
        self._retry_timer = Timer(_RETRY_S)
        self._report_timer = Timer(config.report_s)
        self._wish_timer = Timer(config.report_s)
        self._member_timer = Timer(min(config.report_s, config.sample_s) / 2)
        self._sample_timer = Timer(config.sample_s)
        self._rotate_timer = Timer(_ROTATE_S)
        self._must_reopen = False
        self._news = RouteNews(config.name)

    @property
    def is_drained(self) -> bool:
        """Whether a person wants this gateway to serve nobody."""
        return self._wish == DRAINED

    @property
    def is_renewed(self) -> bool:
        """Whether a person wants this agent to go and leave its Envoy to a new one."""
        return self._wish == renewal(self._presence.boot)

    def catch_up(self) -> bool:
        """The newest routes into the files that Envoy starts from; False while the source does not answer.

        What cannot be used leaves the former routes there: then the next steps say why.
        """
        # One that was ended on purpose did not die.
        self._envoy_pid = self._envoy.pid
        self._wish_timer.make_due()
        self._guard("wish", self._read_wish)
        if not self.is_drained:
            self._guard("routes", self._prepare_newest)
        return not {"wish", "routes"} & self._errors.keys()

    def step(self) -> None:
        self._guard("wish", self._read_wish)
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
            self._fail(name, error.message, error)
        except Exception as error:  # noqa: BLE001
            self._fail(name, f"{type(error).__name__} in the agent's '{name}' part", error)
            _LOG.debug("gateway %s: %s failed", self._config.name, name, exc_info=True)
        else:
            if is_proof:
                self._errors.pop(name, None)

    def _fail(self, name: str, message: str, error: Exception) -> None:
        self._on_error(name, error)
        if self._errors.get(name) != message:
            _LOG.warning("gateway %s: %s: %s", self._config.name, name, message)
            self._errors[name] = message
            self._report_timer.make_due()

    def rest(self) -> None:
        """What is left to do while no Envoy runs: to say so, and to hear when it is to serve again."""
        self._guard("wish", self._read_wish)
        self._guard("stopped", self._say_stopped)

    def watch_drain(self) -> None:
        """While the last requests end, their sets are still needed: the report says so."""
        self._guard("counts", self._sample)
        self._guard("report", self._report)

    def say_stopped(self) -> None:
        """No Envoy of this gateway runs any more: nobody needs to wait for it, nor keep a set for it."""
        self._report_timer.make_due()
        self._guard("stopped", self._say_stopped)

    def _say_stopped(self) -> bool:
        if not self._report_timer.is_due():
            return False
        self._observed = 0
        self._is_complete = False
        status = self._status(healthy=(), active={})
        self._tell(status.model_copy(update={"state": "stopped", "routed_sets": (), "observed": {}}))
        return True

    def _read_wish(self) -> bool:
        if not self._wish_timer.is_due():
            return False
        self._wish = self._source.wanted_of_gateway(self._config.name)
        return True

    def _prepare_newest(self) -> bool:
        """Raises what the source raises; what is wrong with the routes themselves is left to the first step, and so
        is a source that is behind what this gateway saw: that is then the newest that there is."""
        try:
            generation = self._newest()
        except Fenced:
            self._publisher.prepare()
            return True
        wanted = self._source.list_routes()
        routes, _ = self._admitted(wanted, self._equipment.equip(wanted), generation)
        self._announce(routes)
        try:
            self._publisher.catch_up(routes, generation)
        except (InvalidInput, Permanent):
            _LOG.warning("gateway %s starts with its former routes", self._config.name, exc_info=True)
            self._publisher.prepare()
        return True

    def _newest(self) -> int:
        """The generation that is wanted now. Raises: Fenced, or what the source raises."""
        asked_at = self._presence.now()
        generation = self._source.generation()
        absent_s = self._presence.heard(asked_at)
        if absent_s is not None:
            _LOG.warning("gateway %s: hears the ledger again after %.1f s", self._config.name, absent_s)
        self._fence.check_generation(generation)
        return generation

    def _before_start(self) -> None:
        """An Envoy that died comes back with the newest routes. Without the ledger only as long as nobody can have
        gone on without this gateway: a retired set is worse than a closed port, which other gateways make up for.

        What was heard counts only when the files say it too: an Envoy may die before it is told."""
        if not (self._presence.is_fresh() and self._is_complete):
            self._prepare_newest()

    def _tend_envoy(self) -> bool:
        self._envoy.tend(self._before_start)
        if self._envoy.pid != self._envoy_pid:
            if self._envoy_pid is not None:
                _LOG.warning("gateway %s: Envoy died", self._config.name)
            self._envoy_pid = self._envoy.pid
            self._totals.restarted()
            self._report_timer.make_due()
        return self._envoy_pid is not None

    def _renew_credentials(self) -> bool:
        """A changed secret of a set that serves is taken without a new route."""
        if not self._credential_timer.is_due():
            return False
        lacking = self._equipment.equip(self._publisher.live.routes)
        if lacking:
            raise Transient(
                "; ".join(f"{ref}: {reason}" for ref, reason in sorted(lacking.items())),
                remedy="It is tried again; store what is missing where this gateway reads secrets.",
            )
        return True

    def _follow(self) -> bool:
        generation = self._newest()
        if generation > self._observed:
            self._is_complete = False
            if generation > self._fence.generation:
                self._retry_timer.make_due()
        if self._is_complete or not self._retry_timer.is_due():
            return self._is_complete
        asked_at = time.monotonic()
        wanted = self._source.list_routes()
        unequipped = self._equipment.equip(wanted)
        routes, refused = self._admitted(wanted, unequipped, generation)
        self._announce(routes)
        try:
            published = self._publisher.publish(
                routes, generation, lambda: self._check_still_wanted(generation, asked_at)
            )
        except Permanent:
            self._retry_timer.postpone(_REFUSED_RETRY_S)
            raise
        self._note(published, refused, generation)
        return True

    def _announce(self, routes: Sequence[Route]) -> None:
        """The ledger knows that this gateway may send to a set before it does: whoever goes silent afterwards keeps it.

        Raises what the source raises; then nothing is published."""
        self._presence.expect(routes)
        if not self._presence.is_told(routes):
            self._tell(self._status(healthy=self._healthy, active=self._leaving_active))

    def _check_still_wanted(self, generation: int, asked_at: float) -> None:
        """After a pause (a suspended process, a slow set) the answer of then may name what was retired since."""
        if time.monotonic() - asked_at > _OLD_ANSWER_S and self._source.generation() != generation:
            self._retry_timer.make_due()
            raise Transient(
                f"Generation {generation} is not the newest any more.",
                remedy="It is tried again with the newest.",
            )

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
            raise Transient(
                f"Generation {generation} is not wholly live: {reasons}",
                remedy="It is tried again; see: tidegate gateways list.",
            )
        self._is_complete = True
        self._observed = generation
        self._presence.done()
        self._news.tell(self._publisher.live.routes)
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
        self._tell(self._status(healthy=members.healthy, active=self._with_leaving(members.active)))
        return True

    def _with_leaving(self, active: dict[str, int]) -> dict[str, int]:
        """A former Envoy still has requests on the sets: none of them may go before those have ended."""
        leaving = self._envoy.leaving
        if leaving is None:
            self._leaving_active = {}
            return active
        try:
            self._leaving_active = read_members(leaving).active
        except Transient:
            _LOG.debug("gateway %s: the former Envoy does not say what it does", self._config.name)
        both = active.keys() | self._leaving_active.keys()
        return {name: active.get(name, 0) + self._leaving_active.get(name, 0) for name in both}

    def _status(self, *, healthy: tuple[str, ...], active: dict[str, int]) -> GatewayStatus:
        errors = {**self._errors, **self._problems()}
        live = self._publisher.live
        has_routes = self._envoy.pid is not None
        return GatewayStatus(
            gateway=self._config.name,
            observed_generation=self._observed,
            seen_at=datetime.now(UTC),
            healthy_sets=healthy,
            active_requests={name: count for name, count in active.items() if count},
            error="; ".join(f"{name}: {message}" for name, message in sorted(errors.items()) if message),
            boot=self._presence.boot,
            observed={f"{one.org}/{one.service}": one.generation for one in live.routes if has_routes},
            routed_sets=self._presence.routed_sets(live),
        )

    def _tell(self, status: GatewayStatus) -> None:
        self._source.report_gateway(status)
        self._presence.told(status.routed_sets)

    def _rotate_log(self) -> bool:
        """Rename a long access log. Envoy goes on writing to the renamed part until it is told, so nothing is lost;
        while it was not told, nothing more is renamed."""
        if not self._rotate_timer.is_due():
            return False
        log = self._config.access_log
        forget_old(log, self._config.kept_access_logs, self._config.kept_logs_s)
        forget_old(self._config.envoy_log, kept_s=self._config.kept_logs_s)
        if not self._must_reopen:
            self._must_reopen = rotate(log, self._config.max_access_log_bytes, self._config.kept_access_logs)
        if self._must_reopen:
            self._admin.post("/reopen_logs")
            self._must_reopen = False
        return True
