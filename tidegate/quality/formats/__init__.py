"""Banks of other tools, read as they are. No reader runs code, fetches anything, or leaves the bank's folder."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from tidegate.quality.formats.detect import (
    CHAT,
    DEEPEVAL,
    FORMATS,
    INSPECT,
    LM_EVAL,
    NATIVE,
    PROMPTFOO,
    RAGAS,
    SUFFIXES,
    detect,
)
from tidegate.quality.formats.reading import BankOptions, Place, Reading

__all__ = ["FORMATS", "NATIVE", "SUFFIXES", "BankOptions", "Place", "Reading", "read_questions"]

_READERS = {
    NATIVE: ("native", "read_native"),
    PROMPTFOO: ("promptfoo", "read_promptfoo"),
    LM_EVAL: ("lm_eval", "read_lm_eval"),
    INSPECT: ("targets", "read_inspect"),
    CHAT: ("targets", "read_chat"),
    DEEPEVAL: ("targets", "read_deepeval"),
    RAGAS: ("targets", "read_ragas"),
}


def read_questions(path: Path, options: BankOptions) -> tuple[str, Reading]:
    """The format of a file and its questions, with every problem of it raised at once.

    Raises: NotFound, InvalidInput.
    """
    reading = Reading(path, options)
    name = detect(reading)
    module, function = _READERS[name]
    read: Callable[[Reading], None] = getattr(import_module(f"tidegate.quality.formats.{module}"), function)
    read(reading)
    reading.finish()
    return name, reading
