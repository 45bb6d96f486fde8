"""A whole installation of the drill's own in a temporary home: the embedded stack, its models, keys and clients."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from tidegate import wiring
from tidegate.access import PREFECT_AUTH, api_key_name
from tidegate.benchmark.traffic import TrafficClient
from tidegate.domain import ModelVersion, NeedsOperator, ServiceRef
from tidegate.drill.postgres import PostgresServer, why_no_postgres
from tidegate.drill.processes import Victims, end_leftovers
from tidegate.drill.relay import Relay
from tidegate.drill.scenario import Place, Subject
from tidegate.drill.source import BASE, CLOUD_SERVICE, RUNPOD_KEY, write_source
from tidegate.ledger import Ledger
from tidegate.log_files import LOG_FILE_VARIABLE, PROCESS_VARIABLE
from tidegate.platforms.runpod.emulator import MockRunPodEnvironment
from tidegate.quality import find_bank, read_bank
from tidegate.settings import LOOPBACK, SOURCE_ROOT, Settings, load_settings
from tidegate.stack.embedded import GATEWAY_NAME
from tidegate.stack.launching import running_stack, start_detached, stop_stack, wait_until_ready
from tidegate.stack.port_choice import choose_ports
from tidegate.stack.prefect_api import PrefectApi
from tidegate.stack.processes import MARK
from tidegate.stack.record import StackRecord
from tidegate.steps import register_model

READY_TIMEOUT_S = 480.0
MODEL = "pipit"
VERSIONS = ("v1", "v2", "v2-fast")
SECOND_GATEWAY = "gateway-2"
REQUESTS_PER_S = 12.0


def why_not(place: Place) -> str:
    """What this machine lacks for drills of this kind; empty when it lacks nothing."""
    if not sys.platform.startswith("linux"):
        return "drills need Linux: they stop, limit and recognise processes by its means"
    return why_no_postgres() if place is Place.NETWORK else ""


class Installation:
    """`with Installation(place, tell) as made:` starts it and leaves nothing behind."""

    def __init__(
        self,
        place: Place,
        tell: Callable[[str], None],
        ref: ServiceRef = BASE,
        deployments: Path | None = None,
    ):
        self.place = place
        self.home = Path(tempfile.mkdtemp(prefix="tidegate-drill-"))
        self.refs = {Subject.HERE: ref, Subject.CLOUD: ServiceRef(ref.org, CLOUD_SERVICE)}
        self.victims = Victims(self.home)
        self.runpod: MockRunPodEnvironment | None = None
        self.ledger_relay: Relay | None = None
        self.engine_relay: Relay | None = None
        self.versions: dict[str, ModelVersion] = {}
        self._tell = tell
        self._deployments = deployments or load_settings().deployments_dir
        self._all = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._all.close()
        end_leftovers(self.home)
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.rmtree(self.home.with_name(f"{self.home.name}-source"), ignore_errors=True)

    def record(self) -> StackRecord:
        """Raises: NeedsOperator when the supervisor has died."""
        found = running_stack(self.home)
        if found is None:
            raise NeedsOperator(
                f"The supervisor of the drill's stack in {self.home} has ended.",
                remedy="Play the drill again; the report shows the end of its log.",
            )
        return found

    def is_up(self) -> bool:
        found = running_stack(self.home)
        return found is not None and found.state == "ready"

    def envoy_pid_file(self) -> Path:
        """Of the stack's own gateway."""
        return self.settings.gateway_dir / GATEWAY_NAME / "envoy.pid"

    @contextmanager
    def second_gateway(self) -> Generator[str]:
        """One more gateway beside the stack's own, on the same ledger; its URL. It says goodbye at the end."""
        folder = self.home / SECOND_GATEWAY
        folder.mkdir(exist_ok=True)
        port = choose_ports(folder, {SECOND_GATEWAY: 8180}, LOOPBACK)[SECOND_GATEWAY]
        command = [sys.executable, "-m", "tidegate.cli", "agent", "gateway"]
        path = self.settings.logs_dir / f"{SECOND_GATEWAY}.log"
        own = {LOG_FILE_VARIABLE: str(path), PROCESS_VARIABLE: SECOND_GATEWAY}
        with path.open("ab") as log:
            process = subprocess.Popen(
                [*command, f"--name={SECOND_GATEWAY}", f"--port={port}"],
                env=self._environ | own | {MARK: str(self.home), "PYTHONPATH": str(SOURCE_ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.home,
                start_new_session=True,
            )
        try:
            yield f"http://{LOOPBACK}:{port}"
        finally:
            process.terminate()
            process.wait()
            # It was ours to take away: no release has to wait for it.
            ledger = self.ports.ledger
            assert isinstance(ledger, Ledger), "wiring opens the real one"
            ledger.forget_gateway(SECOND_GATEWAY)

    def clients(self, ref: ServiceRef, gateway_url: str = "") -> TrafficClient:
        """Short requests and streams to one service through the real gateway; not yet started."""
        url = gateway_url or self.record().urls["gateway"]
        key = self.ports.secrets.get(api_key_name(ref.org))
        if key is None:
            raise NeedsOperator(
                f"There is no client key of {ref.org}.",
                remedy="Play the drill again: its stack makes the key when it starts.",
            )
        bank = read_bank(find_bank(self.settings.banks_dir, self.ports.service(ref).policy.quality.bank))
        return TrafficClient(
            f"{url}/{ref}/v1",
            key,
            [question.prompt for question in bank.questions],
            rate_per_s=REQUESTS_PER_S,
        )

    def _start(self) -> None:
        """The order matters for the end, too: what is begun last ends first."""
        source = self.home.with_name(f"{self.home.name}-source")
        source.mkdir(mode=0o700)
        is_network = self.place is Place.NETWORK
        deployments = write_source(self._deployments, source, self.refs[Subject.HERE], with_cloud=is_network)
        environ = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TIDEGATE_", "PREFECT_"))
        }
        environ |= {"TIDEGATE_HOME": str(self.home), "TIDEGATE_DEPLOYMENTS_DIR": str(deployments)}
        direct = dict(environ)
        if is_network:
            self._start_network(environ, direct)
        self.settings: Settings = load_settings(direct)
        self._environ = environ
        self._bring_up(environ)
        self.ports = wiring.load(self.settings)
        self._register()

    def _start_network(self, environ: dict[str, str], direct: dict[str, str]) -> None:
        """The stack reaches database and engines through relays; the drill itself looks past them."""
        from tidegate.engines.llama_server import find_binary

        postgres = self._all.enter_context(PostgresServer())
        self.ledger_relay = self._all.enter_context(Relay(postgres.port))
        direct["TIDEGATE_LEDGER_URL"] = postgres.url(postgres.port)
        environ["TIDEGATE_LEDGER_URL"] = postgres.url(self.ledger_relay.port)
        worker_env = {"TIDEGATE_ENGINE_BIN_DIR": str(find_binary("llama-server").parent)}
        self.engine_relay = self._all.enter_context(Relay())
        relayed = f"http://{LOOPBACK}:{self.engine_relay.port}"
        self.runpod = self._all.enter_context(
            MockRunPodEnvironment(
                told_data_url=relayed,
                organizations=(self.refs[Subject.HERE].org,),
                worker_env=worker_env,
                timings={"image_pull_s": 0.05},
            )
        )
        self.engine_relay.target_port = int(self.runpod.data_url.rpartition(":")[2])
        environ["TIDEGATE_RUNPOD_API_URL"] = direct["TIDEGATE_RUNPOD_API_URL"] = self.runpod.api_url
        environ["TIDEGATE_RUNPOD_DATA_URL"] = direct["TIDEGATE_RUNPOD_DATA_URL"] = relayed
        environ[RUNPOD_KEY] = self.runpod.key(self.refs[Subject.HERE].org).reveal()

    def _bring_up(self, environ: dict[str, str]) -> None:
        started = time.monotonic()
        self._tell(f"starting a stack in {self.home}")
        log = self.settings.logs_dir / "supervisor.log"
        command = (sys.executable, "-m", "tidegate.cli", "agent", "supervisor")
        process = start_detached(command, environ, log)
        self._all.callback(stop_stack, self.home, lambda line: None)
        record = wait_until_ready(self.home, process, READY_TIMEOUT_S, log)
        self._tell(f"the stack is up after {time.monotonic() - started:.0f} s")
        auth = self._secret_of_prefect()
        self.api = self._all.enter_context(PrefectApi(f"{record.urls['prefect']}/api", auth))

    def _secret_of_prefect(self) -> Any:
        from tidegate.access import SecretStore

        return SecretStore(self.settings.secrets_dir, {}).get(PREFECT_AUTH)

    def _register(self) -> None:
        org = self.refs[Subject.HERE].org
        for version in VERSIONS:
            path = self.settings.deployments_dir / "demo" / "models" / f"{MODEL}-{version}.gguf"
            self.versions[version] = register_model(
                self.ports, org, MODEL, version, path, {"made_by": "tidegate drill"}
            )
