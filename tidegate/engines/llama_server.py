"""`llama-server` of llama.cpp: find it, build its command line, ask it over HTTP.

Never starts a process itself: that is the platform's work.
"""

import json
import shutil
import ssl
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import httpx

from tidegate.domain import InvalidInput, NotFound, Refused, SetSpec, Transient

BINARY = "llama-server"
CONNECT_TIMEOUT_S = 0.5
MAX_ERROR_CHARS = 300
METRIC_PREFIX = "llamacpp:"
# Of the C++ library, of ggml's buffers (processor, CUDA, Vulkan), and of the system. A thread that could not be made
# (`Resource temporarily unavailable`) may be for want of many things.
OUT_OF_MEMORY = (
    "std::bad_alloc", "failed to allocate", "unable to allocate", "cannot allocate memory", "out of memory",
)  # fmt: skip
UNAUTHORIZED, FORBIDDEN, TOO_MANY_REQUESTS = 401, 403, 429


@dataclass(frozen=True)
class EngineReport:
    """What an engine says of itself: whether it serves, and the alias (our digest) that it serves under."""

    is_ready: bool
    alias: str | None = None
    message: str = ""


def find_binary(name: str, bin_dir: str | None = None) -> Path:
    """Path of an engine binary: in `bin_dir` when given, else beside Python, in the installed wheel, on PATH.

    Raises:
        NotFound: when it is nowhere.
    """
    if bin_dir is not None:
        folders = [Path(bin_dir).expanduser()]
    else:
        # The wheel of llama-cpp-python puts its binaries in site-packages/bin, not in the environment's bin.
        folders = [Path(sys.executable).parent, Path(sysconfig.get_path("platlib")) / "bin"]
    for folder in folders:
        found = shutil.which(name, path=str(folder))
        if found:
            return Path(found).absolute()
    on_path = shutil.which(name) if bin_dir is None else None
    if on_path:
        return Path(on_path).absolute()
    raise NotFound(
        f"The engine binary '{name}' was not found in {', '.join(map(str, folders))}"
        + (" or on PATH." if bin_dir is None else "."),
        remedy="Install the engine with `make engine`, or set TIDEGATE_ENGINE_BIN_DIR to the folder that holds it.",
        binary=name,
    )


def server_command(binary: Path, spec: SetSpec, host: str, port: int) -> list[str]:
    """Command line that serves the artifact of `spec` under its digest as the model's name."""
    return [
        str(binary),
        *("--host", host, "--port", str(port)),
        *("--model", spec.artifact_path, "--alias", spec.digest),
        *("--ctx-size", str(spec.context_tokens * spec.parallel), "--parallel", str(spec.parallel)),
        # Each sequence owns its share of the context: one long request must not starve the others.
        "--no-kv-unified",
        *("--threads", str(spec.threads), "--threads-batch", str(spec.threads)),
        # The default keeps up to 8 GiB of old prompts in RAM, past any limit of the set.
        *("--cache-ram", "0"),
        # Never shrink the context silently to fit memory: the set would differ from its spec.
        *("--fit", "off"),
        *("--jinja", "--metrics"),
        # /slots shows the prompts of every user to whoever may call the set.
        *("--no-slots", "--no-webui", "--offline"),
        # Its default lets every web page that a user of this machine opens call the set.
        *("--cors-origins", "localhost"),
        *("--log-colors", "off", "--log-timestamps"),
    ]


class LlamaServer:
    """One kind of engine: its command line, environment and HTTP interface. Holds no state of any set."""

    def __init__(
        self,
        bin_dir: str | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        transport: httpx.BaseTransport | None = None,
    ):
        """`environment` adds variables that a build needs, such as LD_LIBRARY_PATH or CUDA_VISIBLE_DEVICES."""
        self._bin_dir = bin_dir
        self._extra_environment = dict(environment or {})
        # No kept connections: one to a dead engine would fail the next question put to its successor.
        # An empty TLS context: loading the usual certificates takes longer than many probes.
        self._http = httpx.Client(
            trust_env=False,
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            limits=httpx.Limits(max_keepalive_connections=0),
            transport=transport,
        )

    def command(self, spec: SetSpec, host: str, port: int) -> list[str]:
        """Raises: NotFound when the engine is not installed."""
        return server_command(find_binary(BINARY, self._bin_dir), spec, host, port)

    def environment(self, home: Path) -> dict[str, str]:
        """The whole environment of the engine: nothing is inherited, so no secret and no LLAMA_ARG_* slips in."""
        plain = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            # A crashing engine would start a debugger on itself and hang for seconds before it is gone.
            "GGML_NO_BACKTRACE": "1",
        }
        return plain | self._extra_environment

    def probe(self, host: str, port: int, timeout_s: float = 1.0) -> EngineReport:
        """Ask for health and identity. Never raises: an engine that cannot answer is not ready."""
        try:
            health = self._get(host, port, "/health", timeout_s)
            if not health.is_success:
                return EngineReport(is_ready=False, message=_error_text(health))
            alias = _first_model(self._get(host, port, "/v1/models", timeout_s))
        except httpx.HTTPError as problem:
            return EngineReport(is_ready=False, message=f"{type(problem).__name__}: {problem}")
        if alias is None:
            return EngineReport(is_ready=False, message="The engine does not say which model it serves.")
        return EngineReport(is_ready=True, alias=alias)

    def died_of_memory(self, last_words: str) -> bool:
        """Whether the last lines of its log say that it wanted memory that it did not get."""
        said = last_words.lower()
        return any(words in said for words in OUT_OF_MEMORY)

    def metrics(self, host: str, port: int, timeout_s: float = 2.0) -> dict[str, float]:
        """Counters and gauges without llama.cpp's prefix; empty when the engine does not answer.

        The engine averages its `*_seconds` gauges between two scrapes, so several readers blur each other;
        counters (`*_total`) are exact for all.
        """
        try:
            reply = self._get(host, port, "/metrics", timeout_s)
        except httpx.HTTPError:
            return {}
        return parse_metrics(reply.text) if reply.is_success else {}

    def post(
        self, host: str, port: int, path: str, body: Mapping[str, object], timeout_s: float
    ) -> dict[str, object]:
        """One JSON request to the engine.

        Raises:
            Transient: when it does not answer in time, or answers that it cannot now.
            InvalidInput: when it calls the request wrong (4xx).
        """
        timeout = httpx.Timeout(timeout_s, connect=min(timeout_s, CONNECT_TIMEOUT_S))
        try:
            reply = self._http.post(_url(host, port, path), json=dict(body), timeout=timeout)
        except httpx.HTTPError as problem:
            raise Transient(
                f"The engine on port {port} did not answer {path} within {timeout_s} s ({type(problem).__name__}).",
                remedy="Ask again; when it stays so, look at the log of the set.",
                path=path,
                port=port,
            ) from problem
        if reply.is_success:
            return _json_object(reply, path)
        raise _refusal(reply, path)

    def _get(self, host: str, port: int, path: str, timeout_s: float) -> httpx.Response:
        timeout = httpx.Timeout(timeout_s, connect=min(timeout_s, CONNECT_TIMEOUT_S))
        return self._http.get(_url(host, port, path), timeout=timeout)


def parse_metrics(text: str) -> dict[str, float]:
    """Samples of a Prometheus text page, by name without `llamacpp:`; labelled or broken lines are left out."""
    samples: dict[str, float] = {}
    for line in text.splitlines():
        parts = line.split()
        if len(parts) < 2 or line.startswith("#") or "{" in parts[0]:
            continue
        try:
            samples[parts[0].removeprefix(METRIC_PREFIX)] = float(parts[1])
        except ValueError:
            continue
    return samples


def _url(host: str, port: int, path: str) -> str:
    return f"http://{host}:{port}/{path.lstrip('/')}"


def _parsed(reply: httpx.Response) -> dict[str, object]:
    """The reply's JSON object, or an empty one for anything else."""
    try:
        value = reply.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        return {}
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _first_model(reply: httpx.Response) -> str | None:
    models = _parsed(reply).get("data")
    if not isinstance(models, list) or not models:
        return None
    first = cast("list[object]", models)[0]
    identity = cast("dict[str, object]", first).get("id") if isinstance(first, dict) else None
    return identity if isinstance(identity, str) else None


def _json_object(reply: httpx.Response, path: str) -> dict[str, object]:
    value = _parsed(reply)
    if not value:
        raise Transient(
            f"The engine answered {path} with something that is not a JSON object.",
            remedy="Ask again; if it lasts, see the set's log: tidegate logs.",
            path=path,
        )
    return value


def _error_text(reply: httpx.Response) -> str:
    """The engine's own words, shortened; it wraps them as {"error": {"message": ...}}."""
    error = _parsed(reply).get("error")
    message = cast("dict[str, object]", error).get("message") if isinstance(error, dict) else None
    return str(message or reply.text)[:MAX_ERROR_CHARS]


def _refusal(reply: httpx.Response, path: str) -> Exception:
    """Our error for a reply that is no success, chosen by its status alone."""
    said = f"The engine answered {path} with {reply.status_code}: {_error_text(reply)}"
    if reply.status_code in (UNAUTHORIZED, FORBIDDEN):
        return Refused(said, remedy="Check the credential of the set.", path=path)
    if reply.status_code == TOO_MANY_REQUESTS or reply.is_server_error:
        return Transient(said, remedy="Ask again shortly.", path=path)
    return InvalidInput(said, remedy="Correct the request.", path=path)
