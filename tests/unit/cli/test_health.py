"""What `tidegate health` shows of states and samples."""

from datetime import UTC, datetime, timedelta

from tidegate.cli.health import present, problem_lines, strip
from tidegate.domain.health import Health, HealthSample, HealthState

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def sample(health: Health, hours_ago: float) -> HealthSample:
    return HealthSample("ledger", health, "", {}, NOW - timedelta(hours=hours_ago), is_change=True)


def state(check: str, health: Health, seconds_ago: float = 5) -> HealthState:
    at = NOW - timedelta(seconds=seconds_ago)
    return HealthState(check, health, f"{check} [is] so", "do this", (), {}, at, at, 0.1, 15.0)


def test_a_day_is_drawn_with_the_worst_of_each_half_hour():
    drawn = strip([sample(Health.OK, 12), sample(Health.FAILED, 6), sample(Health.OK, 5.9)], NOW)
    assert drawn == " " * 24 + "·" * 12 + "X" + "·" * 11


def test_what_stands_is_drawn_until_it_changes():
    assert strip([sample(Health.WARNING, 1)], NOW) == " " * 46 + "!!"
    assert strip([], NOW) == " " * 48


def test_the_worst_come_first_and_what_is_old_is_unknown():
    seen = present(
        [state("audit", Health.OK), state("gpu", Health.OK, 900), state("sets", Health.FAILED)], NOW
    )
    assert [(one.check, one.health) for one in seen] == [
        ("sets", Health.FAILED),
        ("gpu", Health.UNKNOWN),
        ("audit", Health.OK),
    ]


def test_only_problems_are_told_each_in_a_line():
    lines = problem_lines(
        [
            state("sets", Health.FAILED),
            state("gpu", Health.UNKNOWN),
            state("workers", Health.UNKNOWN),
            state("audit", Health.OK),
        ]
    )
    assert len(lines) == 2
    assert "sets \\[is] so" in lines[0]
    assert lines[1].endswith("gpu, workers")
    assert problem_lines([state("audit", Health.OK)]) == []
