"""Artifacts other than GGUF models: safetensors, adapters, whole folders, and everything that is refused by its kind.

Reads like `tidegate.gguf`: bounds-checked, capped, never raises for bad content, runs in a confined child.
"""

from tidegate.safetensors.artifact import (
    ArtifactInspection,
    ArtifactKind,
    FileDigest,
    WeightsSummary,
    inspect_artifact,
)
from tidegate.safetensors.folder import Entry, list_folder, open_entry
from tidegate.safetensors.header import Weight, WeightsHeader, parse_weights
from tidegate.safetensors.json_text import JsonLimits, JsonReading, read_json
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
