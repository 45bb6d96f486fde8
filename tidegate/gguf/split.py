"""Models that come as several files: whether the parts belong together, judged from the headers of all of them."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from tidegate.gguf.findings import Finding, quote
from tidegate.gguf.header import Header, ValueType
from tidegate.gguf.rules import finding

NAME = re.compile(r"(?P<prefix>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.DOTALL)
KEY_TYPES = {
    "split.no": ValueType.U16,
    "split.count": ValueType.U16,
    "split.tensors.count": ValueType.I32,
}
# The engine reads these from every part, and everything else from the first alone.
KEYS_OF_EVERY_PART = frozenset({*KEY_TYPES, "general.alignment"})
MOST_PARTS = 99_999


@dataclass(frozen=True, slots=True)
class SplitName:
    """What the name of a part says: names count from 1, `split.no` counts from 0."""

    prefix: str
    number: int
    count: int

    @property
    def siblings(self) -> tuple[str, ...]:
        """Names of all parts of this set, in order; none when the name claims an absurd number."""
        if not 1 <= self.count <= MOST_PARTS:
            return ()
        return tuple(
            f"{self.prefix}-{number:05d}-of-{self.count:05d}.gguf" for number in range(1, self.count + 1)
        )


def parse_name(name: str) -> SplitName | None:
    """Read `PREFIX-00001-of-00003.gguf`; None for any other name."""
    match = NAME.fullmatch(name)
    return SplitName(match["prefix"], int(match["number"]), int(match["count"])) if match else None


def is_part(header: Header) -> bool:
    """Whether a file is only a part of a model."""
    return (header.integer("split.count") or 0) > 1 or (header.integer("split.no") or 0) > 0


def check_split_keys(header: Header) -> Iterator[Finding]:
    """The keys of one part by themselves: another type than the engine reads ends its process."""
    for key, expected in KEY_TYPES.items():
        value = header.metadata.get(key)
        if value is not None and value.type is not expected:
            text = f"{key} is {value.type.name} instead of {expected.name}; the engine aborts."
            yield finding("P-TYPE", text, offset=value.offset, subject=key)


def check_part_alone(header: Header) -> Iterator[Finding]:
    """A part that is judged without the others."""
    if is_part(header):
        number, count = header.integer("split.no") or 0, header.integer("split.count")
        text = f"The file is part {number + 1} of {'several' if count is None else count}."
        yield finding("P-SPLIT", text, subject="split.count")


def check_split(headers: Mapping[str, Header | None]) -> tuple[Finding, ...]:
    """Judge a set of parts by file name; None stands for a part that is there and could not be read.

    The parts' own structure, and the model that they make together (`joined`), are judged elsewhere.
    """
    return tuple(_findings(headers))


def _findings(headers: Mapping[str, Header | None]) -> Iterator[Finding]:
    names = {name: parse_name(name) for name in headers}
    for name, parsed in names.items():
        if parsed is None:
            text = (
                f"{quote(name)} is not named PREFIX-00001-of-0000N.gguf; the engine looks for parts by name."
            )
            yield finding("P-NAME", text, subject=name)
    known = [parsed for parsed in names.values() if parsed is not None]
    if not known:
        return
    sets = {(parsed.prefix, parsed.count) for parsed in known}
    if len(sets) > 1:
        yield finding("P-NAME", f"The names belong to {len(sets)} different sets.", subject=known[0].prefix)
    for name in known[0].siblings:
        if name not in headers:
            yield finding("P-MISSING", f"{quote(name)} is not there.", subject=name)
    for name, header in headers.items():
        if header is not None:
            yield from _check_part(name, names[name], header)
    yield from _check_tensors(headers)


def _check_part(name: str, parsed: SplitName | None, header: Header) -> Iterator[Finding]:
    for key, due in (
        ("split.no", None if parsed is None else parsed.number - 1),
        ("split.count", None if parsed is None else parsed.count),
        ("split.tensors.count", None),
    ):
        number = header.integer(key)
        if number is None:
            # The engine asks every part for its number, and the first for the rest.
            is_needed = key == "split.no" or parsed is None or parsed.number == 1
            if is_needed and key not in header.metadata:
                yield finding("P-KEY", f"{quote(name)} does not say its {key}.", subject=name)
        elif due is not None and number != due:
            at = header.metadata[key].offset
            text = f"{quote(name)} says that its {key} is {number}; by its name it is {due}."
            yield finding("P-NUMBER", text, offset=at, subject=name)
    if parsed is not None and parsed.number > 1:
        others = sorted(key for key in header.metadata if key not in KEYS_OF_EVERY_PART)
        if others:
            text = f"{quote(name)} has {len(others)} keys that only the first part may have, such as {quote(others[0])}."
            yield finding("P-META", text, offset=header.metadata[others[0]].offset, subject=name)


def _check_tensors(headers: Mapping[str, Header | None]) -> Iterator[Finding]:
    home: dict[str, str] = {}
    for name, header in headers.items():
        # Twice in one part is that part's own flaw.
        for tensor in dict.fromkeys(tensor.name for tensor in header.tensors) if header else ():
            first = home.setdefault(tensor, name)
            if first != name:
                text = f"Tensor {quote(tensor)} is in {quote(first)} and in {quote(name)}."
                yield finding("P-TENSOR", text, subject=tensor)
    if any(header is None for header in headers.values()):
        return
    total = sum(len(header.tensors) for header in headers.values() if header)
    claimed = Counter(header.integer("split.tensors.count") for header in headers.values() if header)
    for number in claimed:
        if number is not None and number != total:
            text = f"The set holds {total} tensors; split.tensors.count is {number}."
            yield finding("P-TOTAL", text, subject="split.tensors.count")


def joined(headers: Mapping[str, Header]) -> Header:
    """The one model that the parts make, for the rules about models: metadata of the first part, tensors of all."""
    ordered = [headers[name] for name in sorted(headers)]
    metadata = {key: value for key, value in ordered[0].metadata.items() if key not in KEY_TYPES}
    return replace(
        ordered[0],
        metadata=metadata,
        tensors=tuple(tensor for header in ordered for tensor in header.tensors),
        header_bytes=sum(header.header_bytes for header in ordered),
        file_bytes=sum(header.file_bytes for header in ordered),
    )
