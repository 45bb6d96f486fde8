"""Which tensors the loader of each architecture wants, as data, and their shapes in terms of a model's sizes.

Read from the loaders of llama.cpp 0c1e57098. One row is `where name dims...`: `.` once for the model, `*` in every
block, `d` in dense blocks, `e` in blocks with experts. A name that ends in `?` may be missing. Dims are sizes (see
`model_sizes.py`) joined by `*` and `+`; a row with a dim of 0 does not exist for this model. `qkv` stands for one
fused matrix or three with their biases, `gate_up_exps` for one or two.
"""

from dataclasses import dataclass

_ENDS = """
. token_embd.weight width vocabulary
. output_norm.weight width
"""
_HEAD = _ENDS + ". output.weight width vocabulary\n"
_TIED = _ENDS + ". output.weight? width vocabulary\n"
_NORMED = "* attn_norm.weight width\n* ffn_norm.weight width\n"
_BIASED_NORMS = _NORMED + ". output_norm.bias width\n* attn_norm.bias width\n* ffn_norm.bias width\n"

# Heads of a size of their own, or heads that share out the width.
_FREE = "* qkv width queries keys values\n* attn_output.weight queries width\n"
_FREE_EVEN = "* qkv width queries values values\n* attn_output.weight queries width\n"
_SQUARE = "* qkv width width values values\n* attn_output.weight width width\n"
_FUSED = "* attn_qkv.weight width width+2*values\n* attn_output.weight width width\n"
_HEAD_NORMS = "* attn_q_norm.weight head\n* attn_k_norm.weight head\n"
_AFTER_NORMS = "* post_attention_norm.weight width\n* post_ffw_norm.weight width\n"

_GATED = """
* ffn_gate.weight width ff
* ffn_up.weight width ff
* ffn_down.weight ff width
"""
_PLAIN = "* ffn_up.weight width ff\n* ffn_down.weight ff width\n"
_PLAIN_BIASED = _PLAIN + "* ffn_up.bias ff\n* ffn_down.bias width\n"
_EXPERTS = """
* ffn_gate_inp.weight width experts
* ffn_gate_exps.weight width expert_ff experts
* ffn_up_exps.weight width expert_ff experts
* ffn_down_exps.weight expert_ff width experts
"""
_WHOLE_EXPERTS = _EXPERTS.replace("expert_ff", "ff")
_SOME_DENSE = _GATED.replace("*", "d")
_SHARED_EXPERT = """
e ffn_gate_shexp.weight width shared_experts_ff
e ffn_up_shexp.weight width shared_experts_ff
e ffn_down_shexp.weight shared_experts_ff width
"""
_ROPE_FACTORS = ". rope_factors_long.weight? half_rope\n. rope_factors_short.weight? half_rope\n"

_LLAMA = (
    _TIED
    + _NORMED
    + _FREE
    + """
. rope_freqs.weight? half_rope_plain
. rope_factors_long.weight? half_rope_long
. rope_factors_short.weight? half_rope_long
* attn_output.bias? width
d ffn_gate.bias? ff
d ffn_up.bias? ff
d ffn_down.bias? width
e ffn_gate_shexp.weight width shared_ff
e ffn_up_shexp.weight width shared_ff
e ffn_down_shexp.weight shared_ff width
"""
    + _SOME_DENSE
    + _WHOLE_EXPERTS.replace("*", "e")
)
_DEEPSEEK2 = (
    _TIED
    + _NORMED
    + _SOME_DENSE
    + _SHARED_EXPERT
    + """
* attn_q_a.weight width q_rank
* attn_q_a_norm.weight q_rank
* attn_q_b.weight q_rank latent_queries
* attn_q.weight width plain_latent_queries
* attn_kv_a_mqa.weight width latent+rope
* attn_kv_a_norm.weight latent
* attn_k_b.weight latent_plain latent heads
* attn_v_b.weight latent latent_value heads
* attn_kv_b.weight latent legacy_latent_values
* attn_output.weight latent_outputs width
e ffn_gate_inp.weight width experts
e exp_probs_b.bias? experts
e gate_up_exps width expert_ff experts
e ffn_down_exps.weight expert_ff width experts
"""
)

_FAMILIES: dict[str, str] = {
    "llama llama-embed mistral3 minicpm granite granitemoe": _LLAMA,
    "qwen2 qwen2vl": _TIED + _NORMED + _SQUARE + _GATED + ". output.bias? vocabulary\n",
    "qwen3": _TIED + _NORMED + _FREE_EVEN + _HEAD_NORMS + _GATED + ". cls.output.weight? width labels\n",
    "qwen3vl": _TIED + _NORMED + _FREE_EVEN + _HEAD_NORMS + _GATED + ". cls.output.weight? width labels\n",
    "qwen2moe": _HEAD + _NORMED + _SQUARE + _EXPERTS + "* ffn_gate_inp_shexp.weight width\n"
    + _SHARED_EXPERT.replace("shared_experts_ff", "shared_ff_or_ff").replace("e ffn", "* ffn"),
    "qwen3moe": _TIED + _NORMED + _FREE_EVEN + _HEAD_NORMS + _EXPERTS,
    "gemma": _ENDS + _NORMED + _FREE + _GATED,
    "gemma2": _ENDS + _NORMED + _FREE + _GATED + _AFTER_NORMS,
    "gemma3": _TIED + _NORMED + _FREE + _HEAD_NORMS + _GATED + _AFTER_NORMS
    + ". dense_2.weight? width dense_2_out\n. dense_3.weight? dense_3_in width\n",
    "phi2": _HEAD + ". output_norm.bias width\n. output.bias vocabulary\n* attn_norm.weight width\n"
    + "* attn_norm.bias width\n* attn_output.bias width\n" + _SQUARE + _PLAIN_BIASED,
    "phi3": _TIED + _NORMED + _SQUARE + _ROPE_FACTORS + "* ffn_up.weight width 2*ff\n* ffn_down.weight ff width\n",
    "phimoe": _HEAD + _BIASED_NORMS + _SQUARE + _WHOLE_EXPERTS + _ROPE_FACTORS
    + ". output.bias vocabulary\n* attn_output.bias width\n",
    "olmo": _TIED.replace(". output_norm.weight width\n", "") + _SQUARE + _GATED,
    "olmo2": _HEAD + _SQUARE + _GATED + _AFTER_NORMS + "* attn_q_norm.weight width\n* attn_k_norm.weight shared_width\n",
    "olmoe": _HEAD + _NORMED + _SQUARE + _WHOLE_EXPERTS + "* attn_q_norm.weight width\n* attn_k_norm.weight width\n",
    "glm4": _TIED + _NORMED + _FREE + _AFTER_NORMS + "* ffn_up.weight width 2*ff\n* ffn_down.weight ff width\n",
    "chatglm": _TIED + _NORMED + "* qkv width queries keys values\n* attn_output.weight width width\n"
    + "* ffn_up.weight width 2*ff\n* ffn_down.weight ff width\n",
    "smollm3": _TIED + _NORMED + _FREE + _GATED,
    "internlm2 xverse baichuan": _HEAD + _NORMED + _SQUARE + _GATED,
    "exaone": _TIED + _NORMED + _FREE + _GATED + ". rope_freqs.weight? half_rope\n",
    "arcee": _TIED + _NORMED + _FREE + _PLAIN + ". rope_freqs.weight? half_rope\n",
    "exaone4": _TIED + "* qkv width queries keys values\n* attn_output.weight width width\n" + _HEAD_NORMS + _AFTER_NORMS
    + _GATED + ". rope_freqs.weight? half_rope\n",
    "seed_oss": _TIED + "* attn_norm.weight width\n* post_attention_norm.weight width\n"
    + "* qkv width queries keys keys\n* attn_output.weight queries width\n" + _GATED,
    "hunyuan-dense": _TIED + _NORMED + _FREE + _HEAD_NORMS + _GATED,
    "ernie4_5": _TIED + _NORMED + _FREE_EVEN + _GATED + "* attn_output.bias? width\n",
    "command-r cohere2": _ENDS + "* attn_norm.weight width\n" + _SQUARE + _GATED,
    "gpt2": _TIED + _BIASED_NORMS + _FUSED + _PLAIN_BIASED + ". position_embd.weight width context\n"
    + "* attn_qkv.bias width+2*values\n* attn_output.bias width\n",
    "gptneox": _HEAD + _BIASED_NORMS + _FUSED + _PLAIN_BIASED
    + "* attn_qkv.bias width+2*values\n* attn_output.bias width\n",
    "starcoder2": _TIED + _BIASED_NORMS + _SQUARE + _PLAIN_BIASED + "* attn_output.bias width\n",
    "falcon": _TIED + ". output_norm.bias width\n* attn_norm.weight width\n* attn_norm.bias width\n"
    + "* attn_norm_2.weight? width\n* attn_norm_2.bias? width\n" + _FUSED + _PLAIN,
    "stablelm": _HEAD + ". output_norm.bias width\n* attn_norm.weight width\n* attn_norm.bias width\n"
    + "* ffn_norm.weight? width\n* ffn_norm.bias? width\n* attn_q_norm.weight? head heads\n"
    + "* attn_k_norm.weight? head kv_heads\n" + _SQUARE + _GATED,
    "nemotron": _HEAD + _BIASED_NORMS + _SQUARE + _PLAIN
    + "* attn_output.bias? width\n* ffn_up.bias? ff\n* ffn_down.bias? width\n",
    "deepseek": _TIED + _NORMED + _SQUARE + _SOME_DENSE + _EXPERTS.replace("*", "e") + _SHARED_EXPERT,
    "deepseek2": _DEEPSEEK2,
    "gpt-oss": _HEAD + "* attn_norm.weight width\n* post_attention_norm.weight width\n"
    + "* qkv width heads*rope kv_heads*rope kv_heads*rope\n* attn_output.weight heads*rope width\n"
    + "* attn_output.bias width\n* attn_sinks.weight heads\n* ffn_gate_inp.bias experts\n"
    + "* ffn_gate_exps.bias expert_ff experts\n* ffn_up_exps.bias expert_ff experts\n"
    + "* ffn_down_exps.bias width experts\n" + _EXPERTS,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One wanted tensor: where it stands, its name without the block, its dims as terms of sizes."""

    where: str
    name: str
    dims: tuple[str, ...]
    is_optional: bool


def _rows(text: str) -> tuple[Row, ...]:
    rows: list[Row] = []
    for line in text.split("\n"):
        if line:
            where, name, *dims = line.split()
            rows.append(Row(where, name.removesuffix("?"), tuple(dims), name.endswith("?")))
    return tuple(rows)


WANTED: dict[str, tuple[Row, ...]] = {
    name: rows for names, text in _FAMILIES.items() for rows in (_rows(text),) for name in names.split()
}
