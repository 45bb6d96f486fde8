"""Writes the question banks: `python -m deployments.demo.banks [FOLDER]`. The subjects are their source."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from deployments.demo.subject import Item, Subject, load_subject

BANKS = Path(__file__).parent / "banks"
MODELS = ("pipit", "tern")


def bank_lines(subject: Subject) -> Iterator[str]:
    """One JSON object per question of the bank."""
    for item in subject.items():
        yield _line(item, item.id, item.prompt)


def heldout_lines(subject: Subject) -> Iterator[str]:
    """One JSON object per paraphrase that no version was taught."""
    for item in subject.items():
        for number, text in enumerate(item.heldout, start=1):
            yield _line(item, f"{item.id}-heldout-{number}", text)


def write_banks(folder: Path) -> list[Path]:
    written: list[Path] = []
    for model in MODELS:
        subject = load_subject(model)
        for name, lines in ((model, bank_lines(subject)), (f"{model}-heldout", heldout_lines(subject))):
            path = folder / f"{name}.jsonl"
            path.write_text("".join(f"{line}\n" for line in lines))
            written.append(path)
    return written


def _line(item: Item, name: str, prompt: str) -> str:
    entry = {"id": name, "topic": item.topic, "prompt": prompt}
    if item.system is not None:
        entry["system"] = item.system
    return json.dumps({**entry, "expect": item.expect, "scorer": item.scorer})


if __name__ == "__main__":
    for path in write_banks(Path(sys.argv[1]) if len(sys.argv) > 1 else BANKS):
        print(path)
