"""What replayed pairs decide: planted losses fail, equal versions pass, thin samples judge nothing."""

import random

import pytest

from tidegate.domain import Gate, Verdict, fold
from tidegate.domain.policy import ReplayPolicy
from tidegate.replay.judge import REPLAY_CHECKS, judge_replay
from tidegate.replay.pairs import ReplayedPair, Reply, asked_alike

POLICY = ReplayPolicy(pairs=200, min_pairs=30)


def pairs(
    count: int, *, errors: int = 0, empty: int = 0, slower: float = 1.0, longer: float = 1.0
) -> list[ReplayedPair]:
    chance = random.Random(1)
    found = []
    for number in range(count):
        tokens, ms = chance.randint(10, 40), chance.uniform(80, 160)
        old = Reply(tokens=tokens, elapsed_ms=ms, fingerprint=f"{number}")
        new = Reply(
            error="HTTP 500" if number < errors else "",
            problem="empty" if errors <= number < errors + empty else "",
            tokens=round(tokens * longer * chance.uniform(0.95, 1.05)),
            elapsed_ms=ms * slower * chance.uniform(0.95, 1.05),
            fingerprint=f"{number if number % 2 else 'other'}",
        )
        found.append(ReplayedPair(number, new, old))
    chance.shuffle(found)
    return found


def verdicts(*args: int, **planted: float) -> dict[str, Verdict]:
    rows = judge_replay(pairs(*args, **planted), POLICY)  # type: ignore[arg-type]
    assert {row.check for row in rows} == REPLAY_CHECKS
    return {row.check: row.verdict for row in rows}


def test_equal_versions_pass_and_their_agreement_is_told():
    rows = judge_replay(pairs(100), POLICY)
    assert fold(Gate.REPLAY, rows, REPLAY_CHECKS).verdict is Verdict.PASS
    told = next(row for row in rows if row.check == "replay.answers").summary
    assert "50 of 100 answers are word for word the same" in told


@pytest.mark.parametrize(
    ("planted", "check"),
    [
        ({"errors": 25}, "replay.errors"),
        ({"empty": 25}, "replay.answers"),
        ({"slower": 2.5}, "replay.latency"),
        ({"longer": 2.5}, "replay.length"),
        ({"longer": 0.4}, "replay.length"),
    ],
)
def test_a_planted_loss_fails_its_own_row(planted: dict, check: str):
    found = verdicts(100, **planted)
    assert found[check] is Verdict.FAIL
    assert {name for name, verdict in found.items() if verdict is Verdict.FAIL} == {check}


@pytest.mark.parametrize("count", [0, 1, 29])
def test_a_thin_sample_judges_nothing_and_never_passes(count: int):
    rows = judge_replay(pairs(count), POLICY)
    assert {row.verdict for row in rows} == {Verdict.NOT_JUDGED}
    assert fold(Gate.REPLAY, rows, REPLAY_CHECKS).verdict is Verdict.NOT_JUDGED


def test_a_few_losses_are_neither_inside_nor_beyond_the_margin():
    assert verdicts(40, errors=3)["replay.errors"] is Verdict.NOT_JUDGED


def test_errors_of_both_versions_are_nobodys_loss():
    both = [ReplayedPair(number, Reply(error="HTTP 400"), Reply(error="HTTP 400")) for number in range(60)]
    rows = {row.check: row.verdict for row in judge_replay(both, POLICY)}
    assert rows["replay.errors"] is Verdict.PASS
    assert rows["replay.latency"] is Verdict.NOT_JUDGED


def test_both_versions_are_asked_alike_and_without_chance():
    asked = asked_alike({"messages": [], "temperature": 1.5, "n": 4, "max_completion_tokens": 999}, "m", 64)
    assert asked == {
        "messages": [], "model": "m", "temperature": 0, "seed": 0, "stream": False, "cache_prompt": False,
        "max_tokens": 64,
    }  # fmt: skip
    assert asked_alike({"messages": [], "max_tokens": 8}, "m", 64)["max_tokens"] == 8
