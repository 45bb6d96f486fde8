"""Tables of figures: each with its number of samples and its interval, and a reason where one is left blank."""

from collections.abc import Sequence

from tidegate.benchmark.definitions import definitions
from tidegate.benchmark.figures import SHARES, Distribution, Percentile, Rate, Share
from tidegate.benchmark.report.axes import count, number, percent
from tidegate.benchmark.report.view import Cell, Table
from tidegate.benchmark.summary import RunSummary
from tidegate.statistics import smallest_sample

BEYOND = 10
NOTABLE = 0.01
DETAILS = frozenset({"server_prompt", "server_predicted", "outside_server"})


def latency_table(summary: RunSummary) -> Table:
    """What users wait for. Times from the plan stand before those from the sending, where there is a plan."""
    found = {name: one for name, one in summary.distributions().items() if name not in DETAILS and one.n}
    if summary.ttft_answer.mean == summary.ttft.mean:
        # No reasoning: it is the same figure.
        found.pop("ttft_answer", None)
    order = sorted(found, key=lambda name: not name.endswith("_planned"))
    rows = tuple(_distribution(name, found[name]) for name in order)
    return Table(("", "requests", "mean", "p50", "p90", "p95", "p99", "longest"), rows)


def server_table(summary: RunSummary) -> Table | None:
    """The server's own view, where its answers state one."""
    rows = tuple(_distribution(name, one) for name, one in summary.distributions().items() if name in DETAILS)
    if not rows:
        return None
    return Table(("", "requests", "mean", "p50", "p90", "p95", "p99", "longest"), rows)


def _distribution(name: str, one: Distribution) -> tuple[Cell, ...]:
    known = definitions()[name]
    percentiles = tuple(_percentile(one, share) for share in SHARES)
    mean = Cell(number(one.mean), _interval(one.mean_low, one.mean_high))
    title = f"{known.title} ({one.unit})" if one.unit else known.title
    return (Cell(title, known.meaning), Cell(count(one.n)), mean, *percentiles, Cell(number(one.maximum)))


def _percentile(one: Distribution, share: str) -> Cell:
    """With failures counted as infinitely slow, where that changes it."""
    found: Percentile | None = getattr(one, share)
    if found is None:
        return Cell("–", f"needs {smallest_sample(SHARES[share], BEYOND)}")
    notes = [_interval(found.low, found.high)]
    adjusted = one.adjusted.get(share)
    if adjusted is not None and _differs(found, adjusted):
        notes.append(f"with failures {'never' if adjusted.is_beyond else number(adjusted.value)}")
    return Cell(number(found.value), "\n".join(filter(None, notes)))


def _differs(found: Percentile, adjusted: Percentile) -> bool:
    """By so much that a reader should know."""
    if adjusted.value is None or found.value is None:
        return adjusted.is_beyond
    return abs(adjusted.value - found.value) > NOTABLE * found.value


def _interval(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return ""
    return f"{number(low)} to {'never' if high is None else number(high)}"


def throughput_table(summary: RunSummary) -> Table:
    rates: dict[str, Rate | None] = {
        name: getattr(summary, name)
        for name in ("sent_rate", "request_rate", "output_tps", "output_tps_steady", "goodput")
    }
    rows = [_rate(name, one) for name, one in rates.items() if one is not None]
    if summary.attainment is not None:
        rows.append(_share("attainment", summary.attainment))
    rows.append(_share("error_share", summary.error_share))
    in_flight = definitions()["in_flight"]
    rows.append(
        (
            Cell(in_flight.title, in_flight.meaning),
            Cell(f"{number(summary.in_flight_mean)}, at most {summary.in_flight_most}"),
            Cell(""),
        )
    )
    return Table(("", "figure", "95 % interval"), tuple(rows))


def _rate(name: str, one: Rate) -> tuple[Cell, ...]:
    known = definitions()[name]
    interval = _interval(one.low, one.high) or "too few requests for one"
    return (Cell(known.title, known.meaning), Cell(f"{number(one.value)} {one.unit}"), Cell(interval))


def _share(name: str, one: Share) -> tuple[Cell, ...]:
    known = definitions()[name]
    return (
        Cell(known.title, known.meaning),
        Cell(f"{percent(one.value)} ({one.hits} of {one.n})"),
        Cell(f"{percent(one.low)} to {percent(one.high)}"),
    )


def error_table(summary: RunSummary) -> Table | None:
    if not summary.errors:
        return None
    rows = tuple(
        (Cell(group.reason), Cell(group.outcome.value), Cell(str(group.count))) for group in summary.errors
    )
    return Table(("Why", "how", "requests"), rows, "Requests of the measured window that were not answered.")


def miss_table(summary: RunSummary) -> Table | None:
    if not summary.misses:
        return None
    rows = tuple((Cell(name), Cell(str(count))) for name, count in summary.misses.items())
    return Table(("What was missed first", "requests"), rows)


def honesty_table(summary: RunSummary) -> Table | None:
    """What this client noticed of itself."""
    one = summary.honesty
    if one is None:
        return None
    rows: Sequence[tuple[str, str]] = (
        ("Event loop woke late, p99", _ms(one.loop_lag_p99_ms)),
        ("Requests sent late, p99", _ms(one.late_send_p99_ms)),
        ("Requests sent late, most", _ms(one.late_send_max_ms)),
        ("Requests per second, planned", number(one.planned_rate)),
        ("Requests per second, sent", number(one.achieved_rate)),
        ("Share of one core used", percent(one.cpu_share)),
    )
    return Table(("", "this client"), tuple((Cell(name), Cell(text)) for name, text in rows))


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{number(value)} ms"
