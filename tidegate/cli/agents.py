"""`tidegate agent ...`: the processes of the embedded stack. Started by the supervisor, hidden from people."""

import os
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated, Any

import typer

from tidegate.cli.output import TRACEBACK_KEY

app = typer.Typer(help="Processes of the embedded stack; started by 'tidegate up'.", no_args_is_help=True)


@app.callback()
def agent(context: typer.Context) -> None:
    """Their output is their log: what goes wrong is told there in full."""
    context.meta[TRACEBACK_KEY] = True


class _Announced(threading.Event):
    """Says that the agent runs when its loop first asks whether to stop: then everything before has worked. Each time
    that the loop of the main thread asks is a beat: a loop that asks no more stands still."""

    def __init__(self, announce: Callable[[], None], beat: Callable[[], None]):
        super().__init__()
        self._waiting: list[Callable[[], None]] = [announce]
        self._beat = beat

    def is_set(self) -> bool:
        self._announce()
        return super().is_set()

    def wait(self, timeout: float | None = None) -> bool:
        self._announce()
        return super().wait(timeout)

    def _announce(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._beat()
        while self._waiting:
            self._waiting.pop()()


def _no_beat() -> None:
    """Of a process that has no loop to watch."""


def stop_event(beat: Callable[[], None] = _no_beat) -> threading.Event:
    """Set by SIGTERM and SIGINT. The first also becomes the log's last line."""
    from tidegate.stack.embedded import RUNNING_LINE

    return _set_by_signals(_Announced(lambda: say(RUNNING_LINE), beat))


def stop_quietly() -> threading.Event:
    """The same for a command that speaks to a person itself."""
    return _set_by_signals(threading.Event())


def _set_by_signals(stop: threading.Event) -> threading.Event:
    def on_signal(number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    return stop


@contextmanager
def stopping_loop(settings: Any, process: str, *more: Any) -> Generator[threading.Event]:
    """The event that ends the loop, while the process tells of its health on its socket."""
    from tidegate.observability.health.endpoint import Pulse
    from tidegate.watching.process import PULSE_LIMIT_S, ready

    pulse = Pulse(PULSE_LIMIT_S)
    with ready(settings, process, pulse, more):
        yield stop_event(pulse.beat)


def log_to_stdout(process: str = "agent") -> None:
    """Everything that this process says from now on is a JSON line, spans included where somebody collects them."""
    from tidegate.log_files import PROCESS_VARIABLE
    from tidegate.observability.log_output import export_spans_when_asked, log_as_json

    name = os.environ.get(PROCESS_VARIABLE, process)
    log_as_json(name, os.environ)
    export_spans_when_asked(name, os.environ)


def say(line: str) -> None:
    """A line that must be in the log whatever level is asked for: others wait for it."""
    from tidegate.observability.log_output import say_always

    say_always(line)


@app.command()
def gateway(
    name: Annotated[str, typer.Option(help="Name of this gateway.")] = "gateway-1",
    port: Annotated[int, typer.Option(help="Where clients connect.")] = 8080,
) -> None:
    """The agent beside one Envoy."""
    from tidegate import wiring
    from tidegate.observability.health.endpoint import Condition
    from tidegate.settings import load_settings
    from tidegate.watching.process import gateway_condition

    log_to_stdout(name)
    settings = load_settings()
    reports = Condition("gateway", gateway_condition(settings.ledger_url, name))
    with stopping_loop(settings, name, reports) as stop:
        wiring.run_gateway_agent(settings, stop, name=name, port=port)


@app.command()
def platform() -> None:
    """The agent that keeps local sets running."""
    from tidegate import wiring
    from tidegate.settings import load_settings

    log_to_stdout("platform")
    settings = load_settings()
    with stopping_loop(settings, "platform") as stop:
        wiring.run_platform_agent(settings, stop)


@app.command()
def console(
    port: Annotated[int, typer.Option(help="Where it answers.")] = 8090,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
) -> None:
    """The HTTP API."""
    from tidegate import wiring
    from tidegate.cli.connect import prefect_api
    from tidegate.cli.following import start_run
    from tidegate.console import ALERT_TOKEN, API_TOKEN, Console, serve
    from tidegate.console.operations import Desk
    from tidegate.domain import Release
    from tidegate.domain.audit import Interface

    log_to_stdout("console")
    ports = wiring.load(interface=Interface.API)
    for name in (API_TOKEN, ALERT_TOKEN):
        ports.secrets.ensure(name)

    def start(release: Release) -> str:
        with prefect_api(ports.settings) as api:
            return start_run(api, release).url

    serve(Console(Desk(ports, start), ports.secrets.get), host, port, stop_event())
    ports.note_error.flush()


@app.command()
def notifier() -> None:
    """Tells people what happened."""
    from tidegate.notifying import run_notifier
    from tidegate.settings import load_settings

    log_to_stdout("notifier")
    settings = load_settings()
    with stopping_loop(settings, "notifier") as stop:
        run_notifier(settings, stop)


@app.command()
def health() -> None:
    """Makes the health checks at their times; what they see is kept in the ledger."""
    from tidegate.cli.health import run_checks

    log_to_stdout("health")
    run_checks()


@app.command()
def bootstrap() -> None:
    """Work pools and deployments of the embedded Prefect server."""
    from tidegate.access import PREFECT_AUTH, SecretStore
    from tidegate.settings import SOURCE_ROOT, load_settings
    from tidegate.stack.bootstrap import bootstrap as bring_up_to_date
    from tidegate.stack.prefect_api import PrefectApi

    log_to_stdout()
    settings = load_settings()
    auth = SecretStore(settings.secrets_dir, os.environ).get(PREFECT_AUTH)
    with PrefectApi(os.environ["PREFECT_API_URL"], auth) as api:
        bring_up_to_date(
            api,
            pools_dir=settings.deployments_dir / "pools",
            source_root=SOURCE_ROOT,
            organizations_dir=settings.organizations_dir,
            stamp_dir=settings.prefect_home,
            environ=os.environ,
            report=say,
        )


@app.command("stop-sets")
def stop_sets() -> None:
    """Suspend the sets of the local platform; they run again after the next 'tidegate up'."""
    log_to_stdout()
    say(f"suspended the sets of: {', '.join(suspend_sets())}")


def suspend_sets() -> list[str]:
    """Suspend the sets of every platform of this machine; names those platforms."""
    from tidegate import wiring
    from tidegate.platforms.local import LocalPlatform

    local = {name: one for name, one in wiring.load().platforms.items() if isinstance(one, LocalPlatform)}
    for platform in local.values():
        platform.stop_all()
    return list(local)


@app.command()
def supervisor() -> None:
    """The supervisor of this home, in the foreground."""
    supervise()


def supervise() -> None:
    """Hold the home's lock, choose ports, make the secrets, and keep the stack until told to stop."""
    from tidegate.access import PREFECT_AUTH, SecretStore
    from tidegate.settings import LOOPBACK, load_settings
    from tidegate.stack.embedded import embedded_stack, preferred_ports
    from tidegate.stack.launching import living_processes
    from tidegate.stack.port_choice import choose_ports
    from tidegate.stack.supervisor import Supervisor, only_one

    log_to_stdout()
    settings = load_settings()
    with only_one(settings.home):
        settings.prefect_home.mkdir(mode=0o700, parents=True, exist_ok=True)
        auth = SecretStore(settings.secrets_dir, os.environ).ensure(PREFECT_AUTH)
        held = [process.name for process in living_processes(settings.home)]
        ports = choose_ports(settings.home, preferred_ports(settings.gateways), LOOPBACK, held)
        Supervisor(embedded_stack(settings, os.environ, ports, auth), say).run()
