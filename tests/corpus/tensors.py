"""Tensor infos that lie, and data that lies where it must not."""

from collections.abc import Iterator
from dataclasses import replace

from tests.corpus.case import Case, good, reject, warn
from tests.corpus.models import BASES, WIDTH, llama
from tests.corpus.writer import ARRAY, I32, STRING, U8, U32, U64, File, Tensor

BASE_NAMES = ("llama", "qwen2", "gemma3", "mixtral", "deepseek2")


def cases() -> Iterator[Case]:
    for name in BASE_NAMES:
        yield from _infos(name, BASES[name]())
        yield from _layout(name, BASES[name]())
    yield from _alignment(llama())
    yield from _odd_layout(llama())


def _victim(base: File) -> str:
    """A matrix of the first block."""
    return next(str(row.name) for row in base.tensors if str(row.name).startswith("blk.0.ffn_gate"))


def _infos(name: str, base: File) -> Iterator[Case]:
    at = _victim(base)
    other = str(base.tensors[2].name)
    for label, new in {
        "64-bytes": "x" * 64, "newline": "blk.0\n", "escape": "blk.\x1b[2J", "nul": "blk.0.a\0b", "empty": "",
        "not-utf8": b"blk.\xff.weight", "bidirectional": "blk.\u202e0", "1-kb": "n" * 1000,
    }.items():  # fmt: skip
        yield reject(f"tensor/name-{label}/{name}", base.change(at, name=new), "T-NAME")
    yield reject(f"tensor/name-twice/{name}", base.change(at, name=other), "T-DUP")
    for label, dims in {
        "none": (), "five": (WIDTH, 1, 1, 1, 64), "hundred": (1,) * 100,
    }.items():  # fmt: skip
        yield reject(f"tensor/dims-{label}/{name}", base.change(at, dims=dims), "T-NDIMS")
    for label, dims in {
        "zero": (WIDTH, 0), "negative": (WIDTH, 2**64 - 1), "2-to-63": (2**63, 1), "zero-first": (0, WIDTH),
    }.items():  # fmt: skip
        yield reject(f"tensor/dims-{label}/{name}", base.change(at, dims=dims), "T-DIM")
    for label, dims in {
        "product-wraps-to-0": (2**32, 2**32), "product-wraps-small": (2**32, 2**32 + 1, 2), "2-to-62": (WIDTH, 2**62),
        "bytes-wrap": (2**62, 1), "four-big": (2**20, 2**20, 2**20, 2**20), "pads-to-0": (2**63 - 1, 1),
        "byte-size-near-2-to-64": (2**62 - 1, 2),
    }.items():  # fmt: skip
        yield reject(f"tensor/{label}/{name}", base.change(at, dims=dims), "T-PROD")
    for kind in (4, 5, 31, 32, 33, 36, 37, 38, 43, 99, 255, 2**31, 2**32 - 1, 9, 15):
        yield reject(f"tensor/type-{kind}/{name}", base.change(at, kind=kind), "T-TYPE")
    first = base.tensor(at).dims[0]
    if first % 256:
        yield reject(f"tensor/row-no-multiple-of-block/{name}", base.change(at, kind=12), "T-BLOCK")
    odd = base.change(at, dims=(first + 1, *base.tensor(at).dims[1:]), kind=8)
    yield reject(f"tensor/row-of-odd-length/{name}", odd, "T-BLOCK")


def _layout(name: str, base: File) -> Iterator[Case]:
    at, last = _victim(base), str(base.tensors[-1].name)
    for label, offset, check in (
        ("zero", 0, "L-OVERLAP"), ("unaligned", 7, "L-OFFALIGN"), ("one", 1, "L-OFFALIGN"),
    ):  # fmt: skip
        yield reject(f"layout/offset-{label}/{name}", base.change(at, offset=offset), check)
    for label, offset in {
        "2-to-64-minus-32": 2**64 - 32, "2-to-63": 2**63, "2-to-40": 2**40, "1-gb": 2**30,
    }.items():  # fmt: skip
        yield reject(f"layout/last-offset-{label}/{name}", base.change(last, offset=offset), "L-BOUNDS")
    place = base.marks().data[at] - base.marks().data_start
    for step in (-32, 32, 64):
        check = "L-OVERLAP" if step < 0 else "L-GAP"
        yield reject(f"layout/offset-by-{step}/{name}", base.change(at, offset=place + step), check)
    names = [str(row.name) for row in base.tensors]
    first, second = base.tensor(names[1]), base.tensor(names[2])
    swapped = {first.name: second, second.name: first}
    exchanged = replace(base, tensors=tuple(swapped.get(row.name, row) for row in base.tensors))
    offsets = base.marks()
    start = offsets.data_start
    moved = exchanged
    for one in (first, second):
        moved = moved.change(str(one.name), offset=offsets.data[str(one.name)] - start)
    yield reject(f"layout/infos-in-another-order/{name}", moved)
    yield reject(f"layout/all-offsets-zero/{name}", replace(
        base, tensors=tuple(replace(row, offset=0) for row in base.tensors)), "L-OVERLAP")  # fmt: skip
    # Twice the rows of the last matrix, as in the attack on ollama: more than the file holds.
    rows = base.tensor(last)
    if len(rows.dims) == 1:
        yield reject(f"layout/last-tensor-claims-more/{name}", base.change(last, dims=(2**20,)), "L-BOUNDS")
    yield reject(
        f"layout/junk-behind/{name}", replace(base, tail=b"PK\x03\x04" + bytes(range(256))), "L-TRAIL"
    )
    yield reject(f"layout/second-model-behind/{name}", replace(base, tail=base.encode()), "L-TRAIL")
    yield warn(f"layout/zeros-behind/{name}", replace(base, tail=bytes(4096)), "L-TRAIL")


def _alignment(base: File) -> Iterator[Case]:
    for value in (0, 1, 2, 3, 4, 31, 33, 48, 2**31, 2**32 - 1):
        yield reject(f"layout/alignment-{value}", base.set("general.alignment", U32, value), "L-ALIGN")
    for label, kind in (("u64", U64), ("i32", I32), ("u8", U8)):
        yield reject(f"layout/alignment-as-{label}", base.set("general.alignment", kind, 32), "L-ALIGN")
    yield reject("layout/alignment-as-text", base.set("general.alignment", STRING, "32"), "L-ALIGN")
    yield reject("layout/alignment-as-array", base.set("general.alignment", ARRAY, [32], U32), "L-ALIGN")
    yield reject("layout/alignment-not-honoured", base.set("general.alignment", U32, 4096))
    for value in (64, 128, 4096):
        yield good(f"sound/alignment-{value}", base.aligned(value))
    for value in (8, 16):
        even, odd = (_with_data_at(base.aligned(value), rest) for rest in (0, value))
        yield good(f"sound/alignment-{value}-where-data-begins-evenly", even)
        yield reject(f"layout/alignment-{value}-where-data-begins-oddly", odd, "L-ALIGN")


def _with_data_at(file: File, rest: int) -> File:
    """With a filler so long that data begins at this many bytes behind a multiple of 32."""
    for size in range(64):
        filled = file.set("general.filler", STRING, "x" * size)
        if filled.marks().data_start % 32 == rest:
            return filled
    raise AssertionError("no filler fits")


def _odd_layout(base: File) -> Iterator[Case]:
    marks = base.marks()
    assert marks.header_end % 32
    yield warn("layout/header-padding-not-zero", base.poke(marks.header_end, b"\xff"), "L-PAD")
    wide = base.aligned(4096)
    inside = wide.marks().data_end
    hidden = wide.marks().data["blk.0.attn_norm.weight"] + 128
    yield warn("layout/tensor-padding-not-zero", wide.poke(hidden, b"hidden"), "L-PAD")
    yield good("sound/no-final-padding", replace(wide, pad_last=False))
    yield reject("layout/final-tensor-cut-by-one", wide.encode()[: inside - 1], "L-BOUNDS")
    larger = base.aligned(16384)
    at = larger.marks().data["blk.0.attn_norm.weight"] + 128
    yield reject("layout/program-in-the-padding", larger.poke(at, b"\x7fELF" * 2000), "L-PAD")
    extra = Tensor("extra.weight", (WIDTH, WIDTH), 1, base.tensor("blk.0.attn_q.weight").data)
    yield reject("layout/stray-tensor", base.put(extra), "S-EXTRA")
