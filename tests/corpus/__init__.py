"""A labelled corpus of GGUF files: sound, odd and hostile ones, made by a writer of our own.

`corpus()` yields every case; names are unique and stable, contents are reproducible byte for byte.
Labels: `good` must pass without a finding, `warn` is odd but loads, `reject` must not be deployed.
Every `good` and `warn` file is one that the pinned engine loads. The group is the first part of the name:
file, header, metadata, tensor, layout, semantic, tokenizer, numeric, kind, split and sound.
"""

from collections.abc import Iterator

from tests.corpus import architecture, file_and_header, kinds, metadata, numbers, splits, tensors, vocabulary
from tests.corpus.case import Case, Label

ROOMS = (file_and_header, metadata, tensors, architecture, vocabulary, numbers, kinds, splits)


def corpus() -> Iterator[Case]:
    """Every case, in a fixed order."""
    for room in ROOMS:
        yield from room.cases()


__all__ = ["ROOMS", "Case", "Label", "corpus"]
