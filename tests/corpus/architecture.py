"""Hyper-parameters and tensors that do not fit the architecture."""

from collections.abc import Iterator
from dataclasses import replace

from tests.corpus.case import Case, good, reject, warn
from tests.corpus.models import BASES, BLOCKS, MAIN, llama, renamed
from tests.corpus.writer import ARRAY, BOOL, F32, F64, I32, STRING, U8, U16, U32, U64, File, Tensor

NEEDED = ("context_length", "embedding_length", "block_count", "attention.layer_norm_rms_epsilon")
MORE_NEEDED: dict[str, tuple[str, ...]] = {
    "deepseek2": ("attention.kv_lora_rank", "expert_feed_forward_length", "expert_shared_count"),
}
FOREIGN_NAMES = ("", "no-such-model", "LLAMA", "llama ", "gpt5", "llama\0", "../llama")


def cases() -> Iterator[Case]:
    for name, make in BASES.items():
        yield good(f"sound/v3/{name}", make())
    for name in MAIN:
        base = BASES[name]()
        yield from _keys(name, base)
        yield from _ranges(name, base)
        yield from _tensors(name, base)
    yield from _names(llama())
    yield from _rope(llama())
    yield from _experts()
    yield from _per_block()
    yield from _stated_types(llama())


def _keys(name: str, base: File) -> Iterator[Case]:
    prefix = base.get("general.architecture")
    yield reject(
        f"semantic/without-general.architecture/{name}", base.without("general.architecture"), "S-REQKEY"
    )
    for suffix in (*NEEDED, *MORE_NEEDED.get(name, ())):
        yield reject(f"semantic/without-{suffix}/{name}", base.without(f"{prefix}.{suffix}"), "S-REQKEY")
    for suffix in ("context_length", "embedding_length", "block_count", "attention.head_count"):
        key = f"{prefix}.{suffix}"
        value = base.get(key)
        for label, kind in (("u64", U64), ("i32", I32), ("u16", U16), ("f32", F32)):
            yield reject(f"semantic/{suffix}-as-{label}/{name}", base.set(key, kind, value), "S-KEYTYPE")
        yield reject(f"semantic/{suffix}-as-text/{name}", base.set(key, STRING, str(value)), "S-KEYTYPE")
    key = f"{prefix}.attention.layer_norm_rms_epsilon"
    yield reject(f"semantic/epsilon-as-f64/{name}", base.set(key, F64, 1e-5), "S-KEYTYPE")


def _ranges(name: str, base: File) -> Iterator[Case]:
    prefix = base.get("general.architecture")
    for value in (0, 513, 1000, 2**31, 2**32 - 1):
        yield reject(
            f"semantic/block_count-{value}/{name}", base.set(f"{prefix}.block_count", U32, value), "S-RANGE"
        )
    more = base.set(f"{prefix}.block_count", U32, BLOCKS + 1)
    yield reject(f"semantic/block_count-one-more/{name}", more, "S-MISSING")
    yield reject(
        f"semantic/block_count-one-less/{name}", base.set(f"{prefix}.block_count", U32, BLOCKS - 1), "S-EXTRA"
    )
    yield reject(f"semantic/context_length-0/{name}", base.set(f"{prefix}.context_length", U32, 0), "S-RANGE")
    yield reject(
        f"semantic/embedding_length-0/{name}", base.set(f"{prefix}.embedding_length", U32, 0), "S-RANGE"
    )
    wide = base.set(f"{prefix}.embedding_length", U32, 64)
    yield reject(f"semantic/embedding_length-doubled/{name}", wide, "S-SHAPE")
    for value in (-1e-5, 0.0, 10.0):
        file = base.set(f"{prefix}.attention.layer_norm_rms_epsilon", F32, value)
        yield reject(f"semantic/epsilon-{value}/{name}", file, "S-RANGE")
    for value in (0, 3, 5, 2**31):
        file = base.set(f"{prefix}.attention.head_count", U32, value)
        yield reject(f"semantic/head_count-{value}/{name}", file)
    for value in (3, 8, 2**32 - 1):
        file = base.set(f"{prefix}.attention.head_count_kv", U32, value)
        yield reject(f"semantic/head_count_kv-{value}/{name}", file)


def _tensors(name: str, base: File) -> Iterator[Case]:
    names = [str(row.name) for row in base.tensors]
    optional = {"rope_freqs.weight", "output.weight"}
    seen: set[str] = set()
    for at in names:
        part = at.replace("blk.0.", "").replace("blk.1.", "")
        if part in seen or at in optional or part.endswith(".bias"):
            continue
        seen.add(part)
        yield reject(f"semantic/without-{part}/{name}", base.drop(at), "S-MISSING")
        tensor = base.tensor(at)
        if len(tensor.dims) == 2 and tensor.dims[0] != tensor.dims[1] and part != "token_embd.weight":
            turned = base.change(at, dims=tensor.dims[::-1])
            yield reject(f"semantic/turned-{part}/{name}", turned, "S-SHAPE")
    norm = base.tensor("blk.1.attn_norm.weight")
    half = base.change("blk.1.attn_norm.weight", kind=1, data=b"\0\x3c" * norm.dims[0])
    yield reject(f"semantic/norm-in-f16/{name}", half, "S-NORM")
    stray = Tensor("blk.0.strange.weight", norm.dims, 0, norm.data)
    yield reject(f"semantic/extra-tensor/{name}", base.put(stray), "S-EXTRA")
    later = Tensor("blk.9.attn_norm.weight", norm.dims, 0, norm.data)
    yield reject(f"semantic/extra-block/{name}", base.put(later), "S-EXTRA")


def _names(base: File) -> Iterator[Case]:
    for text in FOREIGN_NAMES:
        label = text.strip().replace("\0", "nul").replace("/", "_") or "empty"
        yield reject(f"semantic/architecture-{label}", renamed(base, "llama", text), "S-ARCH")
    yield reject("semantic/architecture-as-number", base.set("general.architecture", U32, 7), "S-KEYTYPE")
    yield reject(
        "semantic/architecture-as-array", base.set("general.architecture", ARRAY, ["llama"]), "S-KEYTYPE"
    )
    yield reject(
        "semantic/architecture-of-other-keys", base.set("general.architecture", STRING, "qwen2"), "S-REQKEY"
    )
    yield reject("semantic/name-as-number", base.set("general.name", U32, 7), "S-KEYTYPE")


def _rope(base: File) -> Iterator[Case]:
    for value in (0.0, -1.0):
        yield reject(f"semantic/rope-base-{value}", base.set("llama.rope.freq_base", F32, value), "S-ROPE")
    for value in (0, 4, 7, 16, 2**31):
        yield reject(
            f"semantic/rope-dimension-{value}", base.set("llama.rope.dimension_count", U32, value), "S-ROPE"
        )
    for text in ("magic", "", "YARN", "dynamic", "llama3"):
        yield reject(
            f"semantic/rope-scaling-{text or 'empty'}",
            base.set("llama.rope.scaling.type", STRING, text),
            "S-ROPE",
        )
    yield reject("semantic/rope-base-enormous", base.set("llama.rope.freq_base", F32, 1e30), "S-ROPE")
    yield reject("semantic/rope-factor-enormous", base.set("llama.rope.scaling.factor", F32, 1e30), "S-ROPE")
    yield good("sound/rope-base-of-a-long-context", base.set("llama.rope.freq_base", F32, 3.58e9))
    yield reject("semantic/rope-factor-negative", base.set("llama.rope.scaling.factor", F32, -2.0), "S-ROPE")
    yield reject("semantic/rope-scaling-as-number", base.set("llama.rope.scaling.type", U32, 1), "S-KEYTYPE")
    for text in ("none", "linear", "yarn", "longrope"):
        yield good(f"sound/rope-scaling-{text}", base.set("llama.rope.scaling.type", STRING, text))
    yield good("sound/rope-factor", base.set("llama.rope.scaling.factor", F32, 4.0))
    yield good("sound/without-rope-keys", base.without("llama.rope.freq_base", "llama.rope.dimension_count"))


def _experts() -> Iterator[Case]:
    dense, mixed = llama(), BASES["mixtral"]()
    yield reject("semantic/experts-without-used", dense.set("llama.expert_count", U32, 4), "S-RANGE")
    yield reject("semantic/used-without-experts", dense.set("llama.expert_used_count", U32, 2), "S-RANGE")
    yield reject("semantic/experts-1025", mixed.set("llama.expert_count", U32, 1025), "S-RANGE")
    yield reject("semantic/experts-2-to-31", mixed.set("llama.expert_count", U32, 2**31), "S-RANGE")
    yield reject("semantic/used-more-than-there-are", mixed.set("llama.expert_used_count", U32, 5), "S-RANGE")
    yield reject("semantic/used-none", mixed.set("llama.expert_used_count", U32, 0), "S-RANGE")
    yield reject("semantic/experts-more-than-tensors", mixed.set("llama.expert_count", U32, 8), "S-SHAPE")
    yield reject("semantic/expert-groups-all", mixed.set("llama.expert_group_count", U32, 4), "S-RANGE")
    yield reject("semantic/expert-groups-uneven", mixed.set("llama.expert_group_count", U32, 3), "S-RANGE")


def _per_block() -> Iterator[Case]:
    base = llama()
    yield good("sound/heads-per-block", base.set("llama.attention.head_count", ARRAY, [4, 4], U32))
    yield good("sound/heads-per-block-i32", base.set("llama.attention.head_count", ARRAY, [4, 4], I32))
    yield good("sound/widths-per-block", base.set("llama.feed_forward_length", ARRAY, [64, 64], I32))
    yield reject(
        "semantic/heads-for-too-few-blocks",
        base.set("llama.attention.head_count", ARRAY, [4], U32),
        "S-HEADS",
    )
    yield reject(
        "semantic/heads-for-too-many-blocks",
        base.set("llama.attention.head_count_kv", ARRAY, [2] * 3, U32),
        "S-HEADS",
    )
    yield reject(
        "semantic/heads-as-bytes", base.set("llama.attention.head_count", ARRAY, [4, 4], U8), "S-KEYTYPE"
    )
    yield reject(
        "semantic/heads-as-texts", base.set("llama.attention.head_count", ARRAY, ["4", "4"]), "S-KEYTYPE"
    )
    yield reject(
        "semantic/heads-negative", base.set("llama.attention.head_count", ARRAY, [4, -4], I32), "S-HEADS"
    )


def _stated_types(base: File) -> Iterator[Case]:
    for value in (0, 7, 15, 33, 999, 2**32 - 1):
        yield warn(f"semantic/file_type-{value}", base.set("general.file_type", U32, value), "S-FTYPE")
    yield good("sound/file_type-guessed", base.set("general.file_type", U32, 1025))
    yield good("sound/without-file_type", base.without("general.file_type"))
    yield good("sound/without-general-extras", base.without(
        "general.file_type", "general.quantization_version", "general.name", "general.type"))  # fmt: skip
    yield good("sound/causal", base.set("llama.attention.causal", BOOL, 1))
    yield reject("semantic/causal-as-number", base.set("llama.attention.causal", U32, 1), "S-KEYTYPE")
    yield warn("semantic/vocab_size-other", base.set("llama.vocab_size", U32, 9), "V-SIZE")
    yield good("sound/last-dimensions-of-one", base.change("blk.0.attn_norm.weight", dims=(32, 1, 1, 1)))
    reordered = replace(base, tensors=tuple(reversed(base.tensors)))
    yield good("sound/tensors-in-another-order", reordered)
