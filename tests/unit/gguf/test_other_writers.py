"""Files made by the `gguf` package, which converters use, are judged like those of our own writer."""

from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest

from tests.corpus.models import T, byte_letters, llama
from tests.unit.gguf.judging import inspect, inspect_parts
from tidegate.gguf import Finding

Writer = gguf.GGUFWriter
WIDTH, HEADS, INNER, BLOCKS = 32, 4, 64, 2


def _checks(findings: tuple[Finding, ...]) -> list[tuple[str, str]]:
    return [(found.check, found.message) for found in findings]


def _hyper_parameters(writer: Writer) -> None:
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name("Written by gguf-py")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_quantization_version(2)
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(BLOCKS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10_000.0)
    writer.add_rope_dimension_count(WIDTH // HEADS)


def _byte_level(writer: Writer) -> int:
    tokens = [*byte_letters(), "th", "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * 257 + [3] * 3)
    writer.add_token_merges(["t h"])
    writer.add_bos_token_id(257)
    writer.add_eos_token_id(259)
    writer.add_pad_token_id(257)
    writer.add_add_bos_token(False)
    writer.add_chat_template(
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    )
    return len(tokens)


def _weights(writer: Writer, vocabulary: int) -> None:
    random = np.random.default_rng(1)

    def add(name: str, *shape: int) -> None:
        writer.add_tensor(name, random.normal(0, 0.05, shape).astype(np.float16))

    add("token_embd.weight", vocabulary, WIDTH)
    for block in range(BLOCKS):
        at = f"blk.{block}."
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"{at}{name}.weight", np.ones(WIDTH, np.float32))
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"{at}{name}.weight", WIDTH, WIDTH)
        for name in ("ffn_gate", "ffn_up"):
            add(f"{at}{name}.weight", INNER, WIDTH)
        add(f"{at}ffn_down.weight", WIDTH, INNER)
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))


def _write(path: Path, **options: object) -> None:
    writer = Writer(path, "llama", **options)  # type: ignore[arg-type]  # options of several types
    _hyper_parameters(writer)
    _weights(writer, _byte_level(writer))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_model_of_the_package_is_sound(tmp_path: Path):
    _write(tmp_path / "model.gguf")
    assert _checks(inspect((tmp_path / "model.gguf").read_bytes()).findings) == []


def test_a_big_endian_model_of_the_package_is_only_unsupported(tmp_path: Path):
    _write(tmp_path / "model.gguf", endianess=gguf.GGUFEndian.BIG)
    checks = {found.check for found in inspect((tmp_path / "model.gguf").read_bytes()).findings}
    assert checks == {"H-ENDIAN"}


def test_a_split_model_of_the_package_is_sound_as_a_set(tmp_path: Path):
    _write(tmp_path / "model.gguf", split_max_tensors=6)
    parts = {path.name: path.read_bytes() for path in tmp_path.glob("*.gguf")}
    assert len(parts) == 4
    assert _checks(inspect_parts(parts).whole.findings) == []


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0", "Q5_1", "BF16", "F32"])
def test_types_that_the_package_quantizes_are_sound(kind: str, tmp_path: Path):
    writer = Writer(tmp_path / "model.gguf", "llama")
    _hyper_parameters(writer)
    vocabulary = _byte_level(writer)
    wanted = gguf.GGMLQuantizationType[kind]
    quantized: Callable[..., None] = writer.add_tensor

    def add(name: str, values: np.ndarray) -> None:
        if values.ndim == 1:
            quantized(name, values)
        else:
            quantized(name, gguf.quants.quantize(values.astype(np.float32), wanted), raw_dtype=wanted)

    writer.add_tensor = add  # type: ignore[method-assign]  # quantize on the way
    _weights(writer, vocabulary)
    writer.kv_data[0]["general.file_type"].value = gguf.LlamaFileType[
        {"F32": "ALL_F32"}.get(kind, f"MOSTLY_{kind}")
    ].value
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert _checks(inspect((tmp_path / "model.gguf").read_bytes()).findings) == []


def test_the_package_reads_what_our_writer_wrote(tmp_path: Path):
    (tmp_path / "ours.gguf").write_bytes(llama().encode())
    reader = gguf.GGUFReader(tmp_path / "ours.gguf")
    tokens = reader.fields[T + "tokens"]
    assert len(tokens.data) == len(llama().get(T + "tokens"))
    assert [tensor.name for tensor in reader.tensors] == [tensor.name for tensor in llama().tensors]
