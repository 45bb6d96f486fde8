"""Small sound models of many shapes. Each loads in llama.cpp; the tests beside the engine prove that."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache

from tests.corpus.writer import ARRAY, BOOL, F32, I32, STRING, U32, File, Pair, Tensor, Weights

T = "tokenizer.ggml."
# Short, because every case is judged with one; other tests are about templates.
TEMPLATE = "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '</s>' }}{% endfor %}"
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
)
WORDS = ("the", "of", "and", "to", "river")
WIDTH, BLOCKS, HEADS, SHARED, INNER = 32, 2, 4, 2, 64
HEAD = WIDTH // HEADS


def sentencepiece(extra: Iterable[str] = WORDS) -> tuple[Pair, ...]:
    """A vocabulary in the manner of SentencePiece: specials, 256 byte tokens, roles, words."""
    words = list(extra)
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokens += ["<|system|>", "<|user|>", "<|assistant|>", *("\u2581" + word for word in words)]
    kinds = [2, 3, 3, *[6] * 256, *[3] * 3, *[1] * len(words)]
    return (
        Pair(T + "model", STRING, "llama"),
        Pair(T + "pre", STRING, "default"),
        Pair(T + "tokens", ARRAY, tokens, STRING),
        Pair(T + "scores", ARRAY, [float(-place) for place in range(len(tokens))], F32),
        Pair(T + "token_type", ARRAY, kinds, I32),
        Pair(T + "bos_token_id", U32, 1),
        Pair(T + "eos_token_id", U32, 2),
        Pair(T + "unknown_token_id", U32, 0),
        Pair(T + "add_bos_token", BOOL, 1),
        Pair(T + "add_eos_token", BOOL, 0),
    )


def byte_letters() -> list[str]:
    """The 256 printable letters by which byte-level tokenizers write bytes."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = iter(range(256, 512))
    return [chr(byte) if byte in kept else chr(next(other)) for byte in range(256)]


def byte_level(pre: str = "qwen2", merges: Iterable[str] = ("t h", "th e", "o f")) -> tuple[Pair, ...]:
    """A byte-level vocabulary in the manner of GPT-2, with ChatML control tokens."""
    pieces = list(merges)
    tokens = [*byte_letters(), *(piece.replace(" ", "") for piece in pieces)]
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    return (
        Pair(T + "model", STRING, "gpt2"),
        Pair(T + "pre", STRING, pre),
        Pair(T + "tokens", ARRAY, tokens + special, STRING),
        Pair(T + "token_type", ARRAY, [1] * len(tokens) + [3] * 3, I32),
        Pair(T + "merges", ARRAY, pieces, STRING),
        Pair(T + "bos_token_id", U32, len(tokens)),
        Pair(T + "eos_token_id", U32, len(tokens) + 2),
        Pair(T + "padding_token_id", U32, len(tokens)),
        Pair(T + "add_bos_token", BOOL, 0),
    )


def _general(architecture: str, **more: tuple[int, object]) -> list[Pair]:
    pairs = [
        Pair("general.architecture", STRING, architecture),
        Pair("general.type", STRING, "model"),
        Pair("general.name", STRING, "Corpus"),
        Pair("general.file_type", U32, 1),
        Pair("general.quantization_version", U32, 2),
    ]
    sizes: dict[str, tuple[int, object]] = {
        "context_length": (U32, 256),
        "embedding_length": (U32, WIDTH),
        "block_count": (U32, BLOCKS),
        "feed_forward_length": (U32, INNER),
        "attention.head_count": (U32, HEADS),
        "attention.head_count_kv": (U32, SHARED),
        "attention.layer_norm_rms_epsilon": (F32, 1e-5),
    }
    for suffix, (kind, value) in {**sizes, **more}.items():
        if value is not None:
            pairs.append(Pair(f"{architecture}.{suffix}", kind, value))
    return pairs


def _file(
    pairs: list[Pair], vocabulary: tuple[Pair, ...], tensors: list[Tensor], template: str | None
) -> File:
    last = () if template is None else (Pair("tokenizer.chat_template", STRING, template),)
    return File((*pairs, *vocabulary, *last), tuple(tensors))


def size_of(vocabulary: tuple[Pair, ...]) -> int:
    return len(next(pair.value for pair in vocabulary if pair.key == T + "tokens"))


def _attention(make: Weights, at: str, *, width: int = WIDTH, heads: int = HEADS, shared: int = SHARED,
               head: int = HEAD, kind: str = "F16") -> list[Tensor]:  # fmt: skip
    return [
        make(at + "attn_norm.weight", width, kind="F32"),
        make(at + "attn_q.weight", width, heads * head, kind=kind),
        make(at + "attn_k.weight", width, shared * head, kind=kind),
        make(at + "attn_v.weight", width, shared * head, kind=kind),
        make(at + "attn_output.weight", heads * head, width, kind=kind),
    ]


def _dense(
    make: Weights, at: str, *, width: int = WIDTH, inner: int = INNER, kind: str = "F16"
) -> list[Tensor]:
    return [
        make(at + "ffn_norm.weight", width, kind="F32"),
        make(at + "ffn_gate.weight", width, inner, kind=kind),
        make(at + "ffn_up.weight", width, inner, kind=kind),
        make(at + "ffn_down.weight", inner, width, kind=kind),
    ]


def _experts(make: Weights, at: str, *, experts: int, inner: int) -> list[Tensor]:
    return [
        make(at + "ffn_norm.weight", WIDTH, kind="F32"),
        make(at + "ffn_gate_inp.weight", WIDTH, experts, kind="F32"),
        make(at + "ffn_gate_exps.weight", WIDTH, inner, experts),
        make(at + "ffn_up_exps.weight", WIDTH, inner, experts),
        make(at + "ffn_down_exps.weight", inner, WIDTH, experts),
    ]


def _ends(make: Weights, vocabulary: int, *, tied: bool = True) -> tuple[list[Tensor], list[Tensor]]:
    first = [make("token_embd.weight", WIDTH, vocabulary)]
    last = [make("output_norm.weight", WIDTH, kind="F32")]
    return first, last if tied else [*last, make("output.weight", WIDTH, vocabulary)]


@cache
def llama(*, tied: bool = True) -> File:
    make, vocabulary = Weights(1), sentencepiece()
    first, last = _ends(make, size_of(vocabulary), tied=tied)
    blocks = [
        row for n in range(BLOCKS) for row in (*_attention(make, f"blk.{n}."), *_dense(make, f"blk.{n}."))
    ]
    rope = {"rope.dimension_count": (U32, HEAD), "rope.freq_base": (F32, 10000.0)}
    return _file(_general("llama", **rope), vocabulary, [*first, *blocks, *last], TEMPLATE)


@cache
def llama_bpe() -> File:
    """A llama with the tokenizer of its third generation and rotary factors as a tensor."""
    make, vocabulary = Weights(2), byte_level("llama-bpe")
    first, last = _ends(make, size_of(vocabulary))
    blocks = [
        row for n in range(BLOCKS) for row in (*_attention(make, f"blk.{n}."), *_dense(make, f"blk.{n}."))
    ]
    factors = Tensor("rope_freqs.weight", (HEAD // 2,), 0, b"\0\0\x80\x3f" * (HEAD // 2))
    rope = {"rope.dimension_count": (U32, HEAD), "vocab_size": (U32, size_of(vocabulary))}
    return _file(_general("llama", **rope), vocabulary, [factors, *first, *blocks, *last], CHATML)


@cache
def fused() -> File:
    """A llama whose three attention matrices are one."""
    base, make = llama(), Weights(3)
    parts = [f"blk.{n}.attn_{part}.weight" for n in range(BLOCKS) for part in "qkv"]
    joined = [make(f"blk.{n}.attn_qkv.weight", WIDTH, (HEADS + 2 * SHARED) * HEAD) for n in range(BLOCKS)]
    return base.drop(*parts).put(*joined)


@cache
def qwen2() -> File:
    make, vocabulary = Weights(4), byte_level("qwen2")
    first, last = _ends(make, size_of(vocabulary))
    blocks: list[Tensor] = []
    for number in range(BLOCKS):
        at = f"blk.{number}."
        biases = [
            make(at + f"attn_{part}.bias", heads * HEAD, kind="F32")
            for part, heads in (("q", HEADS), ("k", SHARED), ("v", SHARED))
        ]
        blocks += [*_attention(make, at), *biases, *_dense(make, at)]
    rope = {"rope.freq_base": (F32, 1e6)}
    return _file(_general("qwen2", **rope), vocabulary, [*first, *blocks, *last], CHATML)


@cache
def qwen3() -> File:
    make, vocabulary = Weights(5), byte_level("qwen2")
    first, last = _ends(make, size_of(vocabulary))
    head = 16
    blocks: list[Tensor] = []
    for number in range(BLOCKS):
        at = f"blk.{number}."
        norms = [make(at + f"attn_{part}_norm.weight", head, kind="F32") for part in "qk"]
        blocks += [*_attention(make, at, head=head), *norms, *_dense(make, at)]
    more = {"attention.key_length": (U32, head), "attention.value_length": (U32, head)}
    return _file(_general("qwen3", **more), vocabulary, [*first, *blocks, *last], CHATML)


@cache
def gemma3() -> File:
    """Sliding windows, norms after each part, and heads that do not divide the width."""
    make, vocabulary = Weights(6), sentencepiece()
    first, last = _ends(make, size_of(vocabulary))
    head = 16
    blocks: list[Tensor] = []
    for number in range(BLOCKS):
        at = f"blk.{number}."
        norms = [make(at + f"attn_{part}_norm.weight", head, kind="F32") for part in "qk"]
        norms += [make(at + f"post_{part}_norm.weight", WIDTH, kind="F32") for part in ("attention", "ffw")]
        blocks += [*_attention(make, at, head=head), *norms, *_dense(make, at)]
    more = {
        "attention.key_length": (U32, head),
        "attention.value_length": (U32, head),
        "attention.sliding_window": (U32, 64),
        "rope.freq_base": (F32, 1e6),
    }
    return _file(_general("gemma3", **more), vocabulary, [*first, *blocks, *last], TEMPLATE)


@cache
def mixtral() -> File:
    """A llama with four experts, of which two are used."""
    make, vocabulary = Weights(7), sentencepiece()
    first, last = _ends(make, size_of(vocabulary), tied=False)
    blocks: list[Tensor] = []
    for number in range(BLOCKS):
        at = f"blk.{number}."
        blocks += [*_attention(make, at), *_experts(make, at, experts=4, inner=INNER)]
    more = {
        "expert_count": (U32, 4),
        "expert_used_count": (U32, 2),
        "rope.dimension_count": (U32, HEAD),
        "rope.freq_base": (F32, 1e6),
    }
    return _file(_general("llama", **more), vocabulary, [*first, *blocks, *last], TEMPLATE)


@cache
def qwen3moe() -> File:
    make, vocabulary = Weights(8), byte_level("qwen2")
    first, last = _ends(make, size_of(vocabulary), tied=False)
    blocks: list[Tensor] = []
    for number in range(BLOCKS):
        at = f"blk.{number}."
        norms = [make(at + f"attn_{part}_norm.weight", HEAD, kind="F32") for part in "qk"]
        blocks += [*_attention(make, at), *norms, *_experts(make, at, experts=4, inner=32)]
    more = {
        "expert_count": (U32, 4),
        "expert_used_count": (U32, 2),
        "expert_feed_forward_length": (U32, 32),
    }
    return _file(_general("qwen3moe", **more), vocabulary, [*first, *blocks, *last], CHATML)


@cache
def deepseek2() -> File:
    """Latent attention, one dense block before the experts, a shared expert."""
    make, vocabulary = Weights(9), byte_level("deepseek-llm")
    first, last = _ends(make, size_of(vocabulary), tied=False)
    latent, turned, plain, value, rank = 16, 4, 8, 8, 12
    blocks: list[Tensor] = []
    for number in range(BLOCKS):
        at = f"blk.{number}."
        blocks += [
            make(at + "attn_norm.weight", WIDTH, kind="F32"),
            make(at + "attn_q_a_norm.weight", rank, kind="F32"),
            make(at + "attn_kv_a_norm.weight", latent, kind="F32"),
            make(at + "attn_q_a.weight", WIDTH, rank),
            make(at + "attn_q_b.weight", rank, HEADS * (plain + turned)),
            make(at + "attn_kv_a_mqa.weight", WIDTH, latent + turned),
            make(at + "attn_k_b.weight", plain, latent, HEADS),
            make(at + "attn_v_b.weight", latent, value, HEADS),
            make(at + "attn_output.weight", HEADS * value, WIDTH),
        ]
        if number == 0:
            blocks += _dense(make, at)
            continue
        blocks += _experts(make, at, experts=4, inner=32)
        blocks += [
            make(at + "exp_probs_b.bias", 4, kind="F32"),
            make(at + "ffn_gate_shexp.weight", WIDTH, 32),
            make(at + "ffn_up_shexp.weight", WIDTH, 32),
            make(at + "ffn_down_shexp.weight", 32, WIDTH),
        ]
    more = {
        "attention.head_count_kv": (U32, 1),
        "attention.q_lora_rank": (U32, rank),
        "attention.kv_lora_rank": (U32, latent),
        "attention.key_length": (U32, latent + turned),
        "attention.value_length": (U32, latent),
        "attention.key_length_mla": (U32, plain + turned),
        "attention.value_length_mla": (U32, value),
        "rope.dimension_count": (U32, turned),
        "leading_dense_block_count": (U32, 1),
        "expert_count": (U32, 4),
        "expert_used_count": (U32, 2),
        "expert_shared_count": (U32, 1),
        "expert_feed_forward_length": (U32, 32),
    }
    return _file(_general("deepseek2", **more), vocabulary, [*first, *blocks, *last], CHATML)


@cache
def gemma2() -> File:
    """Norms after each part, windows in every other block, no output matrix ever."""
    make, vocabulary = Weights(10), sentencepiece()
    first, last = _ends(make, size_of(vocabulary))
    blocks: list[Tensor] = []
    for number in range(BLOCKS):
        at = f"blk.{number}."
        norms = [make(at + f"post_{part}_norm.weight", WIDTH, kind="F32") for part in ("attention", "ffw")]
        blocks += [*_attention(make, at), *norms, *_dense(make, at)]
    more = {
        "attention.key_length": (U32, HEAD),
        "attention.value_length": (U32, HEAD),
        "attention.sliding_window": (U32, 64),
        "attn_logit_softcapping": (F32, 50.0),
        "final_logit_softcapping": (F32, 30.0),
    }
    return _file(_general("gemma2", **more), vocabulary, [*first, *blocks, *last], TEMPLATE)


@cache
def phi3() -> File:
    """Fused attention, fused gate, long rotary factors."""
    make, vocabulary = Weights(11), sentencepiece(["a"])
    first, last = _ends(make, size_of(vocabulary), tied=False)
    factors = [
        Tensor(f"rope_factors_{kind}.weight", (HEAD // 2,), 0, b"\0\0\x80\x3f" * (HEAD // 2))
        for kind in ("long", "short")
    ]
    blocks: list[Tensor] = []
    for number in range(BLOCKS):
        at = f"blk.{number}."
        blocks += [
            make(at + "attn_norm.weight", WIDTH, kind="F32"),
            make(at + "attn_qkv.weight", WIDTH, (HEADS + 2 * SHARED) * HEAD),
            make(at + "attn_output.weight", WIDTH, WIDTH),
            make(at + "ffn_norm.weight", WIDTH, kind="F32"),
            make(at + "ffn_up.weight", WIDTH, 2 * INNER),
            make(at + "ffn_down.weight", INNER, WIDTH),
        ]
    more = {
        "rope.dimension_count": (U32, HEAD),
        "rope.scaling.original_context_length": (U32, 128),
        "rope.scaling.attn_factor": (F32, 1.19),
        "attention.sliding_window": (U32, 0),
    }
    return _file(_general("phi3", **more), vocabulary, [*factors, *first, *blocks, *last], TEMPLATE)


@cache
def gpt2() -> File:
    """Positions as a matrix, norms with biases, no rotation, no gate."""
    make, vocabulary = Weights(12), byte_level("gpt-2")
    first, _ = _ends(make, size_of(vocabulary))
    tensors = [*first, make("position_embd.weight", WIDTH, 256)]
    for number in range(BLOCKS):
        at = f"blk.{number}."
        shapes = {
            "attn_norm.weight": (WIDTH,), "attn_norm.bias": (WIDTH,),
            "attn_qkv.weight": (WIDTH, 3 * WIDTH), "attn_qkv.bias": (3 * WIDTH,),
            "attn_output.weight": (WIDTH, WIDTH), "attn_output.bias": (WIDTH,),
            "ffn_norm.weight": (WIDTH,), "ffn_norm.bias": (WIDTH,),
            "ffn_up.weight": (WIDTH, INNER), "ffn_up.bias": (INNER,),
            "ffn_down.weight": (INNER, WIDTH), "ffn_down.bias": (WIDTH,),
        }  # fmt: skip
        tensors += [make(at + n, *dims, kind="F16" if len(dims) > 1 else "F32") for n, dims in shapes.items()]
    tensors += [make(f"output_norm.{part}", WIDTH, kind="F32") for part in ("weight", "bias")]
    more = {
        "attention.layer_norm_rms_epsilon": (F32, None),
        "attention.layer_norm_epsilon": (F32, 1e-5),
        "attention.head_count_kv": (U32, None),
    }
    return _file(_general("gpt2", **more), vocabulary, tensors, CHATML)


@cache
def gpt_oss() -> File:
    """Experts with biases, attention sinks, windows."""
    make, vocabulary = Weights(13), byte_level("gpt-4o")
    first, last = _ends(make, size_of(vocabulary), tied=False)
    inner, experts = 32, 4
    tensors = list(first)
    for number in range(BLOCKS):
        at = f"blk.{number}."
        tensors += _attention(make, at)
        shapes = {
            "attn_q.bias": (WIDTH,), "attn_k.bias": (SHARED * HEAD,), "attn_v.bias": (SHARED * HEAD,),
            "attn_output.bias": (WIDTH,), "attn_sinks.weight": (HEADS,), "post_attention_norm.weight": (WIDTH,),
            "ffn_gate_inp.weight": (WIDTH, experts), "ffn_gate_inp.bias": (experts,),
            "ffn_gate_exps.bias": (inner, experts), "ffn_up_exps.bias": (inner, experts),
            "ffn_down_exps.bias": (WIDTH, experts),
        }  # fmt: skip
        tensors += [make(at + n, *dims, kind="F32") for n, dims in shapes.items()]
        tensors += [
            make(at + "ffn_gate_exps.weight", WIDTH, inner, experts),
            make(at + "ffn_up_exps.weight", WIDTH, inner, experts),
            make(at + "ffn_down_exps.weight", inner, WIDTH, experts),
        ]
    more = {
        "expert_count": (U32, experts),
        "expert_used_count": (U32, 2),
        "expert_feed_forward_length": (U32, inner),
        "attention.sliding_window": (U32, 128),
    }
    return _file(_general("gpt-oss", **more), vocabulary, [*tensors, *last], CHATML)


@cache
def bert() -> File:
    """An embedding model: no output matrix, no chat template, word pieces."""
    make = Weights(14)
    words = ["[PAD]", *(f"[unused{n}]" for n in range(99)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words += ["\u2581the", "\u2581river", "ing", "\u2581of"]
    vocabulary = (
        Pair(T + "model", STRING, "bert"),
        Pair(T + "pre", STRING, "default"),
        Pair(T + "tokens", ARRAY, words, STRING),
        Pair(T + "token_type", ARRAY, [3] * 104 + [1] * 4, I32),
        Pair(T + "token_type_count", U32, 2),
        Pair(T + "bos_token_id", U32, 101),
        Pair(T + "seperator_token_id", U32, 102),
        Pair(T + "unknown_token_id", U32, 100),
        Pair(T + "padding_token_id", U32, 0),
        Pair(T + "mask_token_id", U32, 103),
    )
    tensors = [
        make("token_embd.weight", WIDTH, len(words)),
        make("token_types.weight", WIDTH, 2, kind="F32"),
        make("position_embd.weight", WIDTH, 256),
        make("token_embd_norm.weight", WIDTH, kind="F32"),
        make("token_embd_norm.bias", WIDTH, kind="F32"),
    ]
    for number in range(BLOCKS):
        at = f"blk.{number}."
        for part in "qkv":
            tensors.append(make(f"{at}attn_{part}.weight", WIDTH, WIDTH))
            tensors.append(make(f"{at}attn_{part}.bias", WIDTH, kind="F32"))
        for name, dims in (
            ("attn_output", (WIDTH, WIDTH)),
            ("ffn_up", (WIDTH, INNER)),
            ("ffn_down", (INNER, WIDTH)),
        ):
            tensors.append(make(f"{at}{name}.weight", *dims))
            tensors.append(make(f"{at}{name}.bias", dims[1], kind="F32"))
        for name in ("attn_output_norm", "layer_output_norm"):
            tensors += [make(f"{at}{name}.{part}", WIDTH, kind="F32") for part in ("weight", "bias")]
    more = {
        "attention.layer_norm_rms_epsilon": (F32, None),
        "attention.layer_norm_epsilon": (F32, 1e-12),
        "attention.head_count_kv": (U32, None),
        "attention.causal": (BOOL, 0),
        "pooling_type": (U32, 1),
    }
    return _file(_general("bert", **more), vocabulary, tensors, None)


@cache
def wide(kind: str, number: int) -> File:
    """A llama of one block whose weights all have one tensor type; rows of 256 suit every type."""
    make, vocabulary = Weights(number + 50), sentencepiece()
    width, heads, head = 256, 4, 64
    tensors = [make("token_embd.weight", width, size_of(vocabulary), kind=kind)]
    tensors += _attention(make, "blk.0.", width=width, heads=heads, shared=1, head=head, kind=kind)
    tensors += _dense(make, "blk.0.", width=width, inner=256, kind=kind)
    tensors.append(make("output_norm.weight", width, kind="F32"))
    more = {
        "embedding_length": (U32, width),
        "block_count": (U32, 1),
        "feed_forward_length": (U32, 256),
        "attention.head_count": (U32, heads),
        "attention.head_count_kv": (U32, 1),
        "rope.dimension_count": (U32, head),
    }
    return _file(_general("llama", **more), vocabulary, tensors, TEMPLATE).set(
        "general.file_type", U32, number
    )


def renamed(file: File, old: str, new: str) -> File:
    """The same file under another architecture's name."""
    pairs = tuple(
        replace(pair, key=new + pair.key.removeprefix(old))
        if isinstance(pair.key, str) and pair.key.startswith(old + ".")
        else pair
        for pair in file.pairs
    )
    return replace(file, pairs=pairs).set("general.architecture", STRING, new)


def like_llama(architecture: str, **more: tuple[int, object]) -> File:
    """A llama under the name of an architecture whose tensors are the same."""
    file = renamed(llama(), "llama", architecture)
    for suffix, (kind, value) in more.items():
        file = file.set(f"{architecture}.{suffix}", kind, value)
    return file


BASES = {
    "llama": llama,
    "llama-untied": lambda: llama(tied=False),
    "llama-bpe": llama_bpe,
    "llama-fused": fused,
    "qwen2": qwen2,
    "qwen3": qwen3,
    "gemma3": gemma3,
    "mixtral": mixtral,
    "qwen3moe": qwen3moe,
    "deepseek2": deepseek2,
    "gemma2": gemma2,
    "phi3": phi3,
    "gpt2": gpt2,
    "gpt-oss": gpt_oss,
    "mistral3": lambda: like_llama("mistral3"),
    "smollm3": lambda: like_llama("smollm3"),
    "granite": lambda: like_llama("granite", logit_scale=(F32, 8.0), embedding_scale=(F32, 12.0)),
}
# Those that stand for the others where each case is tried on several shapes.
MAIN = ("llama", "llama-fused", "qwen2", "qwen3", "gemma3", "mixtral", "qwen3moe", "deepseek2")
