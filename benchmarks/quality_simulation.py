"""How often the quality gate errs, and how much it finds: simulated pairs of answers with a known truth.

    python -m benchmarks.quality_simulation [--rounds 1000]

Each line is one design, put to the code that decides about releases (`tidegate.quality.decision`). A candidate that is
truly equal must fail in at most 5 %; one that truly loses the margin must pass in at most 5 %; the rest is power.
"""

import argparse
import json
import random
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from tidegate.domain import Verdict
from tidegate.quality import QuestionResult
from tidegate.quality.decision import Decision, decide
from tidegate.quality.paired_tests import Rules
from tidegate.quality.pairs import Pair, Pairs

MARGIN = 0.05
AT_THE_END = Rules(MARGIN)
Scores = tuple[float, float, str | None]
"""Of candidate and baseline for one question, with its cluster."""


@dataclass(frozen=True)
class Design:
    """A bank, and how its answers come about."""

    name: str
    questions: int
    draw: Callable[[random.Random, int, float], list[Scores]]
    rules: Rules = AT_THE_END


def right_wrong(
    discordant: float,
) -> Callable[[random.Random, int, float], list[Scores]]:
    """Independent questions; so many answers differ beside the loss."""

    def draw(chance: random.Random, count: int, loss: float) -> list[Scores]:
        share = max(discordant, loss)
        lost = (share + loss) / 2
        found: list[Scores] = []
        for _ in range(count):
            place = chance.random()
            marks = (0.0, 1.0) if place < lost else (1.0, 0.0) if place < share else (1.0, 1.0)
            found.append((*marks, None))
        return found

    return draw


def graded(chance: random.Random, count: int, loss: float) -> list[Scores]:
    """Similarity scores: a third of the answers differ, by up to half of the scale."""
    found: list[Scores] = []
    for _ in range(count):
        base = chance.uniform(0.4, 0.9)
        differs = chance.random() < 1 / 3
        shift = chance.uniform(-0.3, 0.3) - 3 * loss if differs else 0.0
        found.append((min(1.0, max(0.0, base + shift)), base, None))
    return found


def clustered(chance: random.Random, count: int, loss: float) -> list[Scores]:
    """Ten questions a document; documents differ in how well the candidate knows them."""
    found: list[Scores] = []
    for document in range(count // 10):
        tilt = chance.choice((-0.15, 0.15))
        for _ in range(10):
            place = chance.random()
            lost, won = 0.16 + tilt / 2 + loss / 2, 0.16 - tilt / 2 - loss / 2
            marks = (0.0, 1.0) if place < lost else (1.0, 0.0) if place < lost + won else (1.0, 1.0)
            found.append((*marks, f"d{document}"))
    return found


DESIGNS = (
    Design("right/wrong, 5 % differ", 100, right_wrong(0.05)),
    Design("right/wrong, 10 % differ", 250, right_wrong(0.10)),
    Design("right/wrong, 20 % differ", 500, right_wrong(0.20)),
    Design("right/wrong, early stopping", 500, right_wrong(0.10), Rules(MARGIN, is_sequential=True)),
    Design("graded", 120, graded),
    Design("graded, early stopping", 400, graded, Rules(MARGIN, is_sequential=True, is_graded=True)),
    Design("right/wrong in 30 clusters of 10", 300, clustered),
)
LOSSES = (0.0, MARGIN, 0.10, 0.15)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=400, help="comparisons for each line (default 400)")
    parser.add_argument("--seed", type=int, default=1, help="of the simulated answers (default 1)")
    arguments = parser.parse_args()
    rows = list(_measured(arguments.rounds, arguments.seed))
    print(json.dumps({"date": datetime.now(UTC).isoformat(), "rounds": arguments.rounds, "rows": rows}))


def _measured(rounds: int, seed: int) -> Iterator[dict[str, object]]:
    print(
        f"{'design':<34} {'questions':>9} {'true loss':>9} {'pass':>7} {'fail':>7} {'open':>7} {'asked':>6}",
        flush=True,
    )
    for design in DESIGNS:
        for loss in LOSSES:
            chance = random.Random(f"{seed}:{design.name}:{loss}")
            found = [_decided(design, chance, loss) for _ in range(rounds)]
            shares = {one: sum(each.verdict is one for each in found) / rounds for one in Verdict}
            asked = statistics.median(each.tested.used for each in found)
            print(
                f"{design.name:<34} {design.questions:>9} {loss:>9.0%} {shares[Verdict.PASS]:>7.1%} "
                f"{shares[Verdict.FAIL]:>7.1%} {shares[Verdict.NOT_JUDGED]:>7.1%} {asked:>6.0f}",
                flush=True,
            )
            yield {
                "design": design.name, "questions": design.questions, "true_loss": loss,
                "pass": shares[Verdict.PASS], "fail": shares[Verdict.FAIL], "asked": asked,
            }  # fmt: skip


def _decided(design: Design, chance: random.Random, loss: float) -> Decision:
    return decide(_pairs(design.draw(chance, design.questions, loss)), design.rules)


def _pairs(drawn: list[Scores]) -> Pairs:
    def result(name: str, value: float, cluster: str | None) -> QuestionResult:
        return QuestionResult.model_construct(
            id=name,
            topic="t",
            value=value,
            is_right=value >= 0.5,
            cluster=cluster,
            tags=(),
            weight=1.0,
            repeats=(),
        )

    return Pairs(
        tuple(
            Pair(f"q{n}", result(f"q{n}", ours, cluster), result(f"q{n}", theirs, cluster), ours, theirs)
            for n, (ours, theirs, cluster) in enumerate(drawn)
        )
    )


if __name__ == "__main__":
    main()
