"""The general question bank, as code: every answer that can be computed is computed here.

`python -m deployments.banks` writes `tidegate/quality/banks/general.jsonl` anew. The same code makes the same bytes.
"""

import json
from pathlib import Path

from deployments.banks import counting, formats, language, reading, reasoning, safety
from deployments.banks.writing import Entry

HOME = Path(__file__).parents[2] / "tidegate" / "quality" / "banks" / "general.jsonl"


def entries() -> list[Entry]:
    """Every question, in the order of the bank."""
    parts = (counting, formats, safety, reading, reasoning, language)
    return [entry for part in parts for entry in part.entries()]


def text() -> str:
    """The bank as it is stored."""
    return "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries())
