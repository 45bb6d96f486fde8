"""What a safetensors header says, and whether it can be true. Sums are Python integers: nothing wraps around.

Layout: u64 length, a JSON object of that length, then the data of the tensors back to back to the end of
the file. `data_offsets` count from the start of the data.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

from tidegate.gguf import Finding, TensorType, quote
from tidegate.gguf.tensor_types import Scale
from tidegate.safetensors.json_text import JsonLimits, JsonTrouble, JsonValue, read_json
from tidegate.safetensors.rules import finding

LENGTH_BYTES = 8
MAX_HEADER_BYTES = 16 * 1024**2
MAX_TENSORS = 65_536
MAX_NAME_CHARACTERS = 512
MAX_DIMS = 8
MAX_FINDINGS = 50
LARGEST_SIZE = 2**63 - 1
METADATA = "__metadata__"
FIELDS = {"dtype", "shape", "data_offsets"}
_LIMITS = JsonLimits(max_depth=4, max_values=16 * MAX_TENSORS, max_names=MAX_TENSORS + 1)

# Bits of an element, and where its numbers are for the scan. Ids below zero are none of GGUF's.
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8, "F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64,
}  # fmt: skip
_SCALES = {
    "F16": Scale.F16, "BF16": Scale.BF16, "F32": Scale.F32, "F64": Scale.F64, "F8_E4M3": Scale.F8_E4M3,
    "F8_E5M2": Scale.F8_E5M2, "F8_E8M0": Scale.E8M0, "F8_E4M3FNUZ": Scale.F8_FNUZ,
    "F8_E5M2FNUZ": Scale.F8_FNUZ, "C64": Scale.F32,
}  # fmt: skip
# A complex number is scanned as the two floats that it consists of.
_SCAN_BYTES = {name: 4 if name == "C64" else max(1, bits // 8) for name, bits in _BITS.items()}
KINDS: dict[str, TensorType] = {
    name: TensorType(-1 - index, name, 1, _SCAN_BYTES[name], _SCALES.get(name, Scale.NONE))
    for index, name in enumerate(_BITS)
}


@dataclass(frozen=True, slots=True)
class Weight:
    """One tensor; `begin` and `end` count from the start of the data."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def items(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class WeightsHeader:
    """Everything before the data."""

    weights: tuple[Weight, ...]
    metadata: Mapping[str, str]
    header_bytes: int
    file_bytes: int

    @property
    def data_bytes(self) -> int:
        return self.file_bytes - self.header_bytes


def check_length(first: bytes, file_bytes: int) -> tuple[int, Finding | None]:
    """The length that the first bytes give, or what is wrong with it."""
    if file_bytes < LENGTH_BYTES:
        return 0, finding("ST-TRUNC", f"The file has {file_bytes} bytes, less than a length.", offset=0)
    length = int.from_bytes(first[:LENGTH_BYTES], "little")
    left = file_bytes - LENGTH_BYTES
    if length > left:
        text = f"The header claims {length} bytes; {left} are left."
        return 0, finding("ST-TRUNC", text, offset=0)
    if not 2 <= length <= MAX_HEADER_BYTES:
        return 0, finding("ST-LENGTH", f"The header claims {length} bytes.", offset=0)
    return length, None


def parse_weights(text: bytes, file_bytes: int) -> tuple[WeightsHeader | None, tuple[Finding, ...]]:
    """Read and judge the JSON of a header. Without a header there is a finding that says why."""
    header_bytes = LENGTH_BYTES + len(text)
    if not text.startswith(b"{"):
        found = finding("ST-JSON", f"The header begins with {quote(text[:8])} instead of a brace.", offset=8)
        return None, (found,)
    reading = read_json(text, _LIMITS)
    if reading.trouble is not None:
        check = "ST-LIMIT" if reading.trouble is JsonTrouble.LIMIT else "ST-JSON"
        at = LENGTH_BYTES + reading.offset
        return None, (finding(check, f"The header cannot be read: {reading.message}.", offset=at),)
    table = reading.table
    assert table is not None  # it begins with a brace
    found = [
        finding(
            "ST-DUP", f"Name {quote(name)} occurs twice in the header.", offset=LENGTH_BYTES, subject=name
        )
        for name in reading.duplicates
    ]
    metadata = _metadata(table.pop(METADATA, {}), found)
    names = list(table)
    # Each entry is let go once it was read: there may be tens of thousands.
    weights = tuple(weight for name in names if (weight := _weight(name, table.pop(name), found)))
    header = WeightsHeader(weights, metadata, header_bytes, file_bytes)
    if len(weights) == len(names):
        found += check_places(header)
    return header, tuple(found)


def _metadata(value: JsonValue, found: list[Finding]) -> dict[str, str]:
    if not isinstance(value, dict):
        found.append(finding("ST-META", "__metadata__ is no object.", offset=LENGTH_BYTES, subject=METADATA))
        return {}
    texts = {name: text for name, text in value.items() if isinstance(text, str)}
    if len(texts) != len(value):
        first = next(name for name in value if name not in texts)
        text = (
            f"__metadata__ holds {len(value) - len(texts)} values that are no strings, {quote(first)} first."
        )
        found.append(finding("ST-META", text, offset=LENGTH_BYTES, subject=METADATA))
    return texts


def _weight(name: str, entry: JsonValue, found: list[Finding]) -> Weight | None:
    """One entry; every fault is reported, but no more of them than a report can hold."""
    problem = _problem(name, entry)
    if problem is not None:
        check, message = problem
        if len(found) < MAX_FINDINGS:
            found.append(finding(check, message, offset=LENGTH_BYTES, subject=name))
        return None
    assert isinstance(entry, dict)
    begin, end = _integers(entry["data_offsets"]) or (0, 0)
    return Weight(name, str(entry["dtype"]), _integers(entry["shape"]) or (), begin, end)


def _problem(name: str, entry: JsonValue) -> tuple[str, str] | None:
    shown = quote(name)
    if not 0 < len(name) <= MAX_NAME_CHARACTERS or not name.isprintable() or _looks_like_path(name):
        return "ST-NAME", f"{shown} is no name for a tensor."
    if not isinstance(entry, dict) or set(entry) != FIELDS:
        return "ST-ENTRY", f"Tensor {shown} has not exactly the fields dtype, shape and data_offsets."
    dtype, shape, places = entry["dtype"], _integers(entry["shape"]), _integers(entry["data_offsets"])
    if not isinstance(dtype, str) or shape is None or places is None or len(places) != 2:
        return "ST-ENTRY", f"Tensor {shown} has a dtype, shape or data_offsets of another kind."
    if dtype not in _BITS:
        return "ST-DTYPE", f"Tensor {shown} has the unknown dtype {quote(dtype)}."
    if len(shape) > MAX_DIMS or prod(shape) > LARGEST_SIZE or max(shape, default=0) > LARGEST_SIZE:
        return "ST-SHAPE", f"Tensor {shown} has {len(shape)} dimensions and {quote(str(shape))} for a shape."
    bits = prod(shape) * _BITS[dtype]
    if bits % 8 or bits // 8 != places[1] - places[0]:
        size = f"{bits / 8:g}" if bits % 8 else bits // 8
        return "ST-BYTES", (
            f"Tensor {shown} of shape {list(shape)} in {dtype} takes {size} bytes; its offsets "
            f"{places[0]} to {places[1]} span {places[1] - places[0]}."
        )
    return None


def _integers(value: JsonValue) -> tuple[int, ...] | None:
    """Sizes or offsets: whole numbers that are not negative; true and 1.0 are none."""
    if not isinstance(value, list):
        return None
    numbers = [one for one in value if isinstance(one, int) and not isinstance(one, bool) and one >= 0]
    return tuple(numbers) if len(numbers) == len(value) else None


def _looks_like_path(name: str) -> bool:
    return name.startswith(("/", "~")) or "\\" in name or ".." in name.split("/")


def check_places(header: WeightsHeader) -> Iterator[Finding]:
    """The data begins at 0, has neither holes nor overlaps, and ends exactly where the file ends."""
    if not header.weights:
        yield finding("ST-NOTENSORS", "The header lists no tensors.", offset=LENGTH_BYTES)
    empty = [weight.name for weight in header.weights if not weight.items]
    if empty:
        text = f"{len(empty)} tensors have no elements, {quote(empty[0])} first."
        yield finding("ST-EMPTY", text, offset=LENGTH_BYTES, subject=empty[0])
    expected = 0
    for weight in sorted(header.weights, key=lambda weight: (weight.begin, weight.end)):
        if weight.begin != expected:
            check = "ST-GAP" if weight.begin > expected else "ST-OVERLAP"
            text = f"Tensor {quote(weight.name)} begins at {weight.begin}; {expected} was due."
            yield finding(check, text, offset=header.header_bytes + expected, subject=weight.name)
            return
        expected = weight.end
    if expected > header.data_bytes:
        text = f"The tensors end at byte {header.header_bytes + expected}; the file has {header.file_bytes}."
        yield finding("ST-BOUNDS", text, offset=header.file_bytes)
    elif expected < header.data_bytes:
        text = f"{header.data_bytes - expected} bytes follow the last tensor."
        yield finding("ST-TRAIL", text, offset=header.header_bytes + expected)
