"""Sets of safetensors files that belong together by an index: complete, not mixed, nothing twice."""

import re
from collections.abc import Iterator, Mapping

from tidegate.gguf import Finding, quote
from tidegate.safetensors.header import WeightsHeader
from tidegate.safetensors.json_text import NOTHING, JsonValue
from tidegate.safetensors.rules import finding

INDEX_SUFFIX = ".safetensors.index.json"
MAX_TOLD = 10
_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.safetensors")


def check_index(
    name: str, table: Mapping[str, JsonValue], shards: Mapping[str, WeightsHeader | None]
) -> Iterator[Finding]:
    """An index against the headers of all safetensors files beside it; None is a file that could not be read."""
    places = table.get("weight_map")
    if not isinstance(places, dict) or not places:
        yield finding("SH-INDEX", f"{quote(name)} has no weight_map.", subject=name)
        return
    wanted: dict[str, set[str]] = {}
    for tensor, file in places.items():
        if not isinstance(file, str) or "/" in file or "\\" in file or not file.endswith(".safetensors"):
            text = (
                f"{quote(name)} puts {quote(tensor)} into {quote(str(file))}, which is no file of the folder."
            )
            yield finding("SH-INDEX", text, subject=tensor)
            return
        wanted.setdefault(file, set()).add(tensor)
    yield from _check_numbers(wanted)
    for file, tensors in sorted(wanted.items()):
        if file not in shards:
            text = f"{quote(file)} is not there; {len(tensors)} tensors should be in it."
            yield finding("SH-MISSING", text, subject=file)
            continue
        header = shards[file]
        if header is not None:
            yield from _check_shard(file, tensors, header)
    for file in sorted(set(shards) - set(wanted)):
        yield finding("SH-STRAY", f"{quote(name)} does not name {quote(file)}.", subject=file)
    yield from _check_total(name, table, [header for file in wanted if (header := shards.get(file))])


def check_unindexed(shards: Mapping[str, WeightsHeader | None]) -> Iterator[Finding]:
    """Several files without an index: loaders cannot know what belongs together."""
    numbered = [file for file in shards if _SHARD.fullmatch(file)]
    if numbered:
        text = f"{quote(numbered[0])} is one of a set, and there is no index."
        yield finding("SH-INDEX", text, subject=numbered[0])
    owners: dict[str, str] = {}
    for file, header in sorted(shards.items()):
        for weight in header.weights if header else ():
            other = owners.setdefault(weight.name, file)
            if other != file:
                text = f"Tensor {quote(weight.name)} is in {quote(other)} and in {quote(file)}."
                yield finding("SH-TWICE", text, subject=weight.name)
                return


def _check_numbers(wanted: Mapping[str, set[str]]) -> Iterator[Finding]:
    """Files that are numbered must be numbered to the end."""
    counts = {match["count"] for file in wanted if (match := _SHARD.fullmatch(file))}
    if len(counts) > 1:
        yield finding("SH-INDEX", f"The index mixes sets of {' and '.join(sorted(counts)[:3])} files.")
    elif counts and int(next(iter(counts))) != len(wanted):
        text = f"The names speak of {int(next(iter(counts)))} files; the index uses {len(wanted)}."
        yield finding("SH-MISSING", text)


def _check_shard(file: str, wanted: set[str], header: WeightsHeader) -> Iterator[Finding]:
    present = {weight.name for weight in header.weights}
    missing, extra = sorted(wanted - present), sorted(present - wanted)
    if missing:
        text = f"{quote(file)} lacks {len(missing)} tensors, {quote(missing[0])} first."
        yield finding("SH-MISSING", text, subject=missing[0])
    if extra:
        text = f"{quote(file)} holds {len(extra)} tensors that are not in it by the index, {quote(extra[0])} first."
        yield finding("SH-EXTRA", text, subject=extra[0])


def _check_total(
    name: str, table: Mapping[str, JsonValue], headers: list[WeightsHeader]
) -> Iterator[Finding]:
    metadata = table.get("metadata")
    stated = (metadata if isinstance(metadata, dict) else NOTHING).get("total_size")
    total = sum(weight.end - weight.begin for header in headers for weight in header.weights)
    if isinstance(stated, int) and not isinstance(stated, bool) and stated != total:
        yield finding(
            "SH-SIZE", f"{quote(name)} states {stated} bytes; the tensors have {total}.", subject=name
        )
