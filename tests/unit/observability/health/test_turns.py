"""A check that hangs is unknown, and the others go on."""

from collections.abc import Callable

from tidegate.domain import NeedsOperator
from tidegate.domain.health import Health, Judgement
from tidegate.observability.health.checks import CHECKS, Check, Turn

GOOD = Judgement(Health.OK, "all well")


class Threads:
    """Looks run when the test says so."""

    def __init__(self):
        self.waiting: list[Callable[[], None]] = []

    def __call__(self, work: Callable[[], None]) -> None:
        self.waiting.append(work)

    def run(self) -> None:
        waiting, self.waiting = self.waiting, []
        for work in waiting:
            work()


def turn_of(*checks: Check) -> tuple[Turn, Threads]:
    threads = Threads()
    return Turn(checks, lambda text: text.replace("hush", "***"), threads), threads


def test_a_check_is_made_at_its_interval():
    looked: list[float] = []
    now = 0.0
    turn, threads = turn_of(Check("host", lambda: looked.append(now) or GOOD))
    while now < 60:
        turn.advance(now)
        threads.run()
        now += 1
    assert looked == [0, 15, 30, 45]


def failing_looks(took: float) -> list[float]:
    """When a check began that fails each time, if one look takes so long."""
    begun: list[float] = []
    turn, threads = turn_of(Check("audit", lambda: Judgement(Health.FAILED, "cut")))
    for now in range(100):
        turn.advance(float(now))
        if len(threads.waiting) and (not begun or begun[-1] + took < now):
            begun.append(now)
        if begun and now >= begun[-1] + took:
            threads.run()
    return begun


def test_what_is_not_well_is_looked_at_again_soon_and_a_dear_look_for_a_tenth_of_the_time():
    quick, dear = failing_looks(0), failing_looks(4)
    assert len(quick) > 5
    assert dear[1] - dear[0] >= 40


def test_what_is_well_again_is_looked_at_at_its_interval():
    looked: list[float] = []
    answers = [Judgement(Health.FAILED, "too early"), GOOD, GOOD]
    now = 0.0
    turn, threads = turn_of(Check("credentials", lambda: looked.append(now) or answers[len(looked) - 1]))
    while now < 400:
        turn.advance(now)
        threads.run()
        now += 1
    assert looked == [0, 16, 316]


def test_what_was_seen_is_told_once_with_how_long_it_took():
    turn, threads = turn_of(Check("host", lambda: GOOD))
    assert turn.advance(0.0) == []
    threads.run()
    (told,) = turn.advance(2.0)
    assert (told.check.name, told.judgement, told.took_s) == ("host", GOOD, 2.0)
    assert turn.advance(3.0) == []


def test_a_look_that_hangs_is_unknown_and_the_others_go_on():
    turn, threads = turn_of(Check("prefect", lambda: GOOD), Check("host", lambda: GOOD))
    turn.advance(0.0)
    hung = threads.waiting.pop(0)
    threads.run()
    assert [told.check.name for told in turn.advance(1.0)] == ["host"]
    (told,) = turn.advance(11.0)
    assert (told.check.name, told.judgement.health) == ("prefect", Health.UNKNOWN)
    threads.run()
    # It is told again at its interval as long as it hangs, and never looked at twice at once.
    unknown = [
        told for now in range(12, 60) for told in turn.advance(float(now)) if told.check.name == "prefect"
    ]
    assert {told.judgement.health for told in unknown} == {Health.UNKNOWN}
    assert len(unknown) == 3
    hung()
    (late,) = [told for told in turn.advance(60.0) if told.check.name == "prefect"]
    assert late.judgement == GOOD


def test_who_could_not_see_knows_nothing():
    def refused() -> Judgement:
        raise NeedsOperator("The key hush is wrong.", remedy="Correct it.")

    def broken() -> Judgement:
        raise ValueError("hush")

    turn, threads = turn_of(Check("platforms", refused), Check("sets", broken))
    turn.advance(0.0)
    threads.run()
    first, second = (told.judgement for told in turn.advance(1.0))
    assert (first.health, first.text, first.remedy) == (
        Health.UNKNOWN,
        "not seen: The key *** is wrong.",
        "Correct it.",
    )
    assert (second.health, second.text) == (Health.UNKNOWN, "not seen: ValueError: ***")


def test_no_check_may_take_longer_than_its_turn_and_all_are_fresh_enough_for_the_alert():
    for name, kind in CHECKS.items():
        assert kind.timeout_s <= kind.interval_s, name
        assert kind.interval_s + kind.timeout_s < 600, name
    assert len(CHECKS) <= 40
