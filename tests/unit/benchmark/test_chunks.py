"""Time per token, whatever the chunks hold: within half a percent of the truth."""

import random
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.benchmark.runs import MS, request
from tidegate.benchmark.chunks import Pattern, chunking_of
from tidegate.benchmark.latencies import latencies
from tidegate.benchmark.record import RequestRecord

ITL_MS = 10.0


def stream(
    sizes: list[int],
    index: int = 0,
    *,
    silent_end: bool = False,
    noise: float = 0.0,
    seed: int = 0,
    itl_ms: float = ITL_MS,
    stall_ms: float = 0.0,
    **changes: object,
) -> RequestRecord:
    """Chunks of these sizes; each is written when its last token is made. The first comes at 50 ms.

    A chunk that is not full is written when the server learns that it is the last: with the end token.
    """
    draw = random.Random(seed * 1000 + index)
    times = [itl_ms * max(0.05, 1 + draw.gauss(0, noise)) for _ in range(sum(sizes) + 1)]
    made = [50 + total for total in accumulate(times[: sum(sizes) - sizes[0]], initial=0.0)]
    ends = [sum(sizes[: place + 1]) - sizes[0] for place in range(len(sizes))]
    stamps = tuple(round(made[end] * MS) for end in ends)
    # Only a chunk that is full need not wait for the end token.
    is_cut = len(sizes) > 1 and sizes[-1] < max(sizes) and "chunk_tokens" not in changes
    finish = stamps[-1] + (round(times[-1] * MS) if silent_end else 0)
    if is_cut:
        stamps = (*stamps[:-1], finish)
    if stall_ms:
        finish += round(stall_ms * MS)
        stamps = (*stamps[:-1], stamps[-1] + round(stall_ms * MS))
    values = {
        "chunk_ns": stamps, "answer_ns": stamps[0], "finish_ns": finish, "end_ns": finish,
        "tokens": sum(sizes) + silent_end, "finish_reason": "stop" if silent_end else "length",
    }  # fmt: skip
    return request(index, **(values | changes))  # pyright: ignore[reportArgumentType]


def cut(tokens: int, size: int, first: int | None = None) -> list[int]:
    """Chunk sizes: `first`, then `size` each, and what remains."""
    sizes = [min(tokens, first or size)]
    while (rest := tokens - sum(sizes)) > 0:
        sizes.append(min(size, rest))
    return sizes


def itl_of(requests: list[RequestRecord]) -> float:
    chunking = chunking_of(requests)
    values = [found for one in requests if (found := latencies(one, chunking).itl_ms) is not None]
    return sum(values) / len(values)


@pytest.mark.parametrize("silent_end", [False, True], ids=["length", "end token without text"])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 16])
@pytest.mark.parametrize("tokens", [61, 62, 63, 64, 65])
def test_the_time_per_token_is_exact_for_regular_chunks(tokens: int, size: int, silent_end: bool):
    requests = [stream(cut(tokens, size), index, silent_end=silent_end) for index in range(3)]
    assert chunking_of(requests).basis == "regular"
    assert itl_of(requests) == pytest.approx(ITL_MS, rel=0.005)


@pytest.mark.parametrize("silent_end", [False, True], ids=["length", "end token without text"])
@pytest.mark.parametrize("size", [2, 3, 4, 5, 8])
def test_a_first_token_by_itself_is_told_from_a_full_first_chunk_by_answers_of_many_lengths(
    size: int, silent_end: bool
):
    requests = [stream(cut(tokens, size, 1), tokens, silent_end=silent_end) for tokens in range(40, 64)]
    assert chunking_of(requests).pattern == Pattern(size, 1)
    assert itl_of(requests) == pytest.approx(ITL_MS, rel=0.005)


def test_a_few_answers_that_stood_still_at_their_end_do_not_change_the_pattern():
    sound = [stream(cut(62, 4), index) for index in range(57)]
    stalled = [stream(cut(62, 4), 100 + index, stall_ms=5000) for index in range(3)]
    assert chunking_of([*sound, *stalled]).pattern == Pattern(4, 4)


def test_two_chunks_fit_many_patterns_and_are_an_estimate():
    requests = [stream(cut(24, 16), index) for index in range(3)]
    assert chunking_of(requests).basis == "estimated"


@pytest.mark.parametrize("first", [None, 1])
@pytest.mark.parametrize("size", [1, 4, 7])
def test_answers_of_many_lengths_tell_the_pattern_together(size: int, first: int | None):
    draw = random.Random(4)
    requests = [
        stream(cut(draw.randint(5, 90), size, first), index, silent_end=True, noise=0.3, seed=2)
        for index in range(200)
    ]
    assert chunking_of(requests).pattern == Pattern(size, 1 if size == 1 or first == 1 else size)
    # Of 200 answers, some of them of five tokens, the mean is off by 0.6 % (one standard error).
    assert itl_of(requests) == pytest.approx(ITL_MS, rel=0.02)


def test_four_tokens_in_a_chunk_with_noise_have_a_bias_below_half_a_percent():
    requests = [stream(cut(64, 4), index, noise=0.2, seed=1) for index in range(400)]
    # The noise of 400 x 60 tokens is 0.13 % (one standard error).
    assert itl_of(requests) == pytest.approx(ITL_MS, rel=0.005)


def test_what_the_server_states_per_chunk_is_taken():
    requests = [
        stream([3, 1, 5, 2, 4], index, silent_end=True, chunk_tokens=(3, 1, 5, 2, 4)) for index in range(3)
    ]
    chunking = chunking_of(requests)
    assert (chunking.basis, chunking.first_tokens, chunking.tokens_per_chunk) == ("stated", 3, 3)
    assert itl_of(requests) == pytest.approx(ITL_MS, rel=1e-6)


def test_chunks_without_a_pattern_are_estimated_and_nearly_right():
    draw = random.Random(8)
    requests = [stream([draw.randint(1, 6) for _ in range(20)], index, noise=0.1) for index in range(300)]
    chunking = chunking_of(requests)
    assert chunking.basis == "estimated"
    assert itl_of(requests) == pytest.approx(ITL_MS, rel=0.01)


def test_characters_of_several_tokens_do_not_hide_that_a_chunk_holds_one():
    sizes = [1] * 64
    merged = [1] * 30 + [2] * 2 + [1] * 30
    requests = [stream(sizes if index % 3 else merged, index) for index in range(30)]
    chunking = chunking_of(requests)
    assert (chunking.basis, chunking.first_tokens) == ("regular", 1)
    assert chunking.is_one_token
    assert itl_of(requests) == pytest.approx(ITL_MS, rel=1e-6)


@pytest.mark.parametrize(("size", "is_itl"), [(1, True), (2, False), (4, False)])
def test_a_gap_is_a_time_per_token_only_with_one_token_in_a_chunk(size: int, is_itl: bool):
    chunking = chunking_of([stream(cut(64, size), index, silent_end=True) for index in range(3)])
    assert chunking.is_one_token is is_itl
    assert chunking.tokens_per_chunk == pytest.approx(size, rel=0.02)


def test_reasoning_that_was_counted_but_never_streamed_takes_no_time_between_tokens():
    requests = [stream([1] * 40, index, tokens=340, reasoning_tokens=300) for index in range(3)]
    assert itl_of(requests) == pytest.approx(ITL_MS)
    shown = [stream([1] * 40, index, reasoning_tokens=30, answer_ns=None) for index in range(3)]
    assert itl_of(shown) == pytest.approx(ITL_MS)


def test_one_token_has_no_time_per_token_and_chunks_that_nobody_counted_say_nothing_of_their_size():
    one = stream([1])
    assert latencies(one, chunking_of([one])).itl_ms is None
    uncounted = [stream([1] * 5, index, token_source="chunks") for index in range(3)]
    assert chunking_of(uncounted).basis == "none"
    assert not chunking_of(uncounted).is_one_token
    assert chunking_of([]).basis == "none"


def test_a_finish_chunk_that_comes_late_does_not_count_where_all_tokens_have_a_chunk():
    late = [stream([1] * 24, index, finish_ns=10**10, end_ns=10**10) for index in range(3)]
    assert itl_of(late) == pytest.approx(ITL_MS)
    stopped = [
        stream([1] * 24, index, finish_ns=10**10, end_ns=10**10, finish_reason="stop") for index in range(3)
    ]
    assert itl_of(stopped) == pytest.approx(ITL_MS)


@given(
    st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=12), min_size=1, max_size=8),
    st.booleans(),
    st.integers(0, 3),
)
@settings(max_examples=80, deadline=None)
def test_any_chunks_give_a_finite_time_per_token(chunks: list[list[int]], silent_end: bool, unstated: int):
    requests = [stream(sizes, index, silent_end=silent_end) for index, sizes in enumerate(chunks)]
    requests += [stream([1, 1], 100 + index, token_source="chunks") for index in range(unstated)]
    chunking = chunking_of(requests)
    for one in requests:
        found = latencies(one, chunking)
        assert found.itl_ms is None or 0 <= found.itl_ms < 1e6
        assert (found.itl_ms is None) or len(one.chunk_ns) > 1
