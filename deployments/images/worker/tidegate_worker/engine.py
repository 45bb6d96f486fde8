"""The `llama-server` of a worker: its command line, its process, and the few questions put to it.

It stays in the worker's process group, so that whoever kills the group leaves no engine behind.
"""

import http.client
import json
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from tidegate_worker.configuration import Configuration
from tidegate_worker.json_log import JsonLog
from tidegate_worker.problems import CONFIGURATION, ENGINE_FAILED, Stopped, WorkerProblem

BINARY = "llama-server"
TAIL_LINES = 40
POLL_S = 0.05
TERMINATE_GRACE_S = 10.0
VERSION_TIMEOUT_S = 30.0
# Each waiting request holds one of the engine's HTTP threads; health must still find one.
SPARE_HTTP_THREADS = 64
TCP_ESTABLISHED = "01"
# The account's key lies in a worker's environment: only what an engine needs goes on.
PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "HOME", "TMPDIR", "RUNPOD_POD_ID")
"""The id is public. By it whoever made the worker finds an engine that outlived it."""
PASSED_ON_PREFIXES = ("CUDA_", "NVIDIA_", "GGML_")


def find_engine(bin_dir: str | None) -> Path:
    """Raises: WorkerProblem when it is neither in `bin_dir`, nor beside Python, nor on PATH."""
    places = (
        [bin_dir]
        if bin_dir
        else [str(Path(sys.executable).parent), str(Path(sysconfig.get_path("platlib")) / "bin"), None]
    )
    for place in places:
        found = shutil.which(BINARY, path=place)
        if found:
            return Path(found).absolute()
    raise WorkerProblem(
        f"{BINARY} was not found" + (f" in {bin_dir}." if bin_dir else " beside Python or on PATH."),
        remedy="Name the folder that holds it.",
        exit_code=CONFIGURATION,
        field="TIDEGATE_ENGINE_BIN_DIR",
    )


def engine_version(binary: Path, environment: Mapping[str, str]) -> str | None:
    """What the binary says of itself, such as '0.5.0-dev (build 1, commit 0c1e570)'."""
    try:
        said = subprocess.run(
            [str(binary), "--version"],
            capture_output=True,
            text=True,
            timeout=VERSION_TIMEOUT_S,
            env=dict(environment),
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    for line in (said.stdout + said.stderr).splitlines():
        if line.startswith("version:"):
            return line.removeprefix("version:").strip()
    return None


def engine_environment(environment: Mapping[str, str], key: str | None = None) -> dict[str, str]:
    """`key` is asked of every caller. It goes by the environment, because a command line can be read by others."""
    kept = {
        name: value
        for name, value in environment.items()
        if name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES)
    }
    # A crashing engine would start a debugger on itself and hang for seconds before it is gone.
    return {
        "LANG": "C.UTF-8",
        **kept,
        "GGML_NO_BACKTRACE": "1",
        **({"LLAMA_API_KEY": key} if key else {}),
    }


def engine_command(binary: Path, model: Path, wanted: Configuration, host: str, port: int) -> list[str]:
    """Serves the model under its digest, with the same bounds as the local platform's sets."""
    return [
        str(binary),
        *("--host", host, "--port", str(port)),
        *("--model", str(model), "--alias", wanted.digest),
        *("--ctx-size", str(wanted.context_tokens * wanted.parallel), "--parallel", str(wanted.parallel)),
        # Each sequence owns its share of the context: one long request must not starve the others.
        "--no-kv-unified",
        *("--threads", str(wanted.threads), "--threads-batch", str(wanted.threads)),
        *("--threads-http", str(wanted.parallel + SPARE_HTTP_THREADS)),
        *("--n-gpu-layers", str(wanted.gpu_layers)),
        # The default keeps up to 8 GiB of old prompts in RAM, past any limit of the set.
        *("--cache-ram", "0"),
        # Never shrink the context silently to fit memory: the set would differ from its spec.
        *("--fit", "off"),
        *("--jinja", "--metrics"),
        # /slots shows the prompts of every user to whoever may call the set.
        *("--no-slots", "--no-webui", "--offline"),
        *("--cors-origins", "localhost"),
        # Warnings: one request writes ten lines at the default, and this worker reads them all.
        *("--log-colors", "off", "--verbosity", "2"),
    ]


def open_connections(port: int, table: Path = Path("/proc/net/tcp")) -> list[int]:
    """For each client connected to a local port, the bytes that it has not taken yet. Linux; elsewhere empty."""
    try:
        rows = [line.split() for line in table.read_text().splitlines()[1:]]
    except OSError:
        return []
    local = f":{port:04X}"
    return [
        int(row[4].partition(":")[0], 16)
        for row in rows
        if len(row) > 4 and row[1].endswith(local) and row[3] == TCP_ESTABLISHED
    ]


class Engine:
    """One process, started once. `on_end` is called with its exit status however it ends."""

    def __init__(
        self, command: list[str], environment: Mapping[str, str], host: str, port: int, log: JsonLog
    ):
        self.port = port
        key = environment.get("LLAMA_API_KEY")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._command = command
        self._environment = dict(environment)
        # An address that listens everywhere is none to call.
        self._host = "127.0.0.1" if host == "0.0.0.0" else host
        self._log = log
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._process: subprocess.Popen[str] | None = None
        self._may_start = True
        self._lock = threading.Lock()

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def last_lines(self) -> list[str]:
        """Evidence of why it failed."""
        return list(self._tail)

    def start(self, on_end: Callable[[int], None]) -> None:
        """Raises: Stopped when `stop` came first."""
        with self._lock:
            if not self._may_start:
                raise Stopped
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
        threading.Thread(target=self._watch, args=(self._process, on_end), name="engine", daemon=True).start()

    def wait_until_serving(self, digest: str, deadline_s: float, stopping: threading.Event) -> None:
        """Until it answers, and answers under the digest.

        Raises:
            WorkerProblem: when it ends, takes too long, or names another model.
            Stopped: as soon as `stopping` is set.
        """
        deadline = time.monotonic() + deadline_s
        while not self.is_healthy():
            if stopping.wait(POLL_S):
                raise Stopped
            if not self.is_running:
                raise self._failure("The engine ended while it loaded the model.")
            if time.monotonic() > deadline:
                raise self._failure(f"The engine did not load the model within {deadline_s:.0f} s.")
        served = self._served_model()
        if served != digest:
            raise self._failure(f"The engine serves '{served}' instead of the digest it was told.")

    def is_healthy(self, timeout_s: float = 5.0) -> bool:
        return self.is_running and self._ask("/health", timeout_s)[0] == http.client.OK

    def requests_in_flight(self) -> int | None:
        """Requests that it works on, holds back, or is still sending replies of; None when it does not say."""
        status, page = self._ask("/metrics", 5.0)
        if status != http.client.OK:
            return None
        counts = dict(line.split()[:2] for line in page.splitlines() if line.startswith("llamacpp:requests_"))
        try:
            working = sum(
                int(float(counts[f"llamacpp:requests_{kind}"])) for kind in ("processing", "deferred")
            )
        except (KeyError, ValueError):
            return None
        # The engine counts a request as done when its last token exists; a slow reader waits for it longer.
        return working + sum(unsent > 0 for unsent in open_connections(self.port))

    def connections(self) -> int:
        """Clients that are connected, idle or not."""
        return len(open_connections(self.port))

    def memory_bytes(self) -> int | None:
        """Resident memory of the engine, on Linux."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return None
        sizes = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")]
        return int(sizes[0]) * 1024 if sizes else None

    def stop(self, grace_s: float = TERMINATE_GRACE_S) -> None:
        """Ask it to end, then make it. It never starts again."""
        with self._lock:
            self._may_start = False
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _watch(self, process: "subprocess.Popen[str]", on_end: Callable[[int], None]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                text = line.rstrip("\n")
                self._tail.append(text)
                self._log.info("engine_said", line=text)
        on_end(process.wait())

    def _served_model(self) -> str | None:
        status, page = self._ask("/v1/models", 10.0)
        try:
            return str(json.loads(page)["data"][0]["id"]) if status == http.client.OK else None
        except (ValueError, KeyError, IndexError, TypeError):
            return None

    def _ask(self, path: str, timeout_s: float) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self._host, self.port, timeout=timeout_s)
        try:
            connection.request("GET", path, headers=self._headers)
            reply = connection.getresponse()
            return reply.status, reply.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()

    def _failure(self, message: str) -> WorkerProblem:
        return WorkerProblem(
            message,
            remedy="Read the engine's last lines in this log; often the model needs more memory than there is.",
            exit_code=ENGINE_FAILED,
        )
