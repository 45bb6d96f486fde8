"""Weights that are not numbers, for every tensor type that has scales."""

import struct
from collections.abc import Iterator

from tests.corpus.case import Case, good, reject, warn
from tests.corpus.models import BASES, MAIN, llama, wide
from tests.corpus.writer import KINDS, Kind

NAN16, INF16 = b"\x00\x7e", b"\x00\x7c"
FILE_TYPES = {
    "F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "Q2_K": 10, "Q3_K": 12, "Q4_K": 15,
    "Q5_K": 17, "Q6_K": 18, "IQ2_XXS": 19, "IQ2_XS": 20, "IQ3_XXS": 23, "IQ1_S": 24, "IQ4_NL": 25, "IQ3_S": 26,
    "IQ2_S": 28, "IQ4_XS": 30, "IQ1_M": 31, "BF16": 32, "TQ1_0": 36, "TQ2_0": 37, "MXFP4": 38, "NVFP4": 39,
    "Q1_0": 40, "Q2_0": 41,
}  # fmt: skip
PLAIN = {
    "F32": (struct.pack("<f", float("nan")), struct.pack("<f", float("inf"))),
    "F16": (NAN16, INF16),
    "BF16": (b"\xc0\x7f", b"\x80\x7f"),
}
VICTIM = "blk.0.attn_q.weight"


def cases() -> Iterator[Case]:
    for name, number in FILE_TYPES.items():
        yield from _of_type(KINDS[name], number)
    for name in MAIN:
        base = BASES[name]()
        at = base.marks().data["token_embd.weight"] + 4
        yield reject(f"numeric/nan-in-the-embedding/{name}", base.poke(at, NAN16), "N-NAN")
        at = base.marks().data["output_norm.weight"]
        yield reject(f"numeric/nan-in-a-norm/{name}", base.poke(at, PLAIN["F32"][0]), "N-NAN")
        zero = base.change("token_embd.weight", data=bytes(len(base.tensor("token_embd.weight").data)))
        yield reject(f"numeric/zero-embedding/{name}", zero, "N-ZERO")
    base = llama()
    size = len(base.tensor(VICTIM).data)
    yield warn("numeric/constant-weights", base.change(VICTIM, data=b"\x00\x2c" * (size // 2)), "N-CONST")
    huge = struct.pack("<f", 1e6) * (size // 2)
    yield warn("numeric/huge-weights", base.change(VICTIM, kind=0, data=huge[:-4] + bytes(4)), "N-HUGE")
    for name in ("I8", "I16", "I32", "I64", "F64"):
        data = bytes(range(1, 129)) * (1024 * KINDS[name].bytes // 128)
        yield reject(
            f"semantic/weights-of-{name}", base.change(VICTIM, kind=KINDS[name].id, data=data), "S-WEIGHT"
        )


def _of_type(kind: Kind, number: int) -> Iterator[Case]:
    base = wide(kind.name, number)
    yield good(f"sound/type-{kind.name}", base)
    start = base.marks().data[VICTIM]
    if kind.name in PLAIN:
        for label, raw in zip(("nan", "inf"), PLAIN[kind.name], strict=True):
            yield reject(
                f"numeric/{label}-{kind.name}", base.poke(start + 40 * kind.bytes, raw), f"N-{label.upper()}"
            )
        return
    for place in kind.halves:
        for block in (0, 7):
            at = start + block * kind.bytes + place
            yield reject(f"numeric/nan-{kind.name}-at-{place}-block-{block}", base.poke(at, NAN16), "N-NAN")
        yield reject(f"numeric/inf-{kind.name}-at-{place}", base.poke(start + place, INF16), "N-INF")
    if kind.name == "MXFP4":
        yield reject("numeric/nan-MXFP4", base.poke(start + 3 * kind.bytes, b"\xff"), "N-NAN")
    if kind.name == "NVFP4":
        yield reject("numeric/bad-scale-NVFP4", base.poke(start + 3 * kind.bytes + 2, b"\x7f"), "N-RANGE")
    if kind.name == "IQ1_M":
        block = bytearray(base.tensor(VICTIM).data[: kind.bytes])
        for at, nibble in ((49, 0x00), (51, 0x00), (53, 0xE0), (55, 0x70)):
            block[at] = (block[at] & 0x0F) | nibble
        yield reject("numeric/nan-IQ1_M", base.poke(start, bytes(block)), "N-NAN")
