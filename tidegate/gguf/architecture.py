"""What each architecture needs, as data: names, required keys, key types, tensors of `llama`.

Taken from the loader of llama.cpp 0c1e57098; `ENGINE_VERSION` names the anchor.
"""

from tidegate.gguf.header import ValueType
from tidegate.gguf.words import words

ENGINE_VERSION = "llama.cpp 0c1e57098"

LANGUAGE_MODELS = words(
    """
    llama llama4 deci falcon grok gpt2 gptj gptneox mpt baichuan starcoder refact bloom stablelm qwen qwen2
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

OTHER_MODELS = {
    "clip": "an image encoder",
    "bert": "an embedding model",
    "modern-bert": "an embedding model",
    "nomic-bert": "an embedding model",
    "nomic-bert-moe": "an embedding model",
    "neo-bert": "an embedding model",
    "jina-bert-v2": "an embedding model",
    "jina-bert-v3": "an embedding model",
    "eurobert": "an embedding model",
    "gemma-embedding": "an embedding model",
    "llama-embed": "an embedding model",
    "t5": "an encoder-decoder model",
    "t5encoder": "an encoder",
    "wavtokenizer-dec": "an audio decoder",
    "qwen3tts": "a speech model",
    "pockettts": "a speech model",
    "eagle3": "a draft model",
    "dflash": "a draft model",
    "gemma4-assistant": "a draft model",
}

REQUIRED_FOR_ALL = ("context_length", "embedding_length", "block_count")

_RMS = "attention.layer_norm_rms_epsilon"
_NORM = "attention.layer_norm_epsilon"
_RMS_ONLY = words(
    """
    llama qwen2 qwen2moe qwen3 qwen3moe gemma gemma2 gemma3 phi3 phimoe mistral3 olmo2 olmoe glm4 smollm3
    internlm2 seed_oss minicpm exaone4
    """
)
_NORM_ONLY = words("gpt2 falcon phi2 stablelm starcoder2 nemotron command-r")

REQUIRED_EXTRA: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_RMS_ONLY, (_RMS,)),
    **dict.fromkeys(_NORM_ONLY, (_NORM,)),
    "gptneox": (_NORM, "use_parallel_residual"),
    "granite": (_RMS, "logit_scale"),
    "granitemoe": (_RMS, "logit_scale"),
    "cohere2": (_NORM, "attention.sliding_window", "logit_scale"),
    "gemma3n": (_RMS, "attention.sliding_window"),
    "gpt-oss": (_RMS, "expert_feed_forward_length", "attention.sliding_window"),
    "llama4": (_RMS, "expert_feed_forward_length", "interleave_moe_layer_step"),
    "deepseek": (_RMS, "expert_feed_forward_length", "expert_shared_count"),
    "deepseek2": (_RMS, "attention.kv_lora_rank", "expert_feed_forward_length", "expert_shared_count"),
    "qwen2vl": (_RMS, "rope.dimension_sections"),
    "qwen3vl": (_RMS, "rope.dimension_sections"),
    "glm4moe": (_RMS, "expert_feed_forward_length", "expert_shared_count"),
    "ernie4_5": (_RMS,),
}

# Architectures whose tensors are known exactly here.
LLAMA_LIKE = frozenset({"llama"})
RECURRENT = frozenset({"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7", "maple"})

U32, F32, STRING, BOOL = ValueType.U32, ValueType.F32, ValueType.STRING, ValueType.BOOL

GENERAL_TYPES: dict[str, ValueType] = {
    "general.architecture": STRING,
    "general.name": STRING,
    "general.alignment": U32,
    "general.file_type": U32,
    "general.quantization_version": U32,
    "tokenizer.ggml.model": STRING,
    "tokenizer.ggml.pre": STRING,
    "tokenizer.ggml.bos_token_id": U32,
    "tokenizer.ggml.eos_token_id": U32,
    "tokenizer.ggml.eot_token_id": U32,
    "tokenizer.ggml.eom_token_id": U32,
    "tokenizer.ggml.unknown_token_id": U32,
    "tokenizer.ggml.seperator_token_id": U32,
    "tokenizer.ggml.padding_token_id": U32,
    "tokenizer.ggml.mask_token_id": U32,
    "tokenizer.ggml.add_bos_token": BOOL,
    "tokenizer.ggml.add_eos_token": BOOL,
    "tokenizer.ggml.add_sep_token": BOOL,
    "tokenizer.ggml.add_space_prefix": BOOL,
    "tokenizer.ggml.remove_extra_whitespaces": BOOL,
}

MODEL_TYPES: dict[str, tuple[ValueType, ...]] = {
    "context_length": (U32,),
    "embedding_length": (U32,),
    "block_count": (U32,),
    "vocab_size": (U32,),
    "expert_count": (U32,),
    "expert_used_count": (U32, ValueType.ARRAY),
    "feed_forward_length": (U32, ValueType.ARRAY),
    "attention.head_count": (U32, ValueType.ARRAY),
    "attention.head_count_kv": (U32, ValueType.ARRAY),
    "attention.key_length": (U32,),
    "attention.value_length": (U32,),
    "attention.layer_norm_rms_epsilon": (F32,),
    "attention.layer_norm_epsilon": (F32,),
    "attention.causal": (BOOL,),
    "rope.dimension_count": (U32,),
    "rope.freq_base": (F32,),
    "rope.scale_linear": (F32,),
    "rope.scaling.type": (STRING,),
    "rope.scaling.factor": (F32,),
    "rope.scaling.attn_factor": (F32,),
    "rope.scaling.original_context_length": (U32,),
    "rope.scaling.finetuned": (BOOL,),
    "logit_scale": (F32,),
}

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
