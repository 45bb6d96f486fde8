"""Derive damaged, hostile and harmlessly changed files from a good one, for tests and drills."""

from pathlib import Path

from deployments.demo import gguf_file
from deployments.demo.damage import DAMAGED, Kind, RefusedBy, Source
from deployments.demo.poison import POISONED

KINDS: dict[str, Kind] = {kind.name: kind for kind in (*DAMAGED, *POISONED)}


def derive(kind: str, source: Path, out: Path) -> Path:
    """Write the variant of `source` to `out` and return `out`.

    Raises:
        KeyError: when `kind` is not in `KINDS`.
    """
    out.write_bytes(KINDS[kind].make(Source(source.read_bytes(), gguf_file.read(source))))
    return out


__all__ = ["KINDS", "Kind", "RefusedBy", "derive"]
