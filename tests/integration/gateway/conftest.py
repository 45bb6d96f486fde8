"""One real Envoy with its agent for the whole session; tests are kept apart by organization."""

import asyncio
import itertools
import json
import re
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import httpx
import pytest

from tests.integration.gateway.fake_sets import DEADLINE_S, FakeSet, start_fake_set
from tests.integration.gateway.sources import MemoryRoutes
from tidegate.domain import GatewayStatus, Route, Secret
from tidegate.gateway import PROBE_CLIENT, ClientKey, GatewayConfig, find_envoy, serve
from tidegate.gateway.admin import Admin
from tidegate.gateway.config import AUTH
from tidegate.gateway.delivery import Delivery
from tidegate.gateway.envoy import Envoy
from tidegate.gateway.metrics import read_members
from tidegate.gateway.publish import Publisher
from tidegate.gateway.render import render_keys
from tidegate.stack.port_choice import choose_ports

PROBE_KEY = "probe-key-of-the-tests"
T = TypeVar("T")


def eventually(
    look: Callable[[], T], holds: Callable[[T], bool], what: str, deadline_s: float = DEADLINE_S
) -> T:
    """Wait for a condition; on failure tell what was seen last."""
    end = time.monotonic() + deadline_s
    while True:
        seen = look()
        if holds(seen):
            return seen
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not happen within {deadline_s} s; last seen: {seen!r}")
        time.sleep(0.01)


def texts_below(root: Path) -> dict[Path, str]:
    """Every file of a gateway, read again when the agent renamed one meanwhile."""

    def look() -> dict[Path, str] | None:
        try:
            return {path: path.read_text() for path in root.rglob("*") if path.is_file()}
        except FileNotFoundError:
            return None

    return eventually(look, lambda texts: texts is not None, "a quiet folder") or {}


@dataclass
class Tally:
    """What clients saw."""

    sets: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    failed_starts: list[float] = field(default_factory=list)
    """When each failed request was begun, by the monotonic clock."""

    def fail(self, began: float, why: str) -> None:
        self.failed_starts.append(began)
        self.failures.append(why)

    @property
    def answered(self) -> int:
        return sum(self.sets.values())


@dataclass
class Service:
    """One service of one organization at the gateway, as a client and as a release see it."""

    gateway: "RunningGateway"
    org: str
    key: str

    @property
    def url(self) -> str:
        return f"{self.gateway.url}/{self.org}/chat/v1/chat/completions"

    @property
    def auth(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}

    def route(
        self, weights: dict[FakeSet, int] | dict[str, int], sets: Sequence[FakeSet] = (), **more: Any
    ) -> Route:
        by_name = {one.name if isinstance(one, FakeSet) else one: weight for one, weight in weights.items()}
        upstreams = [one for one in weights if isinstance(one, FakeSet)] or list(sets)
        return Route(
            org=self.org,
            service="chat",
            upstreams=tuple(one.upstream for one in upstreams),
            weights=by_name,
            newest=next(reversed(by_name), None),
            **more,
        )

    def want(self, weights: dict[FakeSet, int], *, epoch: int = 1, **more: Any) -> int:
        """Ask for weights, the newest set last, without waiting."""
        return self.gateway.source.put(self.route(weights, **more), epoch=epoch)

    def switch(self, weights: dict[FakeSet, int], *, epoch: int = 1, **more: Any) -> int:
        """Ask for weights and wait until the gateway confirmed them, and can reach all that have some.

        A first route is published whether or not its sets answer: there is nothing better. On a busy machine one
        may miss its first check, and the next request would get 503.
        """
        generation = self.want(weights, epoch=epoch, **more)
        self.gateway.await_generation(generation)
        for one, weight in weights.items():
            if weight > 0:
                self.await_healthy(one.name)
        return generation

    def await_healthy(self, name: str) -> None:
        """A set without traffic is not waited for when weights change."""
        eventually(
            lambda: self.gateway.source.status,
            lambda seen: seen is not None and name in seen.healthy_sets,
            f"{name} is healthy",
        )

    def ask(self, body: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.gateway.client.post(self.url, json=body or {}, headers={**self.auth, **named})

    def load(
        self,
        requests: int,
        *,
        workers: int = 8,
        stream_every: int = 0,
        until: threading.Event | None = None,
        into: Tally | None = None,
    ) -> Tally:
        """At least `requests` requests, and on until the event is set; every n-th one is a stream."""
        return asyncio.run(self._load(requests, workers, stream_every, until, into or Tally()))

    async def _load(
        self, requests: int, workers: int, stream_every: int, until: threading.Event | None, tally: Tally
    ) -> Tally:
        numbers = itertools.count()

        async def work(session: aiohttp.ClientSession) -> None:
            for number in numbers:
                if number >= requests and (until is None or until.is_set()):
                    return
                await self._one(session, tally, is_stream=stream_every > 0 and number % stream_every == 0)

        async with aiohttp.ClientSession(headers=self.auth) as session:
            await asyncio.gather(*(work(session) for _ in range(workers)))
        return tally

    async def _one(self, session: aiohttp.ClientSession, tally: Tally, *, is_stream: bool) -> None:
        began = time.monotonic()
        try:
            async with session.post(self.url, json={"stream": is_stream}) as reply:
                text = await reply.text()
        except aiohttp.ClientError as error:
            tally.fail(began, repr(error))
            return
        if reply.status != 200 or (is_stream and not text.endswith("data: [DONE]\n\n")):
            tally.fail(began, f"{reply.status} {text[:200]}")
        else:
            tally.sets[reply.headers["x-tidegate-set"]] += 1


@dataclass
class RunningGateway:
    """An Envoy with its agent in a thread."""

    config: GatewayConfig
    source: MemoryRoutes
    keys: list[ClientKey]
    client: httpx.Client
    stop: threading.Event = field(default_factory=threading.Event)
    errors: list[BaseException] = field(default_factory=list)
    thread: threading.Thread | None = None
    secrets: dict[tuple[str, str], Secret] = field(default_factory=dict)
    """Credentials by organization and name."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.config.port}"

    @property
    def envoy_pid(self) -> int:
        return int(re.findall(r'"pid": (\d+)', self.config.path("envoy.pid").read_text())[0])

    def start(self) -> None:
        self.thread = threading.Thread(target=self._run, name=self.config.name)
        self.thread.start()
        eventually(
            lambda: (self.source.status, self.errors), lambda seen: bool(seen[0] or seen[1]), "a first report"
        )
        assert not self.errors

    def end(self) -> None:
        self.stop.set()
        if self.thread is not None:
            self.thread.join(2 * DEADLINE_S)
            assert not self.thread.is_alive()
        assert not self.errors

    def _run(self) -> None:
        try:
            serve(
                self.config,
                self.source,
                lambda: list(self.keys),
                self.stop,
                lambda org, name: self.secrets.get((org, name)),
            )
        except BaseException as error:  # noqa: BLE001 - told by the test that waits
            self.errors.append(error)

    def await_generation(self, generation: int) -> GatewayStatus:
        status = eventually(
            lambda: self.source.status,
            lambda seen: seen is not None and seen.observed_generation >= generation,
            f"generation {generation}",
        )
        assert status is not None
        return status

    def service(self, org: str) -> Service:
        """A service of an organization that nobody else uses, with a key that the gateway already knows."""
        key = f"key-of-{org}"
        made = ClientKey.of(org, "app", Secret(key))
        self.keys.append(made)
        auth = self.config.path(AUTH)
        eventually(auth.read_text, lambda text: made.digest in text, f"the key of {org}")
        wanted = json.loads(auth.read_text())["version_info"]
        # The file is written before Envoy takes it; a busy machine lets a request through between the two.
        with Admin(self.config.admin_socket) as admin:
            eventually(
                lambda: admin.version(AUTH), lambda seen: seen == wanted, f"Envoy takes the key of {org}"
            )
        return Service(self, org, key)


FIRST_PORT = 31_100
_given: list[int] = [FIRST_PORT - 1]


def claimed_port(home: Path) -> int:
    """Nobody else takes it before Envoy does: between the ports of local sets and those of outgoing connections.

    Each is higher than the former: a port that this process chose and does not use yet would be chosen again.
    """
    _given.append(choose_ports(home, {"gateway": _given[-1] + 1}, "127.0.0.1")["gateway"])
    return _given[-1]


def make_config(root: Path, sockets: Path, name: str, **changes: Any) -> GatewayConfig:
    config = GatewayConfig(
        name=name,
        root=root / name,
        port=claimed_port(root),
        admin_socket=sockets / f"{name}.sock",
        drain_s=120,
        shutdown_s=60,
        start_timeout_s=DEADLINE_S,
        acknowledge_s=DEADLINE_S,
        report_s=0.2,
        sample_s=0.2,
        keys_s=0.1,
    )
    return replace(config, **changes)


@pytest.fixture(scope="session")
def sockets() -> Generator[Path]:
    """A folder with a short path: socket names are limited to about 100 bytes."""
    with tempfile.TemporaryDirectory(prefix="tg-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def client() -> Generator[httpx.Client]:
    """Plain HTTP for all tests; making one for each request would load certificates each time."""
    with httpx.Client(verify=False, timeout=DEADLINE_S) as made:
        yield made


@pytest.fixture(scope="session")
def start_gateway(
    tmp_path_factory: pytest.TempPathFactory, sockets: Path, client: httpx.Client
) -> Generator[Callable[..., RunningGateway]]:
    started: list[RunningGateway] = []

    def start(name: str, **changes: Any) -> RunningGateway:
        config = make_config(tmp_path_factory.mktemp("gateway"), sockets, name, **changes)
        probe = ClientKey.of(PROBE_CLIENT, PROBE_CLIENT, Secret(PROBE_KEY))
        started.append(RunningGateway(config, MemoryRoutes(), [probe], client))
        started[-1].start()
        return started[-1]

    yield start
    for one in started:
        one.end()


@pytest.fixture(scope="session")
def gateway(start_gateway: Callable[..., RunningGateway]) -> RunningGateway:
    return start_gateway("shared")


@pytest.fixture(scope="session")
def old_and_new() -> Generator[tuple[FakeSet, FakeSet]]:
    """Two healthy sets that tests share and never harm."""
    pair = (start_fake_set("set-old"), start_fake_set("set-new"))
    yield pair
    for one in pair:
        one.end()


_orgs = itertools.count(1)


@pytest.fixture
def service(gateway: RunningGateway) -> Generator[Service]:
    made = gateway.service(f"org-{next(_orgs)}")
    yield made
    gateway.await_generation(gateway.source.remove(made.org))


@pytest.fixture
def pool() -> Generator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


@pytest.fixture
def over(pool: ThreadPoolExecutor) -> Generator[threading.Event]:
    """Ends clients in the pool that ask until it is set: a test that fails before must not wait for them for ever."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def tally() -> Tally:
    """Counts that a test watches while clients still ask."""
    return Tally()


@pytest.fixture
def fresh_set() -> Generator[Callable[..., FakeSet]]:
    """Makes sets that a test may harm."""
    made: list[FakeSet] = []

    def make(name: str, port: int = 0, **options: Any) -> FakeSet:
        made.append(start_fake_set(name, port, **options))
        return made[-1]

    yield make
    for one in made:
        one.end()


@dataclass
class BareGateway:
    """Publisher and Envoy without the agent's loop."""

    config: GatewayConfig
    admin: Admin
    publisher: Publisher
    envoy: Envoy

    def publish_keys(self, keys: Sequence[ClientKey]) -> None:
        Delivery(self.config, self.admin).push(AUTH, render_keys(keys))

    def publish(self, route: Route) -> None:
        """The first routes; then wait for the sets that have traffic, which a first route is not held back for."""
        self.publisher.publish([route], 1)
        wanted = {name for name, weight in route.weights.items() if weight > 0}
        eventually(lambda: read_members(self.admin).healthy, wanted.issubset, f"{wanted} are healthy")


@pytest.fixture
def bare(tmp_path: Path, sockets: Path) -> Generator[BareGateway]:
    config = make_config(tmp_path, sockets, "bare")
    with Admin(config.admin_socket) as admin:
        publisher = Publisher(config, admin, find_envoy())
        publisher.prepare()
        envoy = Envoy(config, admin, find_envoy())
        envoy.start()
        yield BareGateway(config, admin, publisher, envoy)
        envoy.stop()


@pytest.fixture(name="texts_below", scope="session")
def texts_below_fixture() -> Callable[[Path], dict[Path, str]]:
    return texts_below


@pytest.fixture(name="claimed_port", scope="session")
def claimed_port_fixture() -> Callable[[Path], int]:
    return claimed_port


@pytest.fixture(name="eventually", scope="session")
def eventually_fixture() -> Callable[..., Any]:
    return eventually
