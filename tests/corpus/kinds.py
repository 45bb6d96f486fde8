"""Sound files that are no chat model, and models that this engine does not know."""

import struct
from collections.abc import Iterator
from dataclasses import replace

from tests.corpus.case import Case, good, reject, warn
from tests.corpus.models import T, bert, llama, qwen3, renamed
from tests.corpus.writer import ARRAY, BOOL, F32, STRING, U32, File, Pair, Tensor, Weights


def cases() -> Iterator[Case]:
    yield warn("kind/embedding-model", bert(), "S-KIND")
    yield reject("kind/embedding-model-without-context", bert().without("bert.context_length"), "S-REQKEY")
    hostile = bert().set("tokenizer.chat_template", STRING, "{{ ''.__class__ }}")
    yield reject("kind/embedding-model-with-hostile-template", hostile, "C-ATTR")
    yield reject("kind/vocabulary-only", replace(llama(), tensors=()), "H-NOTENSORS")
    yield reject("kind/image-encoder", _projector(), "S-KIND")
    yield reject("kind/importance-matrix", _importance_matrix(), "S-KIND")
    yield reject("kind/control-vector", _control_vector(), "S-KIND")
    for name in ("flux", "sd1", "wan", "hyvid", "stablediffusion", "my-own-model", "gptj"):
        yield reject(f"kind/unknown-{name}", renamed(llama(), "llama", name), "S-ARCH")
    yield from _extras()


def _projector() -> File:
    make = Weights(20)
    pairs = (
        Pair("general.architecture", STRING, "clip"),
        Pair("general.type", STRING, "mmproj"),
        Pair("general.name", STRING, "Encoder"),
        Pair("general.file_type", U32, 1),
        Pair("clip.has_vision_encoder", BOOL, 1),
        Pair("clip.projector_type", STRING, "mlp"),
        Pair("clip.vision.image_size", U32, 64),
        Pair("clip.vision.patch_size", U32, 16),
        Pair("clip.vision.image_mean", ARRAY, [0.5, 0.5, 0.5], F32),
    )
    tensors = (
        make("v.patch_embd.weight", 16, 16, 3, 32, kind="F32"),
        make("mm.0.weight", 32, 64),
        make("mm.0.bias", 64, kind="F32"),
    )
    return File(pairs, tensors)


def _importance_matrix() -> File:
    make = Weights(21)
    pairs = (
        Pair("general.type", STRING, "imatrix"),
        Pair("imatrix.datasets", ARRAY, ["wiki.train.raw"], STRING),
        Pair("imatrix.chunk_count", U32, 100),
        Pair("imatrix.chunk_size", U32, 512),
    )
    tensors = (
        make("blk.0.attn_q.weight.in_sum2", 32, 1, kind="F32"),
        Tensor("blk.0.attn_q.weight.counts", (1, 1), 0, struct.pack("<f", 100.0)),
    )
    return File(pairs, tensors)


def _control_vector() -> File:
    make = Weights(22)
    pairs = (
        Pair("general.architecture", STRING, "controlvector"),
        Pair("controlvector.model_hint", STRING, "llama"),
        Pair("controlvector.layer_count", U32, 1),
    )
    return File(pairs, (make("direction.1", 32, kind="F32"),))


def _extras() -> Iterator[Case]:
    """What converters and hubs add to sound models."""
    base = llama()
    hub = {
        "general.size_label": "0.1M", "general.license": "apache-2.0", "general.url": "https://example.org/model",
        "general.basename": "corpus", "general.finetune": "chat", "general.version": "v1.0",
        "general.repo_url": "https://example.org/a", "general.source.url": "https://example.org/b",
        "general.quantized_by": "someone", "general.base_model.0.name": "Base",
        "general.base_model.0.organization": "Org", "quantize.imatrix.file": "/tmp/imatrix.gguf",
        "quantize.imatrix.dataset": "calibration.txt",
    }  # fmt: skip
    marked = base.add(*(Pair(key, STRING, value) for key, value in hub.items()))
    marked = marked.add(
        Pair("general.base_model.count", U32, 1), Pair("general.languages", ARRAY, ["en", "de"], STRING)
    )
    yield good("sound/with-all-that-hubs-write", marked)
    yield good("sound/named-templates", base.add(
        Pair("tokenizer.chat_templates", ARRAY, ["tool_use"], STRING),
        Pair("tokenizer.chat_template.tool_use", STRING, base.get("tokenizer.chat_template")),
    ))  # fmt: skip
    yield good(
        "sound/huggingface-json", base.add(Pair("tokenizer.huggingface.json", STRING, '{"a": 1}' * 300_000))
    )
    yield good("sound/added-space-settings", base.add(
        Pair(T + "add_space_prefix", BOOL, 0), Pair(T + "remove_extra_whitespaces", BOOL, 0)))  # fmt: skip
    ranker = qwen3().add(
        Pair("qwen3.classifier.output_labels", ARRAY, ["yes", "no"], STRING),
        Pair("qwen3.pooling_type", U32, 4),
    )
    labels = Weights(23)("cls.output.weight", 32, 2)
    yield good("sound/reranker-with-a-template", ranker.put(labels))
    yield reject(
        "semantic/phi-3-name-without-its-tokens",
        base.set("general.name", STRING, "My Phi-3 tune"),
        "V-MISSING",
    )
