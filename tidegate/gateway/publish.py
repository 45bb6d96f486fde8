"""Brings wanted routes into a running Envoy, acknowledged file by file. Keys: `key_agent.py`.

Order: credentials, added clusters, routes, and much later removed clusters and credentials. Whatever Envoy refuses is put back,
so that the files on disk always start a working Envoy. Only one process may publish into a folder.
"""

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from tidegate.domain import Permanent, Route, Secret, ServiceRef, Transient, Upstream
from tidegate.gateway.admin import Admin
from tidegate.gateway.config import (
    AUTH,
    BOOTSTRAP,
    CLUSTERS,
    CREDENTIALS,
    DOORS,
    LISTENERS,
    ROUTES,
    GatewayConfig,
)
from tidegate.gateway.delivery import ACK_POLL_S, Delivery
from tidegate.gateway.doors import credential_file, credential_path
from tidegate.gateway.files import OWNER_ONLY_FOLDER, read_bytes, read_json, write_whole
from tidegate.gateway.listener import Json
from tidegate.gateway.metrics import Members, read_members
from tidegate.gateway.render import encode, fold, render

_VALIDATE_TIMEOUT_S = 30.0
_SETTLE_S = 3.0
_RETRY_GRACE_S = 2.0
"""A request that waits for its retry still names the clusters of the former routes."""


class Draining(BaseModel):
    """Sets of one service that lost their route and may still have streams."""

    model_config = ConfigDict(frozen=True)

    upstreams: tuple[Upstream, ...]
    since: float


class Live(BaseModel):
    """What Envoy acknowledged last; survives a restart of the agent."""

    model_config = ConfigDict(frozen=True)

    generation: int = 0
    routes: tuple[Route, ...] = ()
    draining: tuple[Draining, ...] = ()

    def route(self, ref: ServiceRef) -> Route | None:
        return next((route for route in self.routes if (route.org, route.service) == ref), None)


@dataclass(frozen=True)
class Published:
    """`generation` is live as a whole unless `held` names services that keep their former route."""

    generation: int
    held: dict[ServiceRef, str] = field(default_factory=dict[ServiceRef, str])


class Publisher:
    """The single writer of a gateway's files."""

    def __init__(
        self, config: GatewayConfig, admin: Admin, binary: Path, *, clock: Callable[[], float] = time.time
    ):
        self._config = config
        self._admin = admin
        self._binary = binary
        self._clock = clock
        self._delivery = Delivery(config, admin)
        self._state_file = config.path("live.json")
        self.live = _read_live(self._state_file)

    def catch_up(self, routes: Sequence[Route], generation: int) -> None:
        """Files for a start of Envoy with the newest routes: what was retired meanwhile is never served again.

        Raises: InvalidInput, Permanent. What was live before stays what is prepared.
        """
        self._config.root.mkdir(mode=OWNER_ONLY_FOLDER, parents=True, exist_ok=True)
        keep = [
            *(one.upstreams for one in self.live.draining),
            *(route.upstreams for route in self.live.routes),
        ]
        wanted = render(routes, (), generation, self._config, keep)
        if any(self._delivery.is_new(name, wanted[name]) for name in (CLUSTERS, DOORS, ROUTES)):
            self._validate(wanted)
        self._remember(routes, generation)
        self.prepare()

    def prepare(self) -> None:
        """Files for a start of Envoy: what was live before as this version writes it, or no routes and no keys."""
        self._config.root.mkdir(mode=OWNER_ONLY_FOLDER, parents=True, exist_ok=True)
        keep = [one.upstreams for one in self.live.draining]
        for name, content in render(self.live.routes, (), self.live.generation, self._config, keep).items():
            path = self._config.path(name)
            current = read_json(path)
            is_known = self.live.generation > 0 and name in (CLUSTERS, DOORS, ROUTES)
            is_foreign = current is None or (name == AUTH and not _is_of_one_kind(current, content))
            if name in (BOOTSTRAP, LISTENERS) or is_known or is_foreign:
                write_whole(path, encode(content))

    def publish_credentials(self, secrets: Mapping[str, Secret]) -> None:
        """Write the secrets that clusters name; Envoy takes a changed one at its next request."""
        for name, secret in secrets.items():
            content, path = encode(credential_file(name, secret)), self._config.path(credential_path(name))
            if read_bytes(path) != content:
                write_whole(path, content)

    def publish(
        self, routes: Sequence[Route], generation: int, still_wanted: Callable[[], None] = lambda: None
    ) -> Published:
        """Make these the live routes and wait until Envoy says so. Their credentials must have been published.

        A service whose traffic would move to a set that is not healthy here, while its present one is,
        keeps its former route; ask again later.

        Args:
            still_wanted: raises when something newer is wanted by now; asked just before traffic moves.

        Raises:
            InvalidInput: the values cannot be rendered. Nothing changed.
            Permanent: Envoy refused a file. The former routes are live.
            Transient: Envoy did not answer in time.
        """
        keep = [
            *(one.upstreams for one in self.live.draining),
            *(route.upstreams for route in self.live.routes),
        ]
        wanted = render(routes, (), generation, self._config, keep)
        if self._delivery.is_new(CLUSTERS, wanted[CLUSTERS]) or self._delivery.is_new(DOORS, wanted[DOORS]):
            self._validate(wanted)
        if self._delivery.push(CLUSTERS, wanted[CLUSTERS]):
            self._settle({upstream.set_name for route in routes for upstream in route.upstreams})
        self._delivery.push(DOORS, wanted[DOORS])
        held = hold_back(routes, self.live, read_members(self._admin))
        final = [
            self._former(route) if ServiceRef(route.org, route.service) in held else route for route in routes
        ]
        table = render(final, (), generation, self._config, keep)[ROUTES] if held else wanted[ROUTES]
        still_wanted()
        self._delivery.push(ROUTES, table)
        self._remember(final, self.live.generation if held else generation)
        return Published(generation=self.live.generation, held=held)

    def sweep(self, active: Callable[[], dict[str, int]]) -> list[str]:
        """Remove clusters that lost their route, once they are idle or their time is over."""
        now = self._clock()
        due = [one for one in self.live.draining if now - one.since > _RETRY_GRACE_S]
        if not due:
            return []
        busy = {name for name, count in active().items() if count}
        routed = _set_names(route.upstreams for route in self.live.routes)
        gone = [
            one
            for one in due
            if now - one.since > self._config.drain_s or not (_set_names([one.upstreams]) - routed) & busy
        ]
        if not gone:
            return []
        left = tuple(one for one in self.live.draining if one not in gone)
        files = render(
            self.live.routes, (), self.live.generation, self._config, [one.upstreams for one in left]
        )
        self._delivery.push(DOORS, files[DOORS])
        self._delivery.push(CLUSTERS, files[CLUSTERS])
        self._save(self.live.model_copy(update={"draining": left}))
        self._forget_credentials()
        return sorted(
            _set_names(one.upstreams for one in gone) - routed - _set_names(one.upstreams for one in left)
        )

    def _forget_credentials(self) -> None:
        """Nothing names them any more: their files go."""
        groups = [
            *(route.upstreams for route in self.live.routes),
            *(one.upstreams for one in self.live.draining),
        ]
        wanted = {f"{upstream.credential}.json" for group in groups for upstream in group}
        for path in self._config.path(CREDENTIALS).glob("*.json"):
            if path.name not in wanted:
                path.unlink()

    def _former(self, route: Route) -> Route:
        former = self.live.route(ServiceRef(route.org, route.service))
        return route if former is None else former

    def _remember(self, routes: Sequence[Route], generation: int) -> None:
        routed = _set_names(route.upstreams for route in routes)
        left = [one for one in self.live.draining if _set_names([one.upstreams]) - routed]
        left += [
            Draining(upstreams=former.upstreams, since=self._clock())
            for former in self.live.routes
            if _set_names([former.upstreams]) - routed
        ]
        self._save(Live(generation=generation, routes=tuple(routes), draining=tuple(left)))

    def _save(self, live: Live) -> None:
        if live != self.live:
            write_whole(self._state_file, live.model_dump_json().encode(), is_durable=False)
            self.live = live

    def _validate(self, wanted: dict[str, Json]) -> None:
        """Ask a second Envoy, offline, about everything at once."""
        with tempfile.TemporaryDirectory(dir=self._config.root) as folder:
            file = Path(folder) / "check.json"
            file.write_bytes(encode(fold(wanted)))
            command = [str(self._binary), "--mode", "validate", "-c", str(file), "--log-level", "critical"]
            try:
                checked = subprocess.run(
                    command, capture_output=True, text=True, timeout=_VALIDATE_TIMEOUT_S, check=False
                )
            except subprocess.TimeoutExpired as late:
                raise Transient(
                    "Envoy's offline check did not end in time.", remedy="It is tried again."
                ) from late
        if checked.returncode != 0:
            raise Permanent(
                f"Envoy's offline check refuses the configuration: {checked.stderr.strip()[-500:]}",
                remedy="The former configuration stays live. Correct the route or report a defect.",
            )

    def _settle(self, names: set[str]) -> None:
        """New clusters answer their first health check; a set that hangs costs a bounded wait, no more."""
        deadline = time.monotonic() + _SETTLE_S
        while names.intersection(read_members(self._admin).warming) and time.monotonic() < deadline:
            time.sleep(ACK_POLL_S)


def hold_back(routes: Sequence[Route], live: Live, members: Members) -> dict[ServiceRef, str]:
    """Services that must keep their route: a set would gain share while it is not healthy at this gateway.

    Not when nothing that serves now is healthy either: then every change can only help.
    """
    held: dict[ServiceRef, str] = {}
    for route in routes:
        ref = ServiceRef(route.org, route.service)
        former = live.route(ref)
        if former is None or not any(former.weights.get(name, 0) for name in members.healthy):
            continue
        gaining = [name for name, weight in route.weights.items() if weight > former.weights.get(name, 0)]
        sick = sorted(set(gaining) - set(members.healthy))
        if sick:
            held[ref] = f"{', '.join(sick)} would gain traffic but is not healthy at this gateway"
    return held


def _set_names(groups: Iterable[Sequence[Upstream]]) -> set[str]:
    return {upstream.set_name for group in groups for upstream in group}


def _read_live(path: Path) -> Live:
    """An unreadable file only costs the memory of what drains: the source is asked again anyway."""
    try:
        return Live.model_validate(read_json(path) or {})
    except ValidationError:
        return Live()


def _is_of_one_kind(current: Json, wanted: Json) -> bool:
    """An earlier version kept clear keys for another filter: that file is not taken over."""
    kinds = [
        [(one.get("name"), one.get("typed_config", {}).get("@type")) for one in file.get("resources", [])]
        for file in (current, wanted)
    ]
    return kinds[0] == kinds[1]
