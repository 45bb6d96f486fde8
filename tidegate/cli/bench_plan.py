"""Turns the options of `tidegate bench` into a load plan."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tidegate.cli.bench_options import DEFAULT_MAX_TOKENS, Load, bad

if TYPE_CHECKING:
    from tidegate.benchmark import LoadPlan
    from tidegate.benchmark.record import RunRecord

ABBA_BLOCKS = 10
LEAST_WARMUP, BLOCK_WARMUP = 20, 8
MOST_WARMUP_FACTOR = 4
MIN_WARMUP_S, MAX_WARMUP_S = 5.0, 60.0
DEFAULT_TIMEOUT_S = 120.0
KNOWS_IGNORE_EOS = ("llamacpp", "vllm", "sglang")
KNOWS_CACHE_PROMPT = ("llamacpp",)


@dataclass(frozen=True)
class Asked:
    """What is asked of the server, beside how often."""

    prompts: tuple[str, ...] = ()
    input_tokens: int = 64
    max_tokens: int = DEFAULT_MAX_TOKENS
    is_plain: bool = False
    is_completions: bool = False
    is_queue: bool = False
    ignore_eos: bool | None = None
    """None: where the server says that it knows the field."""
    cache_prompt: bool | None = None
    blocks: int | None = None
    seed: int = 0
    timeout_s: float = DEFAULT_TIMEOUT_S


def make_plan(load: Load, asked: Asked, *, has_two: bool = False) -> "LoadPlan":
    """Everything but what depends on the server (`for_server`).

    Raises: InvalidInput for options that make no plan.
    """
    from tidegate.benchmark import LoadPlan
    from tidegate.benchmark.arrivals import Mode
    from tidegate.benchmark.plan import Endpoint
    from tidegate.benchmark.prompts import words_for_tokens

    trace = _trace(load)
    endpoint = (
        Endpoint.QUEUE if asked.is_queue else Endpoint.COMPLETIONS if asked.is_completions else Endpoint.CHAT
    )
    blocks = _blocks(load, asked, has_two=has_two, rows=len(trace))
    return LoadPlan(
        prompts=asked.prompts,
        prompt_words=0 if asked.prompts or trace else words_for_tokens(asked.input_tokens),
        mode=Mode(load.mode),
        concurrency=load.concurrency,
        rate=load.rate,
        burstiness=load.burstiness,
        requests=len(trace) if trace else load.requests,
        duration_s=load.duration_s,
        trace=tuple(trace),
        speed=load.speed,
        max_tokens=asked.max_tokens,
        blocks=blocks,
        seed=asked.seed,
        request_timeout_s=asked.timeout_s,
        endpoint=endpoint,
        stream=not (asked.is_plain or asked.is_queue),
        **_warmup(load, blocks),
    )


def for_server(plan: "LoadPlan", asked: Asked, owner: str) -> "LoadPlan":
    """`owner` is who the server says made its model: it tells which fields beyond OpenAI's it knows."""
    ignore_eos = owner in KNOWS_IGNORE_EOS if asked.ignore_eos is None else asked.ignore_eos
    return replace(plan, ignore_eos=ignore_eos, cache_prompt=_cache_prompt(asked, owner))


def for_way(plan: "LoadPlan", urls: Sequence[str]) -> "LoadPlan":
    """Connections are kept where making one takes a handshake of several round trips: that time would be lateness of this
    client, and a far endpoint would look as if the client were the limit."""
    return replace(plan, keep_alive=any(url.startswith("https:") for url in urls))


def plan_like(run: "RunRecord", timeout_s: float | None = None) -> "LoadPlan":
    """The same load as a run had: the same requests at the same times.

    Raises: InvalidInput for a run whose plan was not stored, or is one of a later version.
    """
    from tidegate.benchmark import LoadPlan
    from tidegate.benchmark.schedule import draw_schedule

    plan = LoadPlan.from_dict(run.plan)
    if run.plan_digest and draw_schedule(plan).digest != run.plan_digest:
        raise bad(
            "--repeat-of", f"The load of {run.id} cannot be drawn again by this version of Tidegate.",
            "Measure both endpoints in one run: tidegate bench URL --against URL.",
        )  # fmt: skip
    return replace(plan, request_timeout_s=timeout_s) if timeout_s else plan


def _trace(load: Load) -> Sequence[Any]:
    if load.trace is None:
        return ()
    from tidegate.benchmark.trace import read_trace

    return read_trace(load.trace).rows


def _blocks(load: Load, asked: Asked, *, has_two: bool, rows: int) -> int:
    """A run by itself is one window: each block more is another edge, where answers are still on their way.

    Two runs are judged by blocks that they share, so who wants to compare later asks for them.
    """
    most = load.requests or rows or 0
    if asked.blocks is not None:
        if most and asked.blocks > most:
            raise bad("--blocks", f"{most} requests make no {asked.blocks} blocks.", "Ask for fewer blocks.")
        return asked.blocks
    if has_two:
        return min(ABBA_BLOCKS, most) if most else ABBA_BLOCKS
    return 1


def _cache_prompt(asked: Asked, owner: str) -> bool | None:
    """Only a server that knows the field is told; of others it stays unknown."""
    if asked.cache_prompt is not None:
        return asked.cache_prompt
    return False if owner in KNOWS_CACHE_PROMPT else None


def _warmup(load: Load, blocks: int) -> dict[str, Any]:
    """One block warms up until its times settle; each of several gets at least one request per slot."""
    at_once = load.concurrency if load.mode == "closed" else 1
    length_s = max(MIN_WARMUP_S, min(MAX_WARMUP_S, (load.duration_s or 60.0) / 3))
    if blocks > 1:
        return {"warmup_requests": max(BLOCK_WARMUP, at_once), "warmup_s": length_s}
    floor = max(LEAST_WARMUP, at_once)
    return {"warmup_requests": floor, "warmup_most": MOST_WARMUP_FACTOR * floor, "warmup_s": length_s}
