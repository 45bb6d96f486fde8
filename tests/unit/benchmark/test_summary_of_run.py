"""Every figure of a run by its definition: hand-made cases, and the same computed again by brute force."""

import json
import math
import re
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.benchmark.runs import MS, failed, not_sent, request, run
from tidegate.benchmark.definitions import definitions
from tidegate.benchmark.figures import Distribution, distribution
from tidegate.benchmark.goodput import Slo, attainment
from tidegate.benchmark.record import ClientHonesty, Outcome, Phase, RequestRecord, RunRecord
from tidegate.benchmark.summary import RunSummary, summarise
from tidegate.benchmark.windows import Windows, in_flight_levels, rate, steady_span
from tidegate.domain import InvalidInput


def test_a_stream_of_known_times_has_exactly_these_figures():
    # Sent at 100 ms, first token after 50, 24 tokens 10 ms apart, one stall of 500 ms, then a usage chunk.
    stamps = [150 + 10 * number + (490 if number >= 12 else 0) for number in range(24)]
    one = request(0, 100, chunk_ns=[stamp * MS for stamp in stamps], answer_ns=stamps[2] * MS,
                  finish_ns=stamps[-1] * MS, end_ns=(stamps[-1] + 7) * MS)  # fmt: skip
    found = summarise(run([one], window_ns=(0, 2000 * MS)))
    assert found.ttft.mean == 50
    assert found.ttft_answer.mean == 70
    assert found.e2e.mean == 50 + 230 + 490
    assert found.itl.mean == pytest.approx((230 + 490) / 23)
    assert found.stall.mean == 500
    assert found.gap.maximum == 500
    assert found.gap.n == 23
    assert found.gap.mean == pytest.approx(720 / 23)
    assert found.tps_per_user.mean == pytest.approx(1000 / (720 / 23))
    assert found.output_tps.value == pytest.approx(24 / 2)
    assert found.request_rate.value == pytest.approx(1 / 2)
    assert found.in_flight_mean == pytest.approx((50 + 720 + 7) / 2000)
    assert (found.ttft_planned, found.e2e_planned, found.server_prompt) == (None, None, None)
    assert found.chunks.is_gap_itl


def test_an_open_loop_counts_from_the_planned_time_too():
    late = request(0, 300, planned_ns=100 * MS)
    found = summarise(run([late], mode="poisson"))
    assert found.ttft.mean == 50
    assert found.ttft_planned is not None
    assert found.ttft_planned.mean == 250
    assert found.e2e_planned is not None
    assert found.e2e_planned.mean == 200 + 50 + 230


def test_what_the_server_says_stands_beside_what_the_client_saw():
    one = request(0, 0, server_prompt_ms=30.0, server_predicted_ms=220.0)
    found = summarise(run([one]))
    assert found.server_prompt is not None
    assert found.server_prompt.mean == 30
    assert found.outside_server is not None
    assert found.outside_server.mean == pytest.approx(280 - 250)


def test_a_single_token_has_a_first_token_and_nothing_between_tokens():
    found = summarise(run([request(0, chunks=1)]))
    assert found.ttft.n == 1
    assert (found.itl.n, found.stall.n, found.gap.n, found.tps_per_user.n) == (0, 0, 0, 0)
    assert found.itl.mean is None


def test_a_plain_answer_has_a_time_to_its_end_and_no_first_token():
    plain = request(0, chunks=1, ttft_ms=400, is_streamed=False, tokens=24)
    found = summarise(run([plain]), Slo(ttft_ms=1000))
    assert found.e2e.mean == 400
    assert (found.ttft.n, found.ttft_answer.n, found.itl.n) == (0, 0, 0)
    # Whether it kept a limit of the first token nobody can say.
    assert found.misses == {"ttft": 1}


def test_tokens_and_their_sources_are_told_and_chunks_are_an_estimate():
    requests = [request(0, prompt_tokens=10, cached_tokens=4), request(1, prompt_tokens=30, cached_tokens=0)]
    found = summarise(run(requests, cache_prompt=False)).tokens
    assert (found.output, found.prompt, found.cached, found.cached_share) == (48, 40, 4, 0.1)
    assert (found.sources, found.is_estimated, found.cache_prompt) == ({"usage": 2}, False, False)
    guessed = summarise(run([*requests, request(2, token_source="chunks")]))
    assert guessed.tokens.is_estimated
    assert guessed.tokens.sources == {"usage": 2, "chunks": 1}
    nothing = summarise(run([request(0, tokens=None, token_source=None)])).tokens
    assert (nothing.output, nothing.prompt, nothing.cached_share) == (0, None, None)


def test_requests_are_counted_by_phase_and_by_how_they_ended():
    requests = [
        request(0, 0, phase=Phase.WARMUP), request(1, 100), request(2, 4990), failed(3, 200), failed(4, 300, "reset"),
        failed(5, 400, outcome=Outcome.TRUNCATED, error="ended without [DONE]"), not_sent(6),
        request(7, 5100, phase=Phase.COOLDOWN),
    ]  # fmt: skip
    found = summarise(run(requests, window_ns=(50 * MS, 5000 * MS)))
    counts = found.requests
    assert (counts.planned, counts.sent, counts.ok, counts.failed, counts.truncated, counts.not_sent) == (
        6,
        5,
        2,
        2,
        1,
        1,
    )
    assert (counts.warmup, counts.cooldown, counts.ended_after_window) == (1, 1, 1)
    assert (found.error_share.hits, found.error_share.n) == (3, 5)
    assert {(group.reason, group.count) for group in found.errors} == {
        ("HTTP 503", 1), ("reset", 1), ("ended without [DONE]", 1), ("the run ended before its turn", 1),
    }  # fmt: skip
    # The warm-up request and one of the two measured ones ended inside the window.
    assert found.output_tps.value == pytest.approx(2 * 24 / 4.95)
    assert found.ttft.n == 2


def test_failures_are_misses_and_lie_beyond_in_the_adjusted_tail():
    sound = [request(index, index * 10, ttft_ms=50 + index % 7) for index in range(190)]
    requests = [*sound, *(failed(200 + index, index) for index in range(8)), not_sent(300), not_sent(301)]
    found = summarise(run(requests), Slo(ttft_ms=100, itl_ms=20))
    assert found.attainment is not None
    assert (found.attainment.hits, found.attainment.n) == (190, 200)
    assert found.misses == {"failed": 8, "not_sent": 2}
    assert found.ttft.p90 is not None
    assert found.ttft.p95 is None
    # With 5 % of failures the interval of the adjusted p90 ends among them, and the p95 lies at their edge.
    assert found.ttft.adjusted["p90"].value == 56
    assert found.ttft.adjusted["p95"].is_beyond
    assert found.ttft.adjusted["p95"].value is None
    assert found.ttft.adjusted["p95"].text("ms") == "beyond"
    assert "p99" not in found.ttft.adjusted


@pytest.mark.parametrize(("count", "stated"), [(19, ""), (20, "p50"), (99, "p50"), (100, "p50 p90"), (199, "p50 p90"),
                                               (200, "p50 p90 p95"), (999, "p50 p90 p95"), (1000, "p50 p90 p95 p99")])  # fmt: skip
def test_a_percentile_is_stated_only_when_ten_values_lie_beyond_it(count: int, stated: str):
    found = distribution([float(value) for value in range(count)], "ms")
    assert [
        name for name in ("p50", "p90", "p95", "p99") if getattr(found, name) is not None
    ] == stated.split()


def test_percentiles_carry_their_number_and_an_interval_around_them():
    values = np.random.default_rng(1).lognormal(3, 1, 500).tolist()
    found = distribution(values, "ms")
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95)):
        percentile = getattr(found, name)
        assert percentile.value == pytest.approx(np.quantile(values, share))
        assert percentile.low < percentile.value < percentile.high
        assert percentile.n == 500
        assert re.fullmatch(r"[\d.e+]+ ms \([\d.e+]+ to [\d.e+]+\)", percentile.text("ms"))
    assert found.mean_low is not None
    assert found.mean is not None
    assert found.mean_low < found.mean


def test_a_client_bound_run_says_that_it_must_not_decide():
    honest = summarise(run([request()], honesty=ClientHonesty()))
    assert honest.not_gateable == ()
    bound = ClientHonesty(verdict="client-bound", reasons=("CPU 97 % of a core",))
    assert summarise(run([request()], honesty=bound)).not_gateable == ("client-bound: CPU 97 % of a core",)


def test_a_run_without_requests_has_no_figures_and_no_exception():
    found = summarise(run([]), Slo(ttft_ms=1))
    assert (found.requests.planned, found.ttft.n, found.output_tps.value, found.in_flight_mean) == (
        0,
        0,
        0,
        0,
    )
    assert found.attainment is not None
    assert found.attainment.value is None


def test_blocks_are_measured_without_the_pauses_between_them():
    blocks = [(0, 1000), (5000, 6000)]
    requests = [request(number, start + 100, block=number) for number, (start, _) in enumerate(blocks)]
    windows = tuple((start * MS, end * MS) for start, end in blocks)
    stated = summarise(run(requests, window_ns=(0, 6000 * MS), block_windows_ns=windows))
    assert stated.window_s == 2
    assert stated.output_tps.value == 24
    assert stated.blocks == 2
    # Without stated windows a block lasts from its first sending to its last end.
    assert summarise(run(requests, window_ns=(0, 6000 * MS))).window_s == pytest.approx(2 * 0.28)


def test_the_steady_part_leaves_out_the_ramps():
    # Two streams at once for 800 ms, and one of them alone before and after.
    first = request(0, 0, chunks=91, ttft_ms=100)
    second = request(1, 100, chunks=71, ttft_ms=100)
    span = steady_span(in_flight_levels([first, second]), (0, 1000 * MS))
    assert span == (100 * MS, 900 * MS)
    found = summarise(run([first, second], window_ns=(0, 1000 * MS)))
    assert found.output_tps_steady is not None
    # 81 and 71 chunks came from 100 to 900 ms, both ends included.
    assert found.output_tps_steady.value == pytest.approx((81 + 71) / 0.8)
    assert found.in_flight_most == 2
    assert found.in_flight_mean == pytest.approx(1.8)


def test_a_rate_over_ten_parts_or_blocks_has_an_interval_and_covers_the_truth():
    draw = np.random.default_rng(3)
    covered = 0
    for _ in range(100):
        ends = np.sort(draw.uniform(0, 10_000, draw.poisson(300)))
        events = [(round(end * MS), 1.0) for end in ends]
        found = rate(Windows(((0, 10_000 * MS),)), events, "requests/s")
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 30 <= found.high
    # 95 % promised; three standard errors of 100 rounds are 6.5 points.
    assert covered >= 88


@pytest.mark.parametrize(
    "text", ["", "ttft", "ttft=", "ttft=-1", "speed=5", "ttft=5,ttft=6", "ttft=nan", "ttft=inf"]
)
def test_a_service_level_that_says_nothing_is_refused(text: str):
    with pytest.raises(InvalidInput):
        Slo.parse(text)


def test_a_service_level_is_read_from_a_word():
    assert Slo.parse("ttft=500, itl_ms=50,e2e=9000") == Slo(ttft_ms=500, itl_ms=50, e2e_ms=9000)
    assert Slo.parse("ttft=500,itl=50").describe() == "ttft 500 ms, itl 50 ms"


def test_what_a_request_missed_first_is_counted():
    slo = Slo(ttft_ms=60, itl_ms=15, stall_ms=100, e2e_ms=1000)
    requests = [
        request(0), request(1, ttft_ms=61), request(2, gap_ms=16), request(3, chunks=0), request(4, chunks=1),
        request(5, gap_ms=14, chunks=90), failed(6),
    ]  # fmt: skip
    reached = attainment(run(requests), slo)
    assert (reached.good, reached.planned) == (2, 7)
    assert reached.misses == {"ttft": 2, "itl": 1, "e2e": 1, "failed": 1}
    low, high = reached.interval
    assert low < reached.good / 7 < high
    assert attainment(run([]), slo).share is None


def test_every_figure_has_a_definition_and_every_definition_a_figure():
    names = set(definitions())
    fields = RunSummary.model_fields
    nested = {"tokens_per_chunk", "in_flight", "cached_share"}
    assert names - nested <= set(fields)
    for name in names - nested:
        assert fields[name].description == definitions()[name].meaning
    for row in definitions().values():
        assert row.meaning.endswith(".")
        assert row.formula
        assert row.unit in ("ms", "tokens/s", "requests/s", "")
    found = summarise(run([request()]))
    for name, shape in found.distributions().items():
        assert shape.unit == definitions()[name].unit


def test_a_summary_is_plain_json_also_with_failures_beyond():
    requests = [
        *(request(index, index) for index in range(30)),
        *(failed(100 + index, 5) for index in range(30)),
    ]
    found = summarise(run(requests), Slo(ttft_ms=5))
    text = found.model_dump_json()
    assert "Infinity" not in text
    assert "NaN" not in text
    assert RunSummary.model_validate_json(text) == found
    assert RunSummary.model_json_schema()["properties"]["ttft"]["description"]


@st.composite
def open_loop_requests(draw: st.DrawFn, index: int) -> RequestRecord:
    planned = draw(st.integers(0, 5_000))
    kind = draw(st.sampled_from(["ok", "ok", "ok", "failed", "not_sent", "warmup"]))
    if kind == "not_sent":
        return not_sent(index, planned_ns=planned * MS)
    late = draw(st.integers(0, 300))
    if kind == "failed":
        return failed(index, planned + late, planned_ns=planned * MS)
    return request(
        index,
        planned + late,
        draw(st.integers(0, 500)),
        draw(st.integers(0, 50)),
        chunks=draw(st.integers(1, 12)),
        planned_ns=planned * MS,
        phase=Phase.WARMUP if kind == "warmup" else Phase.MEASURED,
    )


@given(st.integers(1, 40).flatmap(lambda count: st.tuples(*map(open_loop_requests, range(count)))))
@settings(max_examples=40, deadline=None)
def test_every_figure_agrees_with_a_second_computation(requests: tuple[RequestRecord, ...]):
    whole = run(requests, mode="poisson", window_ns=(0, 5_000 * MS))
    slo = Slo(ttft_ms=300, itl_ms=30, e2e_ms=600)
    found = summarise(whole, slo)
    measured = [one for one in requests if one.phase is Phase.MEASURED]
    ok = [one for one in measured if one.outcome is Outcome.OK]
    check_latencies(found, ok)
    good = [one for one in ok if is_good(one, slo)]
    assert found.attainment is not None
    assert found.goodput is not None
    assert (found.attainment.hits, found.attainment.n) == (len(good), len(measured))
    assert found.goodput.value == pytest.approx(len(good) / 5)
    assert sum(found.misses.values()) == len(measured) - len(good)
    inside = [one for one in requests if one.outcome is Outcome.OK and (one.end_ns or 0) <= 5_000 * MS]
    assert found.output_tps.value == pytest.approx(sum(one.tokens or 0 for one in inside) / 5)
    assert found.request_rate.value == pytest.approx(len(inside) / 5)
    assert found.in_flight_mean == pytest.approx(brute_in_flight(requests), abs=1e-9)


def check_latencies(found: RunSummary, ok: list[RequestRecord]) -> None:
    def same(shape: Distribution | None, values: list[float]) -> None:
        assert shape is not None
        assert shape.n == len(values)
        assert shape.mean == (pytest.approx(float(np.mean(values))) if values else None)
        assert shape.maximum == (pytest.approx(max(values)) if values else None)
        if len(values) >= 20:
            assert shape.p50 is not None
            assert shape.p50.value == pytest.approx(float(np.quantile(values, 0.5)))

    same(found.ttft, [(one.chunk_ns[0] - one.sent_ns) / MS for one in ok])  # type: ignore[operator]
    same(found.ttft_planned, [(one.chunk_ns[0] - one.planned_ns) / MS for one in ok])  # type: ignore[operator]
    same(found.e2e, [(one.chunk_ns[-1] - one.sent_ns) / MS for one in ok])  # type: ignore[operator]
    gaps = [np.diff(one.chunk_ns) / MS for one in ok if len(one.chunk_ns) > 1]
    same(found.gap, [float(gap) for row in gaps for gap in row])
    same(found.stall, [float(row.max()) for row in gaps])
    same(found.itl, [float(row.mean()) for row in gaps])


def is_good(one: RequestRecord, slo: Slo) -> bool:
    assert one.planned_ns is not None
    ttft = (one.chunk_ns[0] - one.planned_ns) / MS
    e2e = (one.chunk_ns[-1] - one.planned_ns) / MS
    itl = (one.chunk_ns[-1] - one.chunk_ns[0]) / MS / max(1, len(one.chunk_ns) - 1)
    return ttft <= (slo.ttft_ms or 0) and e2e <= (slo.e2e_ms or 0) and itl <= (slo.itl_ms or 0)


def brute_in_flight(requests: tuple[RequestRecord, ...]) -> float:
    end = 5_000 * MS
    spent = [
        min(one.end_ns, end) - min(one.sent_ns, end)
        for one in requests
        if one.sent_ns is not None and one.end_ns is not None
    ]
    return sum(spent) / end


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(1, 60)), max_size=12))
def test_levels_in_flight_are_what_counting_at_each_moment_gives(times: list[tuple[int, int]]):
    requests = [request(index, at, ttft_ms=length, chunks=1) for index, (at, length) in enumerate(times)]
    levels = in_flight_levels(requests)
    for moment in range(170):
        stamp = moment * MS + MS // 2
        counted = sum(at * MS <= stamp < (at + length) * MS for at, length in times)
        before = [level for at, level in levels if at <= stamp]
        assert (before[-1] if before else 0) == counted


def test_windows_hold_their_edges_and_nothing_between_them():
    windows = Windows(((0, 10), (20, 30)))
    assert [stamp for stamp in range(-1, 32) if windows.holds(stamp)] == [*range(11), *range(20, 31)]
    assert windows.seconds == 20 / 1e9


def test_many_kinds_of_errors_are_listed_up_to_a_number():
    requests = [failed(index, index, error=f"reset {index}") for index in range(30)]
    found = summarise(run(requests)).errors
    assert len(found) == 21
    assert found[-1].reason == "other reasons"
    assert sum(group.count for group in found) == 30


def test_a_rate_of_one_block_of_few_requests_has_no_interval():
    found = summarise(run([request(index, index) for index in range(5)]))
    assert (found.output_tps.low, found.output_tps.high) == (None, None)
    assert math.isfinite(found.output_tps.value)


def record_from(text: str) -> RunRecord:
    return RunRecord.from_data(json.loads(text))


def test_a_stored_run_gives_the_same_summary():
    whole = run([request(index, index) for index in range(25)], created_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert summarise(RunRecord.from_bytes(whole.to_bytes())) == summarise(whole)
    assert summarise(record_from(whole.model_dump_json())) == summarise(whole)
