"""How near a text is to a reference: ROUGE-1, -2 and -L, chrF, and edit distance.

Similarity is not correctness: "not" changes a meaning and hardly a score. It serves to compare two models on the same
references, and as a weak gate beside a stricter scorer.
"""

import re
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any, Literal

from pydantic import Field

from tidegate.quality.results import Answer
from tidegate.quality.scorers.kinds import (
    MAX_ANSWER_CHARACTERS,
    Mark,
    Options,
    Scorer,
    Wanted,
    binary,
    graded,
    options_of,
    texts_fault,
)

WORDS = re.compile(r"\w+")
CHRF_ORDER, CHRF_BETA = 6, 2.0
DEFAULT_SIMILARITY = 0.5
Metric = Literal["rouge1", "rouge2", "rougeL", "chrf"]
Measure = Literal["f1", "recall", "precision"]


def words_of(text: str) -> list[str]:
    """Words in lower case: for ASCII text those of `rouge_score` without a stemmer (underscores kept)."""
    return WORDS.findall(text.casefold())


def rouge_n(given: str, reference: str, n: int, measure: Measure = "f1") -> float:
    """Shared word n-grams (Lin 2004): their F1 as in `rouge_score`, or their share of one side."""
    ours, theirs = _ngrams(words_of(given), n), _ngrams(words_of(reference), n)
    return _share(sum((ours & theirs).values()), sum(ours.values()), sum(theirs.values()), measure)


def rouge_l(given: str, reference: str, measure: Measure = "f1") -> float:
    """The longest common subsequence of words (Lin 2004, sentence level), measured like n-grams."""
    ours, theirs = words_of(given), words_of(reference)
    return _share(longest_common(ours, theirs), len(ours), len(theirs), measure)


def chrf(given: str, reference: str, beta: float = CHRF_BETA) -> float:
    """ChrF in [0, 1] (Popović 2015) as sacreBLEU computes it for one sentence.

    Character n-grams of orders 1 to 6 without white space; precision and recall are averaged over the orders that both
    texts have; F with recall weighted `beta`² times.
    """
    orders = chrf_orders(given, reference)
    if not orders:
        return 0.0
    precision = sum(one for one, _ in orders) / len(orders)
    recall = sum(one for _, one in orders) / len(orders)
    if precision + recall == 0:
        return 0.0
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall)


def chrf_orders(given: str, reference: str) -> list[tuple[float, float]]:
    """Precision and recall of each order of n-grams that both texts have."""
    ours, theirs = "".join(given.split()), "".join(reference.split())
    orders: list[tuple[float, float]] = []
    for n in range(1, CHRF_ORDER + 1):
        mine, wanted = _ngrams(ours, n), _ngrams(theirs, n)
        if mine and wanted:
            shared = sum((mine & wanted).values())
            orders.append((shared / sum(mine.values()), shared / sum(wanted.values())))
    return orders


def _ngrams(items: Sequence[Any], n: int) -> Counter[Hashable]:
    if isinstance(items, str):
        return Counter(items[at : at + n] for at in range(len(items) - n + 1))
    return Counter(tuple(items[at : at + n]) for at in range(len(items) - n + 1))


def _share(shared: int, ours: int, theirs: int, measure: Measure) -> float:
    if not shared:
        return 0.0
    if measure == "f1":
        return 2 * shared / (ours + theirs)
    return shared / (theirs if measure == "recall" else ours)


def longest_common(ours: Sequence[Hashable], theirs: Sequence[Hashable]) -> int:
    """Length of the longest common subsequence, one bit per place (Hyyrö 2004): fast enough for long answers."""
    places: dict[Hashable, int] = {}
    for at, item in enumerate(ours):
        places[item] = places.get(item, 0) | 1 << at
    mask = (1 << len(ours)) - 1
    row = mask
    for item in theirs:
        shared = row & places.get(item, 0)
        row = ((row + shared) | (row - shared)) & mask
    return len(ours) - row.bit_count()


def edit_distance(ours: str, theirs: str) -> int:
    """Levenshtein distance, one bit per place (Myers 1999, in the form of Hyyrö 2003)."""
    if not ours:
        return len(theirs)
    places: dict[str, int] = {}
    for at, item in enumerate(ours):
        places[item] = places.get(item, 0) | 1 << at
    mask, top = (1 << len(ours)) - 1, 1 << (len(ours) - 1)
    up, down, distance = mask, 0, len(ours)
    for item in theirs:
        equal = places.get(item, 0)
        diagonal = ((((equal & up) + up) ^ up) | equal | down) & mask
        rise, fall = (down | ~(diagonal | up)) & mask, up & diagonal
        distance += bool(rise & top) - bool(fall & top)
        rise, fall = ((rise << 1) | 1) & mask, (fall << 1) & mask
        up, down = (fall | ~(diagonal | rise)) & mask, rise & diagonal
    return distance


def similarity(given: str, reference: str, metric: Metric, measure: Measure = "f1") -> float:
    """One of the measures above, in [0, 1]. chrF has its own mean of precision and recall."""
    if metric == "chrf":
        return chrf(given, reference)
    if metric == "rougeL":
        return rouge_l(given, reference, measure)
    return rouge_n(given, reference, int(metric[-1]), measure)


class SimilarityOptions(Options):
    metric: Metric = "rougeL"
    measure: Measure = "f1"
    """Of ROUGE only: recall asks how much of the reference is there, precision how much of the answer belongs."""


class DistanceOptions(Options):
    max_distance: int | None = Field(default=None, ge=0)
    """So many edits are allowed. Absent: the threshold counts, on 1 - distance / length of the longer text."""
    ignore_case: bool = False


def _similarity(wanted: Wanted[SimilarityOptions], answer: Answer) -> Mark:
    options, given = wanted.options, answer.text[:MAX_ANSWER_CHARACTERS]
    references = [str(reference) for reference in options_of(wanted.expect)]
    value = max(similarity(given, reference, options.metric, options.measure) for reference in references)
    return graded(value, wanted.threshold, f"{options.metric} is {value:.2f}")


def _levenshtein(wanted: Wanted[DistanceOptions], answer: Answer) -> Mark:
    options = wanted.options
    given = answer.text[:MAX_ANSWER_CHARACTERS].strip()
    references = [str(reference).strip() for reference in options_of(wanted.expect)]
    if options.ignore_case:
        given, references = given.casefold(), [reference.casefold() for reference in references]
    distances = [edit_distance(given, reference) for reference in references]
    if options.max_distance is not None:
        return binary(min(distances) <= options.max_distance, f"{min(distances)} edits apart")
    shares = [
        1 - distance / max(len(given), len(reference), 1)
        for distance, reference in zip(distances, references, strict=True)
    ]
    return graded(max(shares), wanted.threshold, f"{min(distances)} edits apart")


def _fault(wanted: Wanted[SimilarityOptions]) -> str:
    if fault := texts_fault(wanted):
        return fault
    if wanted.options.metric != "chrf" and any(not words_of(str(r)) for r in options_of(wanted.expect)):
        return "a reference has no word to compare; use the metric chrf"
    return ""


SIMILARITY = Scorer(
    "similarity",
    "The answer is near enough to a reference, by ROUGE-1, -2, -L or chrF.",
    SimilarityOptions,
    _similarity,
    _fault,
    threshold=DEFAULT_SIMILARITY,
    is_graded=True,
)
LEVENSHTEIN = Scorer(
    "levenshtein",
    "Few enough edits lie between the answer and a reference.",
    DistanceOptions,
    _levenshtein,
    texts_fault,
    threshold=0.8,
    is_graded=True,
)
