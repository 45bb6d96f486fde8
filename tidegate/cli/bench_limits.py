"""How much slower a candidate may be: `--limit ttft_p95=1.25`, with a floor in milliseconds as `1.25,5`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tidegate.cli.bench_options import bad

if TYPE_CHECKING:
    from tidegate.benchmark.metrics import CompareLimits

HOW = "Write METRIC=RATIO, for example --limit ttft_p95=1.25, or with a floor in ms: --limit itl_p50=1.15,2."


def read_limits(texts: Sequence[str], *, is_used: bool = True) -> "CompareLimits | None":
    """The usual limits where none is given; those that are given are the only ones."""
    from tidegate.benchmark.metrics import USUAL_LIMITS, CompareLimits, Limit, metric_named
    from tidegate.domain import InvalidInput

    if not texts:
        return None
    if not is_used:
        raise bad("--limit", "Only a comparison has limits.", "Add --against or --repeat-of, or use --slo.")
    found: dict[str, Limit] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        numbers = _numbers(values)
        if not equals or not 1 <= len(numbers) <= 2 or not 0.1 <= numbers[0] <= 100 or numbers[-1] < 0:
            raise bad("--limit", f"'{text}' is no limit.", HOW)
        try:
            name = metric_named(name.strip()).name
        except InvalidInput as error:
            raise bad("--limit", error.message, error.remedy) from None
        usual = USUAL_LIMITS.get(name)
        floor = numbers[1] if len(numbers) == 2 else usual.floor_ms if usual else 0.0
        found[name] = Limit(numbers[0], floor)
    return CompareLimits(metrics=found)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        return ()
