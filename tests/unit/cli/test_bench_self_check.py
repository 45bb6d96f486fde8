"""How far this client can be trusted, judged by what the known server really wrote."""

from array import array
from dataclasses import replace

import pytest

from tests.unit.benchmark.runs import MS, request, run
from tidegate.benchmark.record import ClientHonesty
from tidegate.benchmark.truth import RequestTruth
from tidegate.cli.bench_self_check import Checked, checked, trusted_rate
from tidegate.domain import Transient

HONEST = ClientHonesty(late_send_p99_ms=0.2)
RIGHT = Checked(10, 40, 640, 0.1, 0.5, 0.001, 0.2, is_honest=True, reasons=())


def truth(count: int = 20, ttft_ms: int = 50, gap_ms: int = 10, chunks: int = 24) -> list[RequestTruth]:
    stamps = array("q", (MS * (ttft_ms + gap_ms * number) for number in range(chunks)))
    return [
        RequestTruth(number, "", "", "/", received_ns=0, content_ns=stamps, tokens=chunks)
        for number in range(count)
    ]


def answers(ttft_ms: float, gap_ms: float = 10, honesty: ClientHonesty | None = HONEST):
    rows = (request(index=number, at_ms=number, ttft_ms=ttft_ms, gap_ms=gap_ms) for number in range(20))
    return run(rows, honesty=honesty)


def test_errors_are_the_clients_figures_minus_the_servers():
    found = checked(10, answers(50.25), truth())
    assert found.first_mean_error_ms == pytest.approx(0.25)
    assert found.first_p99_error_ms == pytest.approx(0.25)
    assert found.token_time_error_share == pytest.approx(0)
    assert found.is_right
    assert found.is_honest


@pytest.mark.parametrize(("ttft_ms", "gap_ms"), [(50.6, 10), (50.1, 10.1)])
def test_a_client_that_is_off_by_more_than_it_may_is_not_right(ttft_ms: float, gap_ms: float):
    assert not checked(10, answers(ttft_ms, gap_ms), truth()).is_right


def test_a_client_that_found_itself_too_slow_is_not_honest():
    bound = ClientHonesty(verdict="client-bound", reasons=("late",))
    assert checked(10, answers(50, honesty=bound), truth()).reasons == ("late",)


def test_trust_ends_at_the_first_rate_that_fails():
    rates = [
        RIGHT,
        replace(RIGHT, rate=60),
        replace(RIGHT, rate=120, is_honest=False),
        replace(RIGHT, rate=200),
    ]
    assert trusted_rate(rates) == 60
    assert trusted_rate([replace(RIGHT, first_mean_error_ms=0.7)]) is None
    assert trusted_rate([]) is None


def test_a_check_without_answers_says_so():
    with pytest.raises(Transient, match="no answers"):
        checked(10, answers(50), [])
