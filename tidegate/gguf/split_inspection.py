"""Inspects the parts of a split model, each by itself and then all of them as the one model that they make."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from tidegate.gguf.findings import Finding, capped, has_errors, quote
from tidegate.gguf.header import Header
from tidegate.gguf.inspection import Inspection, Progress, inspect_file
from tidegate.gguf.limits import LIMITS, Limits
from tidegate.gguf.model_rules import check_model
from tidegate.gguf.model_tensors import check_model_tensors
from tidegate.gguf.split import check_split, joined
from tidegate.gguf.template import check_templates
from tidegate.gguf.vocabulary import check_vocabulary


@dataclass(frozen=True, slots=True)
class SplitInspection:
    """What was found out about a set of parts."""

    whole: Inspection
    """The set as one model: digest of the set, size and findings of all, the joined header."""
    parts: Mapping[str, Inspection]


def inspect_split(
    descriptors: Mapping[str, int], progress: Progress | None = None, limits: Limits = LIMITS
) -> SplitInspection:
    """Read every part once and judge the set. `descriptors` are open files by name; they stay open."""
    parts = {name: inspect_file(descriptors[name], progress, limits) for name in sorted(descriptors)}
    return judge_split(parts, limits)


def judge_split(parts: Mapping[str, Inspection], limits: Limits = LIMITS) -> SplitInspection:
    """Judge parts that were read already, wholly or by their headers."""
    found = list(check_split({name: part.header for name, part in parts.items()}))
    for name, part in parts.items():
        found += _of_part(name, part)
    headers = {name: part.header for name, part in parts.items() if part.header is not None}
    header: Header | None = None
    if len(headers) == len(parts) and not has_errors(found):
        header = joined(headers)
        found += _of_model(header, headers)
    whole = Inspection(
        digest=set_digest({name: part.digest for name, part in parts.items()}),
        size_bytes=sum(part.size_bytes for part in parts.values()),
        header=header,
        findings=capped(found, limits),
        numbers_were_scanned=all(part.numbers_were_scanned for part in parts.values()),
    )
    return SplitInspection(whole, parts)


def set_digest(digests: Mapping[str, str]) -> str:
    """One SHA-256 for all parts: that of their digests and names, as `sha256sum` lists them in order of names."""
    if not all(digests.values()):
        return ""
    lines = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


def _of_part(name: str, part: Inspection) -> Iterator[Finding]:
    """Findings of one file, told with its name. That it is only a part is no flaw here, and a part may be empty."""
    expected = {"P-SPLIT"} if part.header is None or part.header.tensors else {"P-SPLIT", "H-NOTENSORS"}
    for found in part.findings:
        if found.check not in expected:
            yield replace(found, message=f"{quote(name)}: {found.message}")


def _of_model(header: Header, parts: Mapping[str, Header]) -> Iterator[Finding]:
    first = parts[min(parts)]
    # Places in later parts would be read as places in the first.
    elsewhere = {quote(tensor.name) for tensor in header.tensors[len(first.tensors) :]}
    for check in (check_model, check_model_tensors, check_vocabulary, check_templates):
        for found in check(header):
            yield replace(found, offset=None) if found.subject in elsewhere else found
