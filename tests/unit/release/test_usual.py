"""What a set that has all traffic is compared with: the old one from when it had all of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from world import world_with

from tidegate.domain import Histogram, LiveBatch, ReleaseState, Verdict
from tidegate.release import fold_view
from tidegate.release.live import LivePolicy, judge_live
from tidegate.release.observer import USUAL_S, usual_requests

START = datetime(2026, 11, 26, 12, tzinfo=UTC)


def seconds(begin: int, count: int, itl_ms: float, requests: int = 3, **changes: Any) -> list[LiveBatch]:
    return [
        LiveBatch(
            gateway="g", org="o", service="s", set_name="old", requests=requests, attempts=requests,
            started_at=START + timedelta(seconds=at), ended_at=START + timedelta(seconds=at + 0.9),
            stops={"stop": requests}, **{"itl_ms": Histogram.of([itl_ms] * requests)} | changes,
        )
        for at in range(begin, begin + count)
    ]  # fmt: skip


def test_an_equal_set_is_not_called_slow_because_the_old_one_had_less_to_do_in_the_split():
    """Alone 15 ms a token, in the split 10: more sequences at once take longer, at either set."""
    alone, split = seconds(0, 60, 15.0), seconds(60, 60, 10.0)
    new = seconds(200, 60, 15.0)
    policy = LivePolicy()

    assert judge_live(new, [], policy, family=4, before=split).verdict is Verdict.FAIL
    found = judge_live(new, [], policy, family=4, before=usual_requests(alone, alone + split))
    assert "itl_p50" not in found.harmful
    slower = judge_live(
        seconds(200, 60, 25.0), [], policy, family=4, before=usual_requests(alone, alone + split)
    )
    assert "itl_p50" in slower.harmful


def test_probes_are_compared_with_those_of_the_steps_before_and_thin_traffic_with_the_last_there_was():
    alone, split = seconds(0, 9, 15.0), seconds(60, 30, 10.0)
    measurement = seconds(0, 9, 1.0, is_probe=True)
    probes = seconds(70, 9, 12.0, is_probe=True)
    assert usual_requests(alone + measurement, split + probes) == split + probes
    assert usual_requests(alone * 9 + measurement, split + probes) == alone * 9 + probes


def test_a_release_reads_what_was_usual_from_before_its_first_step() -> None:
    world = world_with("v1", "v2")
    world.release("v1")
    asked: list[tuple[str, datetime, datetime | None]] = []
    live = world.live

    def noted(name: str, since: datetime, until: datetime | None = None, **named: Any) -> list[LiveBatch]:
        asked.append((name, since, until))
        return live(name, since, until, **named)

    world.live = noted  # type: ignore[method-assign]
    done = world.release("v2")
    assert done.state is ReleaseState.DONE
    assert done.plan is not None
    moved = [entry.at for entry in world.journal[done.id] if entry.name == "shifting"]
    assert len(moved) > 1, "a ladder"
    assert fold_view(done, world.journal[done.id]).moved_at == moved[0]
    assert (done.plan.blue_set, moved[0] - timedelta(seconds=USUAL_S), moved[0]) in asked
