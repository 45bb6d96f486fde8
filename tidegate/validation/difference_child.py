"""Reads the headers of a candidate and its baseline: `python -m tidegate.validation.difference_child`.

Both may be hostile, and comparing vocabularies takes memory: so it is done here, and what differs is told cut short.
"""

import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tidegate.gguf import (
    Header,
    check_adapter_on,
    check_against_baseline,
    header_diff,
    is_adapter,
    joined,
    read_header,
    template_diffs,
    tokenizer_diff,
)
from tidegate.validation.confinement import Message, confine, limits_from_argv, say
from tidegate.validation.part_links import DESCRIPTORS


def main(argv: list[str]) -> int:
    """Write one result, or why there is none."""
    limits, request = limits_from_argv(argv)
    confine(limits)
    try:
        baseline, candidate = _header(request["baseline"]), _header(request["candidate"])
        if baseline is None or candidate is None:
            say({"problem": "one of the two headers cannot be read"})
        elif is_adapter(candidate):
            say({"findings": [asdict(found) for found in check_adapter_on(candidate, baseline)]})
        else:
            say(difference(baseline, candidate))
    except MemoryError:
        say({"problem": "it took more memory than any known model needs"})
    return 0


def difference(baseline: Header, candidate: Header) -> Message:
    """Everything that differs between two models, as plain data."""
    headers = header_diff(baseline, candidate)
    tokenizer = tokenizer_diff(baseline, candidate)
    templates = template_diffs(baseline, candidate)
    return {
        "findings": [asdict(found) for found in check_against_baseline(baseline, candidate)],
        "templates": [
            {"key": diff.key, "summary": diff.summary(), "lines": diff.diff}
            for diff in templates
            if not diff.is_same
        ],
        "tokenizer": _tokenizer(asdict(tokenizer)) if not tokenizer.is_same else None,
        "metadata": [asdict(change) for change in headers.metadata],
        "tensors": [asdict(change) for change in headers.tensors],
        "metadata_changes": headers.metadata_changes,
        "tensor_changes": headers.tensor_changes,
    }


def _tokenizer(found: dict[str, Any]) -> dict[str, Any]:
    changed: Mapping[str, tuple[str, str]] = found.pop("changed")
    examples = found.pop("examples")
    counted = {name: count for name, count in found.items() if count}
    return {
        "changed": [
            *(
                f"{name.replace('_', ' ')}: {old or 'none'} -> {new or 'none'}"
                for name, (old, new) in changed.items()
            ),
            *(f"{name.replace('_', ' ')}: {count}" for name, count in counted.items()),
        ],
        "examples": examples,
    }


def _header(files: dict[str, int]) -> Header | None:
    read = {name: _one(file) for name, file in files.items()}
    headers = {name: header for name, header in read.items() if header is not None}
    if not headers or len(headers) < len(read):
        return None
    return joined(headers) if len(headers) > 1 else next(iter(headers.values()))


def _one(descriptor: int) -> Header | None:
    # Opened anew: an inherited descriptor shares its position with other processes.
    with open(f"{DESCRIPTORS}/{descriptor}", "rb") as stream:
        return read_header(stream).header


if __name__ == "__main__":
    sys.exit(main(sys.argv))
