"""Artifacts other than GGUF models: safetensors, adapters, whole folders, and everything that is refused by its kind.

Names are loaded when they are first used, because the process that only reports needs few of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidegate.safetensors.artifact import (
        ArtifactInspection,
        FileDigest,
        WeightsSummary,
        inspect_artifact,
    )
    from tidegate.safetensors.folder import Entry, list_folder, open_entry
    from tidegate.safetensors.header import Weight, WeightsHeader, parse_weights
    from tidegate.safetensors.json_text import JsonLimits, JsonReading, read_json
    from tidegate.safetensors.kinds import ArtifactKind
    from tidegate.safetensors.pickles import find_pickle
    from tidegate.safetensors.rules import RULES, finding

__all__ = [
    "RULES",
    "ArtifactInspection",
    "ArtifactKind",
    "Entry",
    "FileDigest",
    "JsonLimits",
    "JsonReading",
    "Weight",
    "WeightsHeader",
    "WeightsSummary",
    "find_pickle",
    "finding",
    "inspect_artifact",
    "list_folder",
    "open_entry",
    "parse_weights",
    "read_json",
]

_HOMES = {
    "artifact": ("ArtifactInspection", "FileDigest", "WeightsSummary", "inspect_artifact"),
    "folder": ("Entry", "list_folder", "open_entry"),
    "header": ("Weight", "WeightsHeader", "parse_weights"),
    "json_text": ("JsonLimits", "JsonReading", "read_json"),
    "kinds": ("ArtifactKind",),
    "pickles": ("find_pickle",),
    "rules": ("RULES", "finding"),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"tidegate.safetensors.{_MODULE_OF[name]}"), name)
