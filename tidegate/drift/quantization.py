"""What a quantization of each type usually costs, and what a measured one looks like beside it. Pure.

The reference is the scoreboard of llama.cpp's perplexity tool (tools/perplexity/README.md, revision f364eb6f): the
mean KL divergence of Llama-3 8B from its own f16 on Wikitext-2, without an importance matrix where the type was
measured without one. Smaller models and other texts cost more or less: it is a scale, not a law.
"""

import math
from dataclasses import dataclass

FILE_TYPE_NAMES: dict[int, str] = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K",
    19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL",
    26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16",
}  # fmt: skip
"""Of `general.file_type`, as llama.cpp numbers them."""
UNQUANTIZED = frozenset({"F32", "F16", "BF16"})

USUAL_KL: dict[str, float] = {
    "F16": 0.000551, "BF16": 0.000551, "Q8_0": 0.001355, "Q6_K": 0.005452, "Q5_K_M": 0.010762,
    "Q5_K_S": 0.016595, "Q5_1": 0.018045, "Q5_0": 0.022239, "Q4_K_M": 0.031273, "IQ4_NL": 0.035742,
    "IQ4_XS": 0.036334, "Q4_K_S": 0.043136, "Q4_1": 0.071683, "Q4_0": 0.071940, "Q3_K_L": 0.087176,
    "Q3_K_M": 0.101913, "IQ3_M": 0.102534, "IQ3_S": 0.111278, "IQ3_XS": 0.138693, "IQ3_XXS": 0.183625,
    "Q3_K_S": 0.228217, "IQ2_M": 0.325989, "Q2_K_S": 0.403360, "IQ2_S": 0.439197, "Q2_K": 0.445132,
    "IQ2_XS": 0.546290, "IQ2_XXS": 0.812022, "IQ1_M": 1.393084, "IQ1_S": 2.211278,
}  # fmt: skip
"""Mean KL divergence in nats a token."""
FAMILIAR = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K")
QUANTIZING_KEYS = ("general.file_type", "general.quantization_version", "quantize.", "general.size_label")
"""What a quantization writes into a header."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A measured divergence beside what is usual."""

    words: str
    usual: float | None
    factor: float | None


def file_type_name(number: int | None) -> str:
    """The name that people use; the number where it has none; empty when the header does not say."""
    return "" if number is None else FILE_TYPE_NAMES.get(number, f"type {number}")


def beside_usual(kl: float, file_type: str) -> Damage:
    """In words. Below half of what is usual is better than usual, up to twice as expected."""
    usual = USUAL_KL.get(file_type)
    if usual is None:
        return Damage(costs(kl), None, None)
    factor = kl / usual
    if factor < 0.5:
        words = f"less than is usual for {file_type}"
    elif factor <= 2:
        words = f"as expected for {file_type}"
    else:
        words = f"{factor:.1f} times what is usual for {file_type}"
    return Damage(words, usual, factor)


def costs(kl: float) -> str:
    """A divergence in words, on the scale of quantizations that people know."""
    if kl < USUAL_KL[FAMILIAR[0]] / 2:
        return f"less than quantizing to {FAMILIAR[0]} costs"
    if kl > USUAL_KL[FAMILIAR[-1]] * 2:
        return f"more than quantizing to {FAMILIAR[-1]} costs"
    nearest = min(FAMILIAR, key=lambda name: abs(math.log(kl / USUAL_KL[name])))
    return f"about as much as quantizing to {nearest} costs"


def is_of_quantizing(key: str) -> bool:
    return key.startswith(QUANTIZING_KEYS)
