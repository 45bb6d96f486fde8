"""Table of tensor types as of llama.cpp 0c1e57098 (2026-10-01). Unknown ids are refused, never size 0."""

from dataclasses import dataclass
from enum import StrEnum

TABLE_VERSION = "llama.cpp 0c1e57098"


class Scale(StrEnum):
    """How the floating-point numbers of a block are stored, for the numeric scan."""

    NONE = "none"
    F16 = "f16"
    BF16 = "bf16"
    F32 = "f32"
    F64 = "f64"
    F16_FIELDS = "f16 fields"
    F32_FIELD = "f32 field"
    E8M0 = "e8m0"
    UE4M3 = "ue4m3"
    IQ1_M = "iq1_m"
    F8_E4M3 = "f8 e4m3"
    F8_E5M2 = "f8 e5m2"
    F8_FNUZ = "f8 fnuz"


@dataclass(frozen=True, slots=True)
class TensorType:
    """Block geometry of a type and where the floats lie that must be finite."""

    id: int
    name: str
    block_items: int
    block_bytes: int
    scale: Scale = Scale.F16_FIELDS
    fields: tuple[int, ...] = ()
    """Byte offsets of floating-point fields inside a block, side by side in every type."""
    is_for_files: bool = True
    largest_multiple: float = 1.0
    """The largest weight of a block is its scale times this."""

    @property
    def is_quantized(self) -> bool:
        return self.block_items > 1


_ROWS = (
    TensorType(0, "F32", 1, 4, Scale.F32),
    TensorType(1, "F16", 1, 2, Scale.F16),
    TensorType(2, "Q4_0", 32, 18, fields=(0,), largest_multiple=8),
    TensorType(3, "Q4_1", 32, 20, fields=(0, 2), largest_multiple=15),
    TensorType(6, "Q5_0", 32, 22, fields=(0,), largest_multiple=16),
    TensorType(7, "Q5_1", 32, 24, fields=(0, 2), largest_multiple=31),
    TensorType(8, "Q8_0", 32, 34, fields=(0,), largest_multiple=127),
    TensorType(9, "Q8_1", 32, 36, fields=(0, 2), is_for_files=False, largest_multiple=127),
    TensorType(10, "Q2_K", 256, 84, fields=(80, 82), largest_multiple=45),
    TensorType(11, "Q3_K", 256, 110, fields=(108,), largest_multiple=128),
    TensorType(12, "Q4_K", 256, 144, fields=(0, 2), largest_multiple=945),
    TensorType(13, "Q5_K", 256, 176, fields=(0, 2), largest_multiple=1953),
    TensorType(14, "Q6_K", 256, 210, fields=(208,), largest_multiple=4096),
    TensorType(15, "Q8_K", 256, 292, Scale.F32_FIELD, fields=(0,), is_for_files=False, largest_multiple=127),
    TensorType(16, "IQ2_XXS", 256, 66, fields=(0,), largest_multiple=167),
    TensorType(17, "IQ2_XS", 256, 74, fields=(0,), largest_multiple=167),
    TensorType(18, "IQ3_XXS", 256, 98, fields=(0,), largest_multiple=480),
    TensorType(19, "IQ1_S", 256, 50, fields=(0,), largest_multiple=17),
    TensorType(20, "IQ4_NL", 32, 18, fields=(0,), largest_multiple=127),
    TensorType(21, "IQ3_S", 256, 110, fields=(0,), largest_multiple=480),
    TensorType(22, "IQ2_S", 256, 82, fields=(0,), largest_multiple=167),
    TensorType(23, "IQ4_XS", 256, 136, fields=(0,), largest_multiple=4064),
    TensorType(24, "I8", 1, 1, Scale.NONE),
    TensorType(25, "I16", 1, 2, Scale.NONE),
    TensorType(26, "I32", 1, 4, Scale.NONE),
    TensorType(27, "I64", 1, 8, Scale.NONE),
    TensorType(28, "F64", 1, 8, Scale.F64),
    TensorType(29, "IQ1_M", 256, 56, Scale.IQ1_M, largest_multiple=17),
    TensorType(30, "BF16", 1, 2, Scale.BF16),
    TensorType(34, "TQ1_0", 256, 54, fields=(52,)),
    TensorType(35, "TQ2_0", 256, 66, fields=(64,)),
    TensorType(39, "MXFP4", 32, 17, Scale.E8M0, largest_multiple=6),
    TensorType(40, "NVFP4", 64, 36, Scale.UE4M3),
    TensorType(41, "Q1_0", 128, 18, fields=(0,)),
    TensorType(42, "Q2_0", 64, 18, fields=(0,), largest_multiple=2),
)
TENSOR_TYPES: dict[int, TensorType] = {row.id: row for row in _ROWS}
REMOVED_TYPES = frozenset({4, 5, 31, 32, 33, 36, 37, 38})

# Types that no matrix product of the engine accepts.
UNUSABLE_WEIGHTS = frozenset({"I8", "I16", "I32", "I64", "F64"})

FILE_TYPES: dict[int, str] = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K",
    12: "Q3_K", 13: "Q3_K", 14: "Q4_K", 15: "Q4_K", 16: "Q5_K", 17: "Q5_K", 18: "Q6_K", 19: "IQ2_XXS",
    20: "IQ2_XS", 21: "Q2_K", 22: "IQ3_S", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_S",
    28: "IQ2_S", 29: "IQ2_S", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4",
    39: "NVFP4", 40: "Q1_0", 41: "Q2_0",
}  # fmt: skip
