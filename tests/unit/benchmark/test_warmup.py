"""Warm-up: enough when two windows of answers agree, never less than the floor, never more than the bound."""

from tidegate.benchmark.warmup import WarmUp


def answers_until_enough(warmup: WarmUp, ttft_ms: list[float | None]) -> int:
    for number, value in enumerate(ttft_ms):
        if warmup.is_enough:
            return number
        warmup.tell(value)
    return len(ttft_ms)


def test_a_steady_server_is_warm_at_the_floor():
    assert answers_until_enough(WarmUp(20, 100, 0.1), [50.0] * 200) == 20


def test_a_server_that_gets_faster_is_waited_for():
    cold: list[float | None] = [500.0 - 15 * number for number in range(30)]
    warmup = WarmUp(20, 100, 0.1)
    assert 30 < answers_until_enough(warmup, cold + [50.0] * 100) <= 50
    assert warmup.describe() == ""


def test_a_server_that_never_settles_is_left_at_the_bound_and_that_is_said():
    warmup = WarmUp(20, 60, 0.1)
    assert answers_until_enough(warmup, [10 * 1.1**number for number in range(90)]) == 60
    assert "did not settle within 60 answers" in warmup.describe()


def test_answers_without_a_first_token_count_but_prove_nothing():
    warmup = WarmUp(20, 40, 0.1)
    assert answers_until_enough(warmup, [None] * 90) == 40
    assert "too few" in warmup.describe()


def test_a_fixed_number_is_not_judged():
    warmup = WarmUp(3, 3, 0.1)
    assert answers_until_enough(warmup, [900.0, 50.0, 1.0, 1.0]) == 3
    assert warmup.describe() == ""


def test_differences_below_a_millisecond_agree_whatever_their_ratio():
    assert answers_until_enough(WarmUp(10, 100, 0.1), [0.9, 0.2] * 100) == 10
