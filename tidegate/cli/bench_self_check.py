"""`tidegate bench --self-check`: how far this machine's own client can be trusted.

A server with known truth runs beside it and tells what it really wrote and when. At rising rates the client's figures
are held against that: up to which load do they agree?
"""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tidegate.cli.output import NEEDS_PERSON, OK, console, print_json, print_table, say

if TYPE_CHECKING:
    from tidegate.benchmark.record import RunRecord
    from tidegate.benchmark.truth import RequestTruth

RATES = (10.0, 60.0, 120.0, 200.0)
WINDOW_S = 4.0
TTFT_MS, GAP_MS, TOKENS = 50.0, 10.0, 64
MAX_MEAN_ERROR_MS, MAX_TAIL_ERROR_MS, MAX_TOKEN_ERROR = 0.5, 2.0, 0.005


@dataclass(frozen=True)
class Checked:
    """One rate: client minus server, in the unit of the name."""

    rate: float
    requests: int
    chunks_per_s: float
    first_mean_error_ms: float
    first_p99_error_ms: float
    token_time_error_share: float
    late_send_p99_ms: float | None
    is_honest: bool
    reasons: tuple[str, ...]

    @property
    def is_right(self) -> bool:
        return (
            abs(self.first_mean_error_ms) < MAX_MEAN_ERROR_MS
            and abs(self.first_p99_error_ms) < MAX_TAIL_ERROR_MS
            and abs(self.token_time_error_share) < MAX_TOKEN_ERROR
        )


def check_this_client(*, as_json: bool, is_quiet: bool, rates: Sequence[float] = RATES) -> int:
    """Returns the exit code: 0 when at least the lowest rate can be trusted, else 3."""
    from tidegate.benchmark.truth import Shape, start_truth_server

    shape = Shape.model_validate({"ttft": TTFT_MS, "gap": GAP_MS})
    found: list[Checked] = []
    with start_truth_server(shape) as server:
        _at_rate(server, rates[0], window_s=1.0)
        for rate in rates:
            if not (as_json or is_quiet):
                console(stderr=True).print(f"{rate:g} requests/s, {rate * TOKENS:.0f} chunks/s ...")
            server.forget()
            run = _at_rate(server, rate)
            found.append(checked(rate, run, server.truth()))
            if not found[-1].is_honest:
                break
    trusted = trusted_rate(found)
    if as_json:
        print_json(
            {"trusted_rate": trusted, "tokens_per_answer": TOKENS, "rates": [_as_data(one) for one in found]}
        )
    else:
        _print(found, trusted)
    return OK if trusted is not None else NEEDS_PERSON


def trusted_rate(found: Sequence[Checked]) -> float | None:
    """The highest rate up to which every one was right and honest."""
    trusted = None
    for one in found:
        if not (one.is_right and one.is_honest):
            break
        trusted = one.rate
    return trusted


def _at_rate(server: Any, rate: float, window_s: float = WINDOW_S) -> "RunRecord":
    from tidegate.benchmark import Arm, LoadPlan, measure
    from tidegate.benchmark.arrivals import Mode
    from tidegate.domain import Secret

    plan = LoadPlan(
        prompt_words=16,
        mode=Mode.CONSTANT,
        rate=rate,
        requests=None,
        duration_s=window_s,
        max_tokens=TOKENS,
        blocks=1,
        warmup_requests=0,
    )
    runs = asyncio.run(measure([Arm("self-check", server.url, Secret(""))], plan))
    return runs["self-check"]


def checked(rate: float, run: "RunRecord", truth: "Sequence[RequestTruth]") -> Checked:
    """Means and tails of both sides; both saw the same requests."""
    from tidegate.benchmark.chunks import chunking_of
    from tidegate.benchmark.latencies import latencies
    from tidegate.domain import Transient
    from tidegate.statistics.percentiles import linear_quantile

    chunking = chunking_of(run.requests)
    ours = [latencies(one, chunking) for one in run.measured() if one.is_ok]
    first = [one.ttft_ms for one in ours if one.ttft_ms is not None]
    token = [one.itl_ms for one in ours if one.itl_ms is not None]
    true_first = [one.ttft_ns / 1e6 for one in truth if one.ttft_ns is not None]
    true_token = [one.itl_ms for one in truth if one.itl_ms is not None]
    if not (first and token and true_first and true_token):
        raise Transient("The self-check got no answers from its own server.", remedy="Run it again.")
    honesty = run.honesty
    return Checked(
        rate=rate,
        requests=len(ours),
        chunks_per_s=sum(len(one.chunk_ns) for one in run.requests) / WINDOW_S,
        first_mean_error_ms=_mean(first) - _mean(true_first),
        first_p99_error_ms=linear_quantile(first, 0.99) - linear_quantile(true_first, 0.99),
        token_time_error_share=_mean(token) / _mean(true_token) - 1,
        late_send_p99_ms=honesty.late_send_p99_ms if honesty else None,
        is_honest=honesty is None or honesty.verdict == "honest",
        reasons=honesty.reasons if honesty else (),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _as_data(one: Checked) -> dict[str, Any]:
    return {**asdict(one), "is_right": one.is_right}


def _print(found: Sequence[Checked], trusted: float | None) -> None:
    rows = [
        (
            f"{one.rate:g}",
            f"{one.chunks_per_s:.0f}",
            f"{one.first_mean_error_ms:+.2f}",
            f"{one.first_p99_error_ms:+.2f}",
            f"{100 * one.token_time_error_share:+.2f}",
            "–" if one.late_send_p99_ms is None else f"{one.late_send_p99_ms:.2f}",
            "[green]yes[/green]" if one.is_right and one.is_honest else "[red]no[/red]",
        )
        for one in found
    ]
    columns = (
        "REQUESTS/S", "CHUNKS/S", "FIRST TOKEN, MEAN ERROR MS", "P99 ERROR MS", "TIME PER TOKEN, ERROR %",
        "SENT LATE, P99 MS", "TRUSTED",
    )  # fmt: skip
    print_table(columns, rows)
    for one in found:
        for reason in one.reasons:
            say(f"[dim]At {one.rate:g} requests/s: {reason}[/dim]")
    say("")
    if trusted is None:
        say("[red]This machine's client cannot be trusted now.[/red] Use a quieter or a faster machine.")
    else:
        say(
            f"[green]Figures of this machine can be trusted up to {trusted:g} requests/s[/green] of {TOKENS} tokens "
            f"each ({trusted * TOKENS:.0f} chunks/s): first tokens within {MAX_MEAN_ERROR_MS:g} ms on average and "
            f"{MAX_TAIL_ERROR_MS:g} ms at p99, times per token within {100 * MAX_TOKEN_ERROR:g} %."
        )
