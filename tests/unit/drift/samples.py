"""Reports made of numbers, without any model."""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from tidegate.drift.report import DriftReport, SetName, Side
from tidegate.drift.said import ChildReport, Noise, Vocabulary, measures_of
from tidegate.drift.summary import summarize_set
from tidegate.drift.texts import PinnedText, TextSet

AT = datetime(2026, 11, 26, 3, 0, tzinfo=UTC)
SAME = Vocabulary(base_tokens=768, cand_tokens=768)
WORST = {
    "place": 1,
    "kl": 2.0,
    "before": "<b>the | tide",
    "actual": " gate",
    "base_top": " gate",
    "cand_top": "`x`",
    "base_top_p": 0.9,
    "cand_top_p": 0.8,
    "base_p": 0.9,
    "cand_p": 0.1,
}


def packed(values: Sequence[float]) -> str:
    return base64.b64encode(np.asarray(values, "<f4").tobytes()).decode()


def said_text(
    name: str, set_name: str, kl: Sequence[float], rise: float = 0.0, same: float = 1.0
) -> dict[str, Any]:
    """What the child says of one text."""
    count = len(kl)
    return {
        "set": set_name,
        "id": name,
        "tokens": count,
        "windows": [count],
        "values": {
            "kl": packed(kl),
            "reverse_kl": packed(kl),
            "base_nll": packed([1.0] * count),
            "cand_nll": packed([1.0 + rise] * count),
            "base_entropy": packed([0.5] * count),
            "same_top": packed([same] * count),
        },
        "worst": [WORST],
    }


def text_set(count: int, name: str = "sample") -> TextSet:
    kinds = ("prose", "code")
    return TextSet(
        name=name,
        texts=tuple(
            PinnedText(id=f"text-{number}", kind=kinds[number % 2], language="en", text=f"Words {number}.")
            for number in range(count)
        ),
    )


def report(
    level: float = 0.01,
    *,
    texts: int = 20,
    rise: float | None = None,
    spread: float = 0.2,
    tokens: int = 60,
    broken: int = 0,
    seed: int = 1,
    **fields: Any,
) -> DriftReport:
    """A report whose mean divergence is near `level`; with `rise`, also of a set that is meant to change."""
    generator = np.random.default_rng(seed)
    names: list[SetName] = ["must_not_change"] if rise is None else ["must_not_change", "meant_to_change"]
    rows: list[dict[str, Any]] = []
    for name in names:
        for number in range(texts):
            kl = level * (1 + spread * generator.standard_normal()) * generator.uniform(0.5, 1.5, tokens)
            row = said_text(f"text-{number}", name, np.abs(kl).tolist(), (rise or 0) + 0.001 * number)
            rows.append({"set": name, "id": row["id"], "problem": "too long"} if number < broken else row)
    child = ChildReport.model_validate({"texts": rows, "vocabulary": SAME.model_dump()})
    measured, problems = measures_of(child)
    sets = [summarize_set(name, text_set(texts), measured, problems, 0) for name in names]
    settings: dict[str, Any] = {
        "taken_at": AT,
        "base": Side(file="base.gguf", digest="a" * 64, size_bytes=1000, model="base", file_type="F16"),
        "candidate": Side(
            file="cand.gguf", digest="b" * 64, size_bytes=900, model="tuned", file_type="Q4_K_M"
        ),
        "vocabulary": SAME,
        "sets": tuple(one for one in sets if one is not None),
        "noise": Noise(tokens=10, kl_mean=1e-7, kl_max=1e-5, same_top=1.0, threads=(1, 2), batch=(256, 85)),
        "context_tokens": 256,
        "threads": 1,
        "device": "cpu",
        "seconds": 2.0,
        "tokens_per_second": 600.0,
        "peak_memory_bytes": 10**8,
    }
    return DriftReport(**{**settings, **fields})
