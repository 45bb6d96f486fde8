"""Edges by which live requests are counted exactly, in seconds. Objectives are among them: alert rules read one edge.

The histograms of a batch know a value to 5 %. An objective of 2 s would then be one of 1.92 or of 2.02 s.
"""

from bisect import bisect_left
from collections.abc import Mapping
from types import MappingProxyType

TTFT_OBJECTIVE_S = 2.0
"""A request is good for the objective `ttft` when its first token came by then: `le="2.0"` in the alert rules."""

TTFT_S = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, TTFT_OBJECTIVE_S, 3.0, 5.0, 10.0, 30.0)
REQUEST_S = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
TOKEN_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0)

EDGES_S: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {"ttft_ms": TTFT_S, "itl_ms": TOKEN_S, "total_ms": REQUEST_S}
)
"""What is timed exactly, by the name of its figure in milliseconds."""


def edge_of(seconds: float, edges: tuple[float, ...]) -> int:
    """Number of the first edge that is not below the value; one more than the last edge for a longer time."""
    return bisect_left(edges, seconds)
