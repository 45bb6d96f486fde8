"""Evidence from signs: is a block of the new set more often beyond the limit than not, or within it?

For latencies and lengths. Requests that wait in one queue are not independent, so that a test on single requests
calls equal builds different; a block of requests is one observation here, and only the sign of its comparison counts.
The gambler bets on the next sign what the former ones showed, starting with the hope of two hits:
the capital is multiplied by 2 s for a hit and 2 (1 - s) for a miss, s >= 1/2 fixed before the block. While hits are not
more likely than misses it reaches 1 / alpha with a chance of at most alpha (J. Ville, 1939).
Source of the betting form: G. Shafer, JRSS A 184 (2021) 407-431; of blocks against queues: A. M. Law and W. D. Kelton,
Simulation Modeling and Analysis, ch. 9 (batch means).
"""

import math
from collections.abc import Iterable

HOPED_HITS, HOPED_SIGNS = 2.0, 3.0
MEMORY_BLOCKS = 30.0
"""Blocks over which the bet on harm forgets, so that what begins late is seen."""


def sign_path(hits: Iterable[bool], memory: float = math.inf) -> tuple[float, ...]:
    """Logarithm of the capital after each sign. Nothing is bet while hits were the minority."""
    kept = math.exp(-1 / memory) if memory < math.inf else 1.0
    found = seen = capital = 0.0
    path: list[float] = []
    for hit in hits:
        share = max(0.5, (found + HOPED_HITS) / (seen + HOPED_SIGNS))
        capital += math.log(2 * (share if hit else 1 - share))
        path.append(capital)
        found, seen = kept * found + hit, kept * seen + 1
    return tuple(path)
