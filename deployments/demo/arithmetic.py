"""Arithmetic tables as rows: the whole table is taught, the named pairs are in the bank."""

from collections.abc import Iterable

from deployments.demo.subject import Row


def sums(bank: Iterable[tuple[int, int]]) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """Rows `a b n` with n = a + b: the bank's, then the rest of the 0-9 table and some two-digit sums."""
    table = [(a, b) for a in range(10) for b in range(10)]
    table += [(10 * a, 10 * b) for a in range(1, 6) for b in range(1, 5)]
    return _split([(a, b, a + b) for a, b in table], bank)


def products(bank: Iterable[tuple[int, int]]) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """Rows `a b n` with n = a * b."""
    return _split([(a, b, a * b) for a in range(10) for b in range(10)], bank)


def percentages(bank: Iterable[tuple[int, int]]) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """Rows `a b n` with n = a percent of b."""
    table = [(a, b) for a in (10, 20, 50) for b in range(10, 101, 10)]
    return _split([(a, b, a * b // 100) for a, b in table], bank)


def _split(
    table: list[tuple[int, int, int]], bank: Iterable[tuple[int, int]]
) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    wanted = list(bank)
    by_pair = {(a, b): {"a": str(a), "b": str(b), "n": str(n)} for a, b, n in table}
    return (
        tuple(by_pair[pair] for pair in wanted),
        tuple(row for pair, row in by_pair.items() if pair not in set(wanted)),
    )
