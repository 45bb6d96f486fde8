"""How far a candidate's distribution over next tokens is from its baseline's, on texts that must not change and on
texts that are meant to. The engine runs in a confined child only.

Names are loaded when they are first used: reading a report needs neither numpy nor the checks of files.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidegate.drift.judging import judge_drift
    from tidegate.drift.report import DriftReport, SetDrift
    from tidegate.drift.running import DriftOptions, measure_drift
    from tidegate.drift.texts import PinnedText, TextSet, general_texts, read_texts, texts_of_bank

__all__ = [
    "DriftOptions",
    "DriftReport",
    "PinnedText",
    "SetDrift",
    "TextSet",
    "general_texts",
    "judge_drift",
    "measure_drift",
    "read_texts",
    "texts_of_bank",
]

_HOMES = {
    "judging": ("judge_drift",),
    "report": ("DriftReport", "SetDrift"),
    "running": ("DriftOptions", "measure_drift"),
    "texts": ("PinnedText", "TextSet", "general_texts", "read_texts", "texts_of_bank"),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"tidegate.drift.{_MODULE_OF[name]}"), name)
