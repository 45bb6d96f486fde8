"""Every request that a plan means, drawn before the run in one process from one seed. Pure.

The same schedule is replayed for all arms (common random numbers): what differs between them is then the
server's doing. Each block has generators of its own, so that a plan with more blocks begins like the shorter one.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from tidegate.benchmark.arrivals import MAX_ARRIVALS, NS, Mode, draw_times_ns
from tidegate.benchmark.plan import LoadPlan
from tidegate.benchmark.prompts import made_up_prompts, made_up_text, words_for_tokens
from tidegate.benchmark.record import Phase
from tidegate.benchmark.trace import TraceRow
from tidegate.domain import InvalidInput

if TYPE_CHECKING:
    import numpy as np

MOST_CLOSED = 20_000
"""Requests drawn for closed loops that last a given time, as nobody knows how many they will send."""
MOST_CLOSED_WORDS = 4_000_000
"""Words of all prompts made up for those: 28 MB."""
MOST_WORDS = 20_000_000
"""Words of all prompts made up for any plan: 140 MB."""
BLOCK_TOKENS = 512
"""Tokens that one hash of a Mooncake trace stands for."""
SEED_LIMIT = 2**31 - 1
TIMES, ORDER, SEEDS, WORDS = range(4)
"""What a generator draws; measured requests and warm-up have their own."""


@dataclass(frozen=True, slots=True)
class PlannedRequest:
    """One request. `index` counts within its phase; times count from the start of its phase in its block."""

    index: int
    block: int
    phase: Phase
    at_ns: int | None
    prompt: str
    seed: int
    max_tokens: int
    messages: str = ""


@dataclass(frozen=True)
class Block:
    """One block of each arm: warm-up, then the window that is measured."""

    number: int
    warmup: tuple[PlannedRequest, ...]
    measured: tuple[PlannedRequest, ...]
    window_ns: int | None
    """Planned length of the window. None: it ends with the last answer."""


@dataclass(frozen=True)
class Schedule:
    blocks: tuple[Block, ...]
    digest: str
    """SHA-256 over every request and window; equal digests are equal load."""

    @property
    def measured(self) -> Iterator[PlannedRequest]:
        return (request for block in self.blocks for request in block.measured)


def draw_schedule(plan: LoadPlan) -> Schedule:
    """The requests of a plan; the same plan always gives the same ones."""
    _refuse_too_long(plan)
    blocks: list[Block] = []
    first, first_warmup = 0, 0
    for number in range(plan.blocks):
        block = _draw_block(plan, number, first, first_warmup)
        first += len(block.measured)
        first_warmup += len(block.warmup)
        blocks.append(block)
    return Schedule(tuple(blocks), _digest(blocks))


def _refuse_too_long(plan: LoadPlan) -> None:
    """A trace of long prompts, or many of them, would fill this machine's memory before anything is sent."""
    if plan.trace:
        words = sum(_row_words(row) for row in plan.trace if not row.prompt and not row.messages)
    else:
        expected = plan.requests or (plan.rate or 0.0) * (plan.duration_s or 0.0)
        words = 0 if plan.prompts else round(expected * plan.prompt_words)
    if words > MOST_WORDS:
        raise InvalidInput(
            f"The prompts would have about {words:,} words together, more than {MOST_WORDS:,}.",
            remedy="Send fewer requests or shorter prompts; of a trace replay fewer rows.",
            field="prompt_words, requests, trace",
        )


def _draw_block(plan: LoadPlan, number: int, first: int, first_warmup: int) -> Block:
    warmup = _draw_warmup(plan, number, first_warmup)
    if plan.mode is Mode.TRACE:
        rows = plan.trace[_share(len(plan.trace), number, plan.blocks)]
        return Block(number, warmup, *_replay(plan, rows, number, first))
    times, window_ns = _window_times(plan, number)
    texts = _measured_texts(plan, number, len(times))
    requests = _requests(plan, number, Phase.MEASURED, first, times, texts)
    return Block(number, warmup, requests, window_ns)


def _window_times(plan: LoadPlan, number: int) -> tuple[list[int | None], int | None]:
    """Due times of a block's window and its length. A closed loop has places instead of times."""
    window_s = None if plan.duration_s is None else plan.duration_s / plan.blocks
    window_ns = None if window_s is None else round(window_s * NS)
    count = None
    if plan.requests is not None:
        share = _share(plan.requests, number, plan.blocks)
        count = share.stop - share.start
    if not plan.mode.is_open:
        return [None] * (_closed_places(plan) if count is None else count), window_ns
    assert plan.rate is not None, "LoadPlan refuses an open loop without a rate"
    times = draw_times_ns(
        plan.mode,
        plan.rate,
        plan.burstiness,
        _generator(plan, number, Phase.MEASURED, TIMES),
        count=count,
        duration_s=window_s,
    )
    if window_ns is None:
        # n requests last n gaps: from the first one to one mean gap behind the last.
        times = [at - times[0] for at in times]
        window_ns = times[-1] + round(NS / plan.rate)
    return list(times), window_ns


def _closed_places(plan: LoadPlan) -> int:
    """Requests to have ready for each block of a closed loop that ends by the clock."""
    words = max(plan.prompt_words, 1) if not plan.prompts else 1
    return max(plan.concurrency, min(MOST_CLOSED, MOST_CLOSED_WORDS // words) // plan.blocks)


def _measured_texts(plan: LoadPlan, number: int, count: int) -> list[str]:
    if plan.prompts:
        return _shuffled_passes(plan.prompts, count, _generator(plan, number, Phase.MEASURED, ORDER))
    return made_up_prompts(plan.prompt_words, count, _generator(plan, number, Phase.MEASURED, WORDS))


def _draw_warmup(plan: LoadPlan, number: int, first: int) -> tuple[PlannedRequest, ...]:
    """At the rate of the measured requests, so that these meet the load that they go on with."""
    count = plan.warmup_requests if plan.warmup_most is None else plan.warmup_most
    count = min(MAX_ARRIVALS, max(count, plan.warmup_requests))
    times: list[int | None] = [None] * count
    if plan.mode.is_open:
        law = Mode.POISSON if plan.mode is Mode.TRACE else plan.mode
        rate = plan.rate or max(1e-3, len(plan.trace) / max(plan.trace_s, 1.0))
        generator = _generator(plan, number, Phase.WARMUP, TIMES)
        times = list(draw_times_ns(law, rate, plan.burstiness, generator, count=count))
    if plan.warmup_prompts:
        generator = _generator(plan, number, Phase.WARMUP, ORDER)
        texts = _shuffled_passes(plan.warmup_prompts, count, generator)
    else:
        generator = _generator(plan, number, Phase.WARMUP, WORDS)
        texts = made_up_prompts(_usual_words(plan), count, generator)
    return _requests(plan, number, Phase.WARMUP, first, times, texts)


def _usual_words(plan: LoadPlan) -> int:
    if plan.prompts:
        return max(1, round(median(len(prompt.split()) for prompt in plan.prompts)))
    if plan.trace:
        return round(median(_row_words(row) for row in plan.trace))
    return plan.prompt_words


def _row_words(row: TraceRow) -> int:
    if row.input_tokens is not None:
        return words_for_tokens(row.input_tokens)
    return max(1, len((row.prompt or row.messages).split()))


def _replay(
    plan: LoadPlan, rows: tuple[TraceRow, ...], number: int, first: int
) -> tuple[tuple[PlannedRequest, ...], int]:
    """The rows of a block. Their gaps are those of the trace, divided by the speed."""
    start = rows[0].at_ns
    seeds = _seeds(plan, number, Phase.MEASURED, len(rows))
    requests = tuple(
        PlannedRequest(
            first + place,
            number,
            Phase.MEASURED,
            round((row.at_ns - start) / plan.speed),
            row.prompt or ("" if row.messages else _text_of_lengths(plan, row, first + place)),
            seed,
            row.output_tokens or plan.max_tokens,
            row.messages,
        )
        for place, (row, seed) in enumerate(zip(rows, seeds, strict=True))
    )
    span = requests[-1].at_ns or 0
    return requests, span + max(NS // 1000, span // len(requests))


def _text_of_lengths(plan: LoadPlan, row: TraceRow, index: int) -> str:
    """Made-up text of about that many tokens; equal hashes give equal pieces, as the recorded prompts had."""
    assert row.input_tokens is not None, "a row without text has lengths"
    words = words_for_tokens(row.input_tokens)
    if not row.hash_ids:
        return made_up_text(words, plan.seed, WORDS, index)
    piece = words_for_tokens(BLOCK_TOKENS)
    text = " ".join(made_up_text(piece, plan.seed, ORDER, one) for one in row.hash_ids).split()
    missing = words - len(text)
    rest = made_up_text(missing, plan.seed, WORDS, index).split() if missing > 0 else []
    return " ".join((text + rest)[:words])


def _requests(
    plan: LoadPlan, block: int, phase: Phase, first: int, times: list[int | None], texts: list[str]
) -> tuple[PlannedRequest, ...]:
    seeds = _seeds(plan, block, phase, len(times))
    return tuple(
        PlannedRequest(first + place, block, phase, at, text, seed, plan.max_tokens)
        for place, (at, text, seed) in enumerate(zip(times, texts, seeds, strict=True))
    )


def _seeds(plan: LoadPlan, block: int, phase: Phase, count: int) -> list[int]:
    return _generator(plan, block, phase, SEEDS).integers(SEED_LIMIT, size=count).tolist()


def _shuffled_passes(prompts: tuple[str, ...], count: int, generator: "np.random.Generator") -> list[str]:
    """All prompts in random order, then all again in another one: each is asked as often as the others."""
    order: list[int] = []
    while len(order) < count:
        order += generator.permutation(len(prompts)).tolist()
    return [prompts[place] for place in order[:count]]


def _generator(plan: LoadPlan, block: int, phase: Phase, purpose: int) -> "np.random.Generator":
    import numpy as np

    key = (plan.first_block + block, int(phase is Phase.MEASURED), purpose)
    return np.random.default_rng(np.random.SeedSequence(plan.seed, spawn_key=key))


def _share(count: int, number: int, blocks: int) -> slice:
    """The places of one block: consecutive, and of almost equal number in all blocks."""
    return slice(number * count // blocks, (number + 1) * count // blocks)


def _digest(blocks: Iterable[Block]) -> str:
    found = hashlib.sha256()
    for block in blocks:
        found.update(f"block {block.number} {block.window_ns}\n".encode())
        for one in (*block.warmup, *block.measured):
            row = [one.index, one.phase, one.at_ns, one.prompt, one.messages, one.seed, one.max_tokens]
            found.update(json.dumps(row).encode())
    return found.hexdigest()
