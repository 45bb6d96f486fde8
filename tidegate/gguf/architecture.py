"""What each architecture needs, as data: names, required keys, types of keys, tokenizers.

Read from the loader of llama.cpp 0c1e57098 (all 150 model classes); `ENGINE_VERSION` names the anchor.
"""

from dataclasses import dataclass

from tidegate.gguf.header import ValueType
from tidegate.gguf.words import words

ENGINE_VERSION = "llama.cpp 0c1e57098"

LANGUAGE_MODELS = words(
    """
    llama llama4 deci falcon grok gpt2 gptneox mpt baichuan starcoder refact bloom stablelm qwen qwen2
    qwen2moe qwen2vl qwen3 qwen3moe qwen3next qwen3vl qwen3vlmoe qwen35 qwen35moe qwen4exp phi2 phi3 phimoe
    plamo plamo2 plamo3 codeshell orion internlm2 minicpm minicpm3 gemma gemma2 gemma3 gemma3n gemma4 starcoder2
    mamba mamba2 maple jamba falcon-h1 xverse command-r cohere2 cohere2moe dbrx olmo olmo2 olmoe muse-glimmer
    openelm arctic deepseek deepseek2 deepseek2-ocr deepseek32 deepseek4 chatglm glm4 glm4moe glm-dsa bitnet
    jais jais2 nemotron nemotron_h nemotron_h_moe exaone exaone4 exaone-moe rwkv6 rwkv6qwen2 rwkv7 arwkv7
    granite granitemoe granitehybrid graniteswitch granite_swa chameleon plm bailingmoe bailingmoe2 bailingmoe3
    dots1 dots3note arcee afmoe laguna ernie4_5 ernie4_5-moe hunyuan-moe hunyuan-dense hunyuan_vl hy_v3 hy_v4
    smollm3 gpt-oss lfm2 lfm2moe dream smallthinker llada llada-moe seed_oss grovemoe apertus minimax-01
    hrm_text minimax-m2 minimax-m3 cogvlm rnd1 pangu-embedded mistral3 mistral4 paddleocr mimo2 step35
    spark2_5 maincoder kimi-linear kimi-k3 glm5-next talkie mellum nanbeige
    """
)

# The engine loads these, and they turn a text into a vector.
EMBEDDING_MODELS = words(
    """
    bert modern-bert nomic-bert nomic-bert-moe neo-bert jina-bert-v2 jina-bert-v3 eurobert gemma-embedding llama-embed
    """
)

# Known to the tools around the engine, and no model that answers by itself.
OTHER_MODELS = {
    "clip": "the image or sound encoder of a model (mmproj)",
    "t5": "an encoder-decoder model",
    "t5encoder": "a text encoder",
    "wavtokenizer-dec": "an audio decoder",
    "qwen3tts": "a speech model",
    "pockettts": "a speech model",
    "eagle3": "a draft model, which guesses ahead for another",
    "dflash": "a draft model, which guesses ahead for another",
    "gemma4-assistant": "a draft model, which guesses ahead for another",
    "controlvector": "a control vector",
}

# Values of general.type beside "model".
OTHER_KINDS = {
    "adapter": "a LoRA adapter",
    "mmproj": "the image or sound encoder of a model (mmproj)",
    "imatrix": "an importance matrix, which guides quantization",
    "vocab": "a vocabulary",
}

REQUIRED_FOR_ALL = ("context_length", "embedding_length", "block_count")

_NORMS = {"RMS": "attention.layer_norm_rms_epsilon", "NORM": "attention.layer_norm_epsilon"}


def _required(text: str) -> dict[str, tuple[str, ...]]:
    """Keys by architecture, from lines `keys: architectures`; a line that is indented goes on."""
    found: dict[str, tuple[str, ...]] = {}
    for row in text.strip().replace("\n  ", " ").splitlines():
        keys, names = row.split(":")
        for name in names.split():
            found[name] = tuple(_NORMS.get(key, key) for key in keys.split())
    return found


# What the loader asks for beyond REQUIRED_FOR_ALL, whatever the values of other keys.
REQUIRED_EXTRA: dict[str, tuple[str, ...]] = _required(
    """
RMS: llama deci grok baichuan refact neo-bert eurobert qwen qwen2 qwen2moe qwen3 qwen3moe phi3 phimoe
  plamo plamo3 internlm2 minicpm gemma gemma2 gemma3 xverse olmo2 olmoe openelm arctic chatglm glm4
  bitnet exaone exaone4 chameleon arcee ernie4_5 ernie4_5-moe hunyuan-dense hunyuan_vl smollm3 dream
  smallthinker llada llada-moe seed_oss cogvlm rnd1 pangu-embedded mistral3 dflash paddleocr llama-embed
  maincoder nanbeige
NORM: falcon gpt2 mpt starcoder bert modern-bert nomic-bert jina-bert-v2 jina-bert-v3 bloom stablelm
  phi2 codeshell orion starcoder2 command-r olmo jais jais2 nemotron pockettts
RMS expert_feed_forward_length expert_shared_count: deepseek deepseek2-ocr glm4moe bailingmoe dots1
  afmoe
RMS ssm.conv_kernel ssm.group_count ssm.inner_size ssm.state_size ssm.time_step_rank: qwen3next plamo2
  mamba2 falcon-h1 granitehybrid
RMS expert_feed_forward_length: hunyuan-moe hy_v3 minimax-m2 mellum
RMS logit_scale: granite granitemoe talkie
RMS rope.dimension_sections: qwen3vl qwen3vlmoe qwen3tts
attention.kv_lora_rank RMS expert_feed_forward_length expert_shared_count: deepseek2 mistral4
RMS attention.sliding_window: gemma3n gemma-embedding
RMS ssm.conv_kernel ssm.inner_size ssm.state_size ssm.time_step_rank: mamba jamba
RMS attention.sliding_window attention.sliding_window_pattern expert_feed_forward_length: mimo2 step35
NORM ssm.conv_kernel ssm.group_count ssm.inner_size ssm.state_size ssm.time_step_rank: nemotron_h
  nemotron_h_moe
RMS rope.dimension_sections ssm.conv_kernel ssm.group_count ssm.inner_size ssm.state_size
  ssm.time_step_rank: qwen35 qwen35moe
time_decay_extra_dim time_mix_extra_dim wkv.head_size: rwkv6 rwkv6qwen2
attention.decay_lora_rank attention.iclr_lora_rank attention.value_residual_mix_lora_rank wkv.head_size:
  rwkv7 arwkv7
RMS attention.relative_buckets_count: t5 t5encoder
RMS xielu.alpha_n xielu.alpha_p xielu.beta xielu.eps: apertus
RMS expert_feed_forward_length expert_gating_func expert_shared_count: bailingmoe2
attention.key_length_mla attention.kv_lora_rank RMS attention.value_length_mla
  expert_feed_forward_length expert_gating_func expert_shared_count kda.gate_lower_bound kda.head_dim
  leading_dense_block_count ssm.conv_kernel: bailingmoe3
NORM attention.sliding_window logit_scale: cohere2
attention.sliding_window expert_feed_forward_length leading_dense_block_count logit_scale: cohere2moe
attention.clamp_kqv NORM: dbrx
attention.indexer.head_count attention.indexer.key_length attention.indexer.top_k attention.kv_lora_rank
  RMS attention.q_lora_rank expert_feed_forward_length expert_gating_func expert_shared_count:
  deepseek32
attention.compress_ratios attention.compress_rope_freq_base attention.indexer.head_count
  attention.indexer.key_length attention.indexer.top_k RMS attention.output_group_count
  attention.output_lora_rank attention.q_lora_rank attention.sliding_window expert_feed_forward_length
  expert_gating_func expert_shared_count expert_weights_norm expert_weights_scale hash_layer_count
  hyper_connection.count hyper_connection.epsilon hyper_connection.sinkhorn_iterations swiglu_clamp_exp:
  deepseek4
attention.indexer.head_count attention.indexer.key_length attention.indexer.top_k
  attention.indexer.types attention.key_length_mla attention.key_length_mla_swa attention.kv_lora_rank
  attention.kv_lora_rank_swa RMS attention.q_lora_rank attention.sliding_window
  attention.sliding_window_pattern attention.value_length_mla attention.value_length_mla_swa
  expert_feed_forward_length expert_gating_func expert_shared_count leading_dense_block_count
  rope.freq_base_swa: dots3note
RMS target_hidden_size: eagle3
RMS attention.sliding_window expert_feed_forward_length expert_gating_func: exaone-moe
attention.key_length_swa RMS attention.sliding_window attention.sliding_window_pattern
  attention.value_length_swa embedding_length_per_layer_input: gemma4
attention.key_length_swa RMS attention.sliding_window attention.sliding_window_pattern
  attention.value_length_swa: gemma4-assistant
attention.indexer.head_count attention.indexer.key_length attention.indexer.top_k attention.kv_lora_rank
  RMS attention.q_lora_rank expert_feed_forward_length expert_shared_count: glm-dsa
attention.indexer.head_count attention.indexer.key_length attention.indexer.kpool
  attention.indexer.top_k attention.key_length_mla attention.kv_lora_rank RMS attention.q_lora_rank
  attention.value_length_mla expert_feed_forward_length expert_shared_count hyper_connection.count
  hyper_connection.epsilon hyper_connection.sinkhorn_iterations kda.head_dim ssm.conv_kernel: glm5-next
RMS attention.sliding_window expert_feed_forward_length: gpt-oss
NORM use_parallel_residual: gptneox
RMS attention.sliding_window attention.sliding_window_pattern logit_scale: granite_swa
adapters.count adapters.lora_rank adapters.token_ids_activate adapters.token_ids_substitute RMS
  logit_scale: graniteswitch
RMS expert_feed_forward_length expert_group_scale experts_per_group: grovemoe
RMS hrm.h_cycles hrm.l_cycles hrm.layers_per_stack: hrm_text
attention.key_length_mla attention.kv_lora_rank RMS attention.q_lora_rank attention.value_length_mla
  expert_feed_forward_length expert_shared_count hyper_connection.count hyper_connection.epsilon
  hyper_connection.magnitude: hy_v4
activation.situ_beta activation.situ_linear_beta attention.key_length_mla attention.kv_lora_rank RMS
  attention.value_length_mla attn_res.block_size expert_feed_forward_length expert_gating_func
  expert_shared_count kda.head_dim ssm.conv_kernel: kimi-k3
attention.key_length_mla attention.kv_lora_rank RMS attention.value_length_mla
  expert_feed_forward_length expert_gating_func expert_shared_count kda.head_dim ssm.conv_kernel:
  kimi-linear
RMS expert_feed_forward_length leading_dense_block_count: laguna
RMS shortconv.l_cache: lfm2
RMS expert_feed_forward_length expert_gating_func shortconv.l_cache: lfm2moe
RMS expert_feed_forward_length interleave_moe_layer_step: llama4
RMS attention.sliding_window attention.sliding_window_pattern expert_feed_forward_length
  swiglu_clamp_exp: maple
attention.kv_lora_rank RMS attention.q_lora_rank: minicpm3
RMS residual_scale: minimax-01
attention.indexer.block_size attention.indexer.head_count attention.indexer.key_length
  attention.indexer.local_blocks attention.indexer.top_k RMS expert_feed_forward_length
  expert_gating_func expert_shared_count: minimax-m3
RMS attention.sliding_window logit_scale: muse-glimmer
NORM moe_every_n_layers: nomic-bert-moe
attention.kv_lora_rank RMS: plm
RMS rope.dimension_sections: qwen2vl
attention.indexer.head_count attention.indexer.key_length attention.indexer.top_k RMS
  hyper_connection.count hyper_connection.low_rank rope.dimension_sections ssm.conv_kernel
  ssm.group_count ssm.inner_size ssm.state_size ssm.time_step_rank: qwen4exp
RMS attention.sliding_window attention.sliding_window_pattern: spark2_5
attention.group_norm_epsilon attention.group_norm_groups NORM: wavtokenizer-dec
"""
)

# Models that cannot be loaded without experts.
MUST_HAVE_EXPERTS = words(
    """
    bailingmoe bailingmoe2 cohere2moe dbrx deepseek deepseek2 deepseek2-ocr deepseek32 dots1 exaone-moe glm-dsa
    glm4moe grovemoe hy_v4 llada-moe maple mellum mistral4 olmoe qwen2moe qwen3moe qwen3vlmoe rnd1 smallthinker
    """
)
# One expert and fewer mean none for these.
EXPERTS_MAY_BE_ONE = words("hunyuan_vl hunyuan-dense")

# The loader refuses another rotary size than that of the head.
ROPE_IS_HEAD_AT_LOAD = words("llama deci falcon llama-embed")
# The first token aborts the engine when the rotary size is another than that of the head.
ROPE_IS_HEAD = ROPE_IS_HEAD_AT_LOAD | words(
    """
    llama4 grok baichuan qwen2 qwen2moe qwen2vl qwen3 qwen3moe qwen3vl qwen3vlmoe plamo codeshell orion internlm2
    starcoder2 xverse cohere2moe dbrx olmo olmo2 olmoe arctic deepseek jais2 exaone exaone4 exaone-moe granite
    graniteswitch granite_swa chameleon dots1 arcee ernie4_5 ernie4_5-moe hunyuan-moe hunyuan_vl hy_v3 smollm3 dream
    smallthinker llada llada-moe seed_oss grovemoe apertus cogvlm rnd1 pangu-embedded mistral3 paddleocr maincoder
    talkie mellum
    """
)
# The first token aborts the engine when keys and values have heads of different size.
VALUE_IS_KEY = ROPE_IS_HEAD | words(
    """
    gpt2 gptneox mpt starcoder refact bloom stablelm qwen qwen3next qwen35 qwen35moe phi2 phi3 command-r cohere2
    openelm chatglm glm4 glm4moe bitnet jais nemotron nemotron_h granitehybrid bailingmoe2 afmoe laguna minimax-01
    minimax-m2 nanbeige
    """
)

# Its norm of keys is as wide as the model: shared key-value heads abort the engine at the first token.
ONE_KEY_PER_HEAD = frozenset({"olmoe"})

RECURRENT = frozenset({"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7", "maple"})

U32, I32, F32, STRING, BOOL = ValueType.U32, ValueType.I32, ValueType.F32, ValueType.STRING, ValueType.BOOL

_GENERAL_TYPES: dict[ValueType, str] = {
    STRING: "general.architecture general.name general.type tokenizer.ggml.model tokenizer.ggml.pre",
    U32: """
    general.alignment general.file_type general.quantization_version tokenizer.ggml.token_type_count
    tokenizer.ggml.bos_token_id tokenizer.ggml.eos_token_id tokenizer.ggml.eot_token_id tokenizer.ggml.eom_token_id
    tokenizer.ggml.unknown_token_id tokenizer.ggml.seperator_token_id tokenizer.ggml.padding_token_id
    tokenizer.ggml.mask_token_id tokenizer.ggml.fim_pre_token_id tokenizer.ggml.fim_suf_token_id
    tokenizer.ggml.fim_mid_token_id tokenizer.ggml.fim_pad_token_id tokenizer.ggml.fim_rep_token_id
    tokenizer.ggml.fim_sep_token_id tokenizer.ggml.prefix_token_id tokenizer.ggml.suffix_token_id
    tokenizer.ggml.middle_token_id
    """,
    BOOL: """
    tokenizer.ggml.add_bos_token tokenizer.ggml.add_eos_token tokenizer.ggml.add_sep_token
    tokenizer.ggml.add_space_prefix tokenizer.ggml.remove_extra_whitespaces
    """,
}
GENERAL_TYPES: dict[str, ValueType] = {
    key: kind for kind, keys in _GENERAL_TYPES.items() for key in keys.split()
}


@dataclass(frozen=True, slots=True)
class KeyType:
    """How the engine reads a key of the model: as one value, as one per block, or both."""

    single: ValueType
    items: tuple[ValueType, ...] = ()
    """Types of items when it may be an array; empty when it may not."""
    is_per_block: bool = False
    """An array must then have one item for each block."""


_PER_BLOCK = KeyType(U32, (U32, I32, BOOL), is_per_block=True)
_KEY_TYPES: dict[KeyType, str] = {
    KeyType(BOOL): """
    attention.causal attention.indexer.kpool_select_tail expert_weights_norm hrm.prefix_lm kda.safe_gate
    norm_before_fc norm_before_residual rope.scaling.finetuned skip_loop_final_norm ssm.dt_b_c_rms swin_norm
    use_parallel_residual
    """,
    KeyType(STRING): "hidden_activation rope.scaling.type",
    KeyType(F32): """
    activation.situ_beta activation.situ_linear_beta adapters.router_gain attention.clamp_kqv
    attention.compress_rope_freq_base attention.group_norm_epsilon attention.layer_norm_epsilon
    attention.layer_norm_rms_epsilon attention.max_alibi_bias attention.output_scale attention.scale
    attention.temperature_scale attention.value_scale attn_logit_softcapping embedding_scale expert_group_scale
    expert_weights_scale final_logit_softcapping hyper_connection.epsilon hyper_connection.magnitude
    kda.gate_lower_bound logit_scale residual_scale rope.freq_base rope.freq_base_swa rope.scale_linear
    rope.scaling.factor rope.scaling.attn_factor rope.scaling.alpha rope.scaling.yarn_attn_factor
    rope.scaling.yarn_beta_fast rope.scaling.yarn_beta_slow rope.scaling.yarn_ext_factor
    rope.scaling.yarn_log_multiplier router_logit_softcapping
    """,
    KeyType(U32): """
    adapters.count adapters.lora_rank attention.decay_lora_rank attention.gate_lora_rank
    attention.group_norm_groups attention.iclr_lora_rank attention.indexer.block_size attention.indexer.head_count
    attention.indexer.key_length attention.indexer.kpool attention.indexer.local_blocks attention.indexer.top_k
    attention.key_length attention.key_length_mla attention.key_length_mla_swa attention.key_length_swa
    attention.kv_lora_rank attention.kv_lora_rank_swa attention.output_group_count attention.output_lora_rank
    attention.q_lora_rank attention.relative_buckets_count attention.shared_kv_layers attention.sliding_window
    attention.temperature_length attention.value_length attention.value_length_mla attention.value_length_mla_swa
    attention.value_length_swa attention.value_residual_mix_lora_rank attn_res.block_size block_count block_size
    context_length conv_group_size conv_kernel_size decoder_block_count decoder_start_token_id dense_2_feat_in
    dense_2_feat_out dense_3_feat_in dense_3_feat_out embedding_length embedding_length_out
    embedding_length_per_layer_input expert_chunk_feed_forward_length expert_count expert_gating_func
    expert_group_count expert_group_used_count expert_latent_length expert_shared_count
    expert_shared_feed_forward_length experts_per_group full_attention_interval hash_layer_count hrm.h_cycles
    hrm.l_cycles hrm.layers_per_stack hyper_connection.count hyper_connection.low_rank
    hyper_connection.sinkhorn_iterations interleave_moe_layer_step kda.head_dim leading_dense_block_count
    moe_every_n_layers moe_latent_size n_deepstack_layers nextn_predict_layers num_loops ple.conv_kernel
    ple.eos_token_id ple.heads_per_ngram ple.image_token_id ple.ngram_size pooling_type rescale_every_n_layers
    rope.dimension_count rope.dimension_count_swa rope.scaling.original_context_length selector_rank selector_top_k
    shortconv.l_cache ssm.conv_kernel ssm.group_count ssm.inner_size ssm.state_size ssm.time_step_rank
    target_hidden_size time_decay_extra_dim time_mix_extra_dim token_shift_count vocab_size wkv.head_size
    """,
    _PER_BLOCK: """
    attention.head_count attention.head_count_kv attention.recurrent_layers expert_feed_forward_length
    expert_used_count feed_forward_length
    """,
    KeyType(F32, (F32,), is_per_block=True): """
    swiglu_clamp_exp swiglu_clamp_shexp xielu.alpha_n xielu.alpha_p xielu.beta xielu.eps
    """,
    KeyType(U32, (U32, I32, BOOL)): "attention.sliding_window_pattern attention.compress_ratios",
    KeyType(I32, (U32, I32)): "rope.dimension_sections",
}
MODEL_TYPES: dict[str, KeyType] = {key: kind for kind, keys in _KEY_TYPES.items() for key in keys.split()}

ROPE_SCALINGS = frozenset({"none", "linear", "yarn", "longrope"})

TOKENIZERS = words("llama bert gpt2 hybriddna whitespace t5 rwkv plamo2 gemma4 no_vocab none")
BYTE_LEVEL = words("gpt2 hybriddna whitespace")
PRE_TOKENIZERS = words(
    """
    a.x-4.0 afmoe bailingmoe bailingmoe2 bloom chameleon chatglm-bpe codeshell cohere2moe command-r dbrx
    deepseek-coder deepseek-llm deepseek-r1-qwen deepseek-v3 default exaone exaone-moe exaone4 f2llmv2
    falcon falcon-h1 falcon3 gemma4 gigachat glm4 glm5 gpt-2 gpt-4o gpt3-finnish granite-docling
    granite-embed-multi-311m granite-embed-multi-97m grok-2 hunyuan hunyuan-dense hy_v4 jais jais-2
    jina-de jina-es jina-v1-en jina-v2-code jina-v2-de jina-v2-es jina-v5-nano joyai-llm kanana2 kimi-k2
    kormo laguna lfm2 llada-moe llama-bpe llama-v3 llama3 llama4 megrez mellum mellum2 midm-2.0
    minerva-7b minicpm5 minimax-m2 modern-bert mpt olmo phi-2 pixtral poro-chat qwen2 qwen35 refact
    roberta-bpe sarvam-moe seed-coder smaug-bpe smollm solar-open spark2_5 stablelm2 starcoder superbpe
    talkie tekken tiny_aya trillion ufakzeka viking whitespace youtu
    """
)
