"""Models in several files, whole and mixed up. Contents are files by name."""

from collections.abc import Iterator
from dataclasses import replace

from tests.corpus.case import Case, good, reject, warn
from tests.corpus.models import BASES, llama
from tests.corpus.writer import ARRAY, I32, STRING, U16, U32, File, Pair

Parts = dict[str, File]


def cases() -> Iterator[Case]:
    for name, make in BASES.items():
        yield good(f"split/whole/{name}", _encoded(split(make(), 3)))
    base = llama()
    yield good("split/two-parts", _encoded(split(base, 2)))
    yield good("split/first-part-without-tensors", _encoded(split(base, 3, is_first_empty=True)))
    yield from _wrong_sets(base)
    yield from _wrong_keys(base)
    one = split(base, 3)
    for number, part in enumerate(one.values()):
        yield reject(f"split/part-{number}-alone", part, "P-SPLIT")


def split(base: File, count: int, *, is_first_empty: bool = False) -> Parts:
    """The parts of a model as llama-gguf-split writes them."""
    total = len(base.tensors)
    edges = [total * number // count for number in range(count + 1)]
    if is_first_empty:
        edges = [0, *(total * number // (count - 1) for number in range(count))]
    parts: Parts = {}
    for number in range(count):
        own = (
            Pair("split.no", U16, number),
            Pair("split.count", U16, count),
            Pair("split.tensors.count", I32, total),
        )
        pairs = (*base.pairs, *own) if number == 0 else own
        name = f"model-{number + 1:05d}-of-{count:05d}.gguf"
        parts[name] = replace(base, pairs=pairs, tensors=base.tensors[edges[number] : edges[number + 1]])
    return parts


def _encoded(parts: Parts) -> dict[str, bytes]:
    return {name: part.encode() for name, part in parts.items()}


def _wrong_sets(base: File) -> Iterator[Case]:
    parts = split(base, 3)
    first, second, third = parts
    for name in (second, third):
        rest = {other: part for other, part in parts.items() if other != name}
        yield reject(f"split/missing-{name[:11]}", _encoded(rest), "P-MISSING")
    yield reject(
        "split/second-is-the-third", _encoded({**parts, second: parts[third]}), "P-NUMBER", "P-TENSOR"
    )
    exchanged = {**parts, second: parts[third], third: parts[second]}
    yield reject("split/two-exchanged", _encoded(exchanged), "P-NUMBER")
    doubled = replace(parts[third], tensors=(parts[second].tensors[0], *parts[third].tensors))
    yield reject("split/tensor-in-two-parts", _encoded({**parts, third: doubled}), "P-TENSOR", "P-TOTAL")
    lacking = replace(parts[third], tensors=parts[third].tensors[1:])
    yield reject("split/tensor-lost", _encoded({**parts, third: lacking}), "P-TOTAL")
    cut = _encoded(parts)
    yield reject("split/part-cut", {**cut, third: cut[third][:-1]}, "L-BOUNDS")
    yield reject("split/part-empty", {**cut, second: b""}, "F-EMPTY")
    yield reject("split/part-is-a-web-page", {**cut, second: b"<!DOCTYPE html>"}, "F-FOREIGN")
    other = split(base.set("general.alignment", U32, 64), 3)
    aligned = replace(parts[second].set("general.alignment", U32, 64), alignment=64)
    assert other
    yield good("split/part-with-its-own-alignment", _encoded({**parts, second: aligned}))
    misnamed = {first.replace("00003", "3"): parts[first], second: parts[second], third: parts[third]}
    yield reject("split/misnamed", _encoded(misnamed), "P-NAME", "P-MISSING")


def _wrong_keys(base: File) -> Iterator[Case]:
    parts = split(base, 3)
    first, second, third = parts
    for key, kinds in {
        "split.no": (U32, I32),
        "split.count": (U32,),
        "split.tensors.count": (U16, U32),
    }.items():
        for kind in kinds:
            value = parts[second].get(key)
            wrong = {**parts, second: parts[second].set(key, kind, value)}
            yield reject(f"split/{key}-of-type-{kind}", _encoded(wrong), "P-TYPE")
    texts = {**parts, second: parts[second].set("split.no", STRING, "1")}
    yield reject("split/number-as-text", _encoded(texts), "P-TYPE")
    yield reject(
        "split/number-missing", _encoded({**parts, second: parts[second].without("split.no")}), "P-KEY"
    )
    yield reject(
        "split/count-missing", _encoded({**parts, first: parts[first].without("split.count")}), "P-KEY"
    )
    yield reject(
        "split/count-differs",
        _encoded({**parts, second: parts[second].set("split.count", U16, 4)}),
        "P-NUMBER",
    )
    total = {**parts, first: parts[first].set("split.tensors.count", I32, 1)}
    yield reject("split/total-differs", _encoded(total), "P-TOTAL")
    extra = {**parts, third: parts[third].add(Pair("general.tags", ARRAY, ["x"], STRING))}
    yield warn("split/metadata-in-a-later-part", _encoded(extra), "P-META")
