"""Reads the options of `tidegate bench` into values, each mistake with its option and what to write instead."""

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tidegate.cli.endpoint_access import bad, read_key, readable_file
from tidegate.domain import Secret

if TYPE_CHECKING:
    from tidegate.benchmark.goodput import Slo

DEFAULT_DURATION_S = 30.0
DEFAULT_CONCURRENCY = 4
DEFAULT_MAX_TOKENS = 64
DEFAULT_INPUT_TOKENS = 64
ARRIVALS = ("constant", "poisson", "gamma")
MAX_PROMPT_BYTES = 64 * 1024**2
MAX_HEADERS = 32
UNITS_S = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
SENSITIVE = re.compile(r"(?i)authorization|api[-_]?key|token|secret|cookie|password")
# RFC 9110: a token, and visible characters.
HEADER_NAME = re.compile(r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")


@dataclass(frozen=True)
class Load:
    """How the endpoint is loaded, as it was asked for."""

    mode: str
    concurrency: int = DEFAULT_CONCURRENCY
    rate: float | None = None
    burstiness: float = 1.0
    levels: tuple[float, ...] = ()
    """More than one: a sweep."""
    is_search: bool = False
    duration_s: float | None = DEFAULT_DURATION_S
    requests: int | None = None
    trace: Path | None = None
    speed: float = 1.0


@dataclass(frozen=True)
class Access:
    """What opens the endpoint. Headers that look like credentials never come from the command line."""

    key: Secret = field(default_factory=lambda: Secret(""))
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


def read_load(
    *,
    rate: str,
    concurrency: int | None,
    sweep: str,
    search: bool,
    arrivals: str,
    burstiness: float | None,
    duration: str,
    requests: int | None,
    trace: Path | None,
    speed: float | None,
) -> Load:
    """One load model, from options of which at most one may choose it."""
    chosen = {
        "--rate": bool(rate) and not sweep,
        "--concurrency": concurrency is not None,
        "--sweep": bool(sweep),
        "--search": search,
        "--trace": trace is not None,
    }
    named = [name for name, is_there in chosen.items() if is_there]
    if len(named) > 1 and named != ["--rate", "--search"]:
        raise bad(named[1], f"{' and '.join(named)} exclude each other.", "Give one of them.")
    if arrivals and arrivals not in ARRIVALS:
        raise bad("--arrivals", f"'{arrivals}' is no way to arrive.", f"Use one of {', '.join(ARRIVALS)}.")
    length = _length(duration, requests, has_trace=trace is not None)
    is_open = bool(rate) or (bool(arrivals) and not concurrency)
    if arrivals and not is_open:
        raise bad(
            "--arrivals", "A fixed concurrency has no arrivals: each answer is the next request's turn.",
            "Give --rate with --arrivals, or leave it out.",
        )  # fmt: skip
    if trace is not None:
        path = readable_file(trace, "--trace")
        return Load("trace", trace=path, speed=_positive("--trace-speed", speed, 1.0), **length)
    if speed is not None:
        raise bad("--trace-speed", "Only a trace has a speed.", "Give it with --trace.")
    if burstiness is not None and arrivals != "gamma":
        raise bad("--burstiness", "Only gamma arrivals have a burstiness.", "Add --arrivals gamma.")
    shape = _positive("--burstiness", burstiness, 1.0)
    levels = read_levels(sweep, whole=not is_open) if sweep else ()
    if is_open:
        per_s = levels[0] if levels else _rate(rate, arrivals)
        return Load(
            arrivals or "poisson", rate=per_s, burstiness=shape, levels=levels, is_search=search, **length
        )
    at_once = _whole("--concurrency", concurrency, DEFAULT_CONCURRENCY)
    return Load("closed", concurrency=at_once, levels=levels, is_search=search, **length)


def _length(duration: str, requests: int | None, *, has_trace: bool) -> dict[str, Any]:
    if duration and requests is not None:
        raise bad("--requests", "--duration and --requests exclude each other.", "Give one of them.")
    if has_trace and (duration or requests is not None):
        raise bad("--duration", "A trace says itself how long it is.", "Leave --duration and --requests out.")
    if requests is not None:
        return {"requests": _whole("--requests", requests, 1), "duration_s": None}
    if has_trace:
        return {"requests": None, "duration_s": None}
    return {
        "requests": None,
        "duration_s": seconds("--duration", duration) if duration else DEFAULT_DURATION_S,
    }


def _rate(text: str, arrivals: str) -> float:
    if not text:
        raise bad("--rate", f"{arrivals} arrivals need a rate.", "Add --rate with requests per second.")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 1e-4 <= value <= 1e5:
        raise bad("--rate", f"'{text}' is no rate.", "Write requests per second, for example --rate 4.")
    return value


def read_levels(text: str, *, whole: bool) -> tuple[float, ...]:
    """`1,2,4,8`: rising, each at most once."""
    try:
        levels = tuple(float(part) for part in text.split(","))
    except ValueError:
        levels = ()
    is_rising = all(later > earlier for earlier, later in pairwise(levels))
    if not 1 < len(levels) <= 32 or not is_rising or not all(1e-4 <= one <= 1e5 for one in levels):
        raise bad("--sweep", f"'{text}' is no list of loads.", "Write rising numbers: --sweep 1,2,4,8.")
    if whole and not all(one.is_integer() for one in levels):
        raise bad("--sweep", "Concurrency comes in whole requests.", "Add --arrivals poisson to sweep rates.")
    return levels


def seconds(option: str, text: str) -> float:
    """`30`, `30s`, `2m`, `500ms`, `1h`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h)?", text.strip())
    value = float(found[1]) * UNITS_S[found[2] or ""] if found else 0.0
    if not 0.1 <= value <= 86_400:
        raise bad(
            option, f"'{text}' is no length of time.", f"Write for example {option} 30s or 2m, up to 24h."
        )
    return value


def _positive(option: str, value: float | None, otherwise: float) -> float:
    if value is None:
        return otherwise
    if not 0.001 <= value <= 1000:
        raise bad(option, f"{value:g} is out of range.", "Write a number from 0.001 to 1000.")
    return value


def _whole(option: str, value: int | None, otherwise: int, most: int = 200_000) -> int:
    if value is None:
        return otherwise
    if not 1 <= value <= most:
        raise bad(option, f"{value} is out of range.", f"Write a whole number from 1 to {most}.")
    return value


def whole(option: str, value: int | None, otherwise: int, most: int) -> int:
    """A whole number of at least 1."""
    return _whole(option, value, otherwise, most)


def read_slo(text: str) -> "Slo | None":
    """`ttft=500,itl=50`. Nothing: no limits."""
    if not text:
        return None
    from tidegate.benchmark.goodput import Slo

    return Slo.parse(text)


def read_prompts(path: Path | None) -> tuple[str, ...]:
    """One prompt a line; a line that is JSON gives its `prompt`, or its first user message."""
    if path is None:
        return ()
    path = readable_file(path, "--prompts")
    if path.stat().st_size > MAX_PROMPT_BYTES:
        raise bad("--prompts", f"{path} is larger than 64 MiB.", "Use fewer prompts; they are asked in turn.")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise bad("--prompts", f"{path} is no UTF-8 text.", "Save it as UTF-8, one prompt a line.") from None
    prompts = tuple(_prompt(line, number, path) for number, line in enumerate(lines, 1) if line.strip())
    if not prompts:
        raise bad("--prompts", f"{path} holds no prompt.", "Write one prompt a line, or JSON lines.")
    return prompts


def _prompt(line: str, number: int, path: Path) -> str:
    import json

    where, how = f"{path}, line {number}", 'Write {"prompt": "..."} or {"messages": [...]}.'
    if not line.lstrip().startswith("{"):
        return line.strip()
    try:
        row: dict[str, Any] = json.loads(line)
    except (ValueError, RecursionError):
        raise bad("--prompts", f"{where}: this begins like JSON and is none.", how) from None
    text: Any = row.get("prompt") or row.get("input") or row.get("text")
    if text is None:
        text = next((said for role, said in _messages(row) if role == "user"), None)
    if not isinstance(text, str) or not text.strip():
        raise bad("--prompts", f"{where}: there is no prompt in it.", how)
    return text


def _messages(row: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    listed: Any = row.get("messages")
    messages = cast("list[Any]", listed) if isinstance(listed, list) else []
    held = [cast("dict[str, Any]", one) for one in messages if isinstance(one, dict)]
    return [(one.get("role"), one.get("content")) for one in held]


def read_access(
    headers: Sequence[str], key_env: str, key_file: Path | None, environ: Mapping[str, str] | None = None
) -> Access:
    """The key from a variable or a file; headers as `NAME: VALUE`, where `@NAME` reads the value from a variable."""
    env = os.environ if environ is None else environ
    return Access(read_key(key_env, key_file, env), _headers(headers, env))


def _headers(headers: Sequence[str], env: Mapping[str, str]) -> dict[str, str]:
    if len(headers) > MAX_HEADERS:
        raise bad("--header", f"{len(headers)} headers are too many.", f"Give at most {MAX_HEADERS}.")
    found: dict[str, str] = {}
    for text in headers:
        name, colon, value = text.partition(":")
        name, value = name.strip(), value.strip()
        if not colon or not HEADER_NAME.match(name):
            raise bad("--header", "A header is 'NAME: VALUE'.", "For example --header 'x-team: search'.")
        if value.startswith("@"):
            value = _header_from_variable(name, value[1:], env)
        elif SENSITIVE.search(name):
            raise bad(
                "--header", f"The value of {name} would be seen by everyone who lists processes.",
                f"Use --key-env or --key-file, or --header '{name}: @VARIABLE'.",
            )  # fmt: skip
        if not value.isprintable() or not value.isascii():
            raise bad("--header", f"The value of {name} holds what no header may.", "Write printable ASCII.")
        found[name] = value
    return found


def _header_from_variable(name: str, variable: str, env: Mapping[str, str]) -> str:
    if not env.get(variable):
        raise bad("--header", f"The variable for {name} is not set.", f"Write '{name}: @NAME_OF_A_VARIABLE'.")
    return env[variable].strip()


def read_share(value: float | None, slo: str) -> float:
    """Of the planned requests must be good."""
    if value is None:
        return 0.95
    if not slo:
        raise bad(
            "--good", "Without --slo no request is good or bad.", "Add --slo, for example --slo ttft=500."
        )
    if not 0 < value < 1:
        raise bad("--good", f"{value:g} is no share.", "Write for example --good 0.99.")
    return value


def check_together(load: Load, given: Mapping[str, Any]) -> None:
    """Options that exclude or need each other."""
    many = "--search" if load.is_search else "--sweep" if load.levels else ""
    if load.is_search and not given["slo"]:
        raise bad("--slo", "A search needs limits to keep.", "Add --slo, for example --slo ttft=500,itl=50.")
    for option in ("--against", "--repeat-of"):
        if many and given[_name(option)]:
            raise bad(option, f"{option} compares one load; {many} has many.", "Give one of them.")
    if given["against"] and given["repeat_of"]:
        raise bad("--repeat-of", "--against and --repeat-of exclude each other.", "Give one of them.")
    if given["repeat_of"]:
        _refuse_beside(given, "--repeat-of", "The load is that of the run.", LOAD_OPTIONS)
    if given["runpod_queue"] and given["completions"]:
        raise bad("--completions", "Jobs of a queue have no endpoint.", "Leave --completions out.")
    if given["input_tokens"] is not None and given["prompts"]:
        raise bad("--input-tokens", "--prompts and --input-tokens exclude each other.", "Give one of them.")


LOAD_OPTIONS = (
    "--rate", "--concurrency", "--arrivals", "--burstiness", "--duration", "--requests", "--trace", "--prompts",
    "--input-tokens", "--max-tokens", "--plain", "--completions", "--runpod-queue", "--blocks", "--seed",
)  # fmt: skip


def _refuse_beside(given: Mapping[str, Any], option: str, why: str, others: Sequence[str]) -> None:
    for other in others:
        if given[_name(other)] not in (None, "", False, 0):
            raise bad(other, f"{option} and {other} exclude each other: {why}", f"Leave {other} out.")


def _name(option: str) -> str:
    return option.lstrip("-").replace("-", "_")
