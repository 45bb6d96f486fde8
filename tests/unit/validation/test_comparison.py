"""What differs between two outlines, and the outline of a header; nothing is started here."""

from pathlib import Path

from tests.corpus.models import llama
from tests.corpus.splits import split
from tests.unit.gguf.writer import ARRAY, F32, I32, STRING, U32, File, tiny_llama, vocabulary
from tests.unit.safetensors.writer import sound, write_adapter
from tidegate.validation import comparison_child
from tidegate.validation.comparison import compare, template_lines
from tidegate.validation.outline import Outline, files_of
from tidegate.validation.outline_child import outline
from tidegate.validation.tensor_kinds import tensor_kind


def _outline(folder: Path, file: File | bytes, name: str = "a.gguf") -> Outline:
    path = folder / name
    path.write_bytes(file if isinstance(file, bytes) else file.encode())
    return Outline.model_validate({**outline([str(path)], 256, 2), "path": str(path)})


def test_an_outline_holds_metadata_tensors_templates_and_memory(tmp_path: Path):
    seen = _outline(tmp_path, tiny_llama())
    assert seen.is_readable
    assert seen.format == "GGUF 3, little-endian"
    assert seen.model is not None
    assert (seen.model.architecture, seen.model.tensors, seen.model.vocabulary) == ("llama", 20, 267)
    entries = {entry.key: entry for entry in seen.metadata}
    assert entries["llama.attention.layer_norm_rms_epsilon"].value == "1e-05"
    tokens = entries["tokenizer.ggml.tokens"]
    assert (tokens.type, tokens.count, tokens.is_cut) == ("string[]", 267, True)
    assert tokens.value.startswith("['<unk>', '<s>', '</s>', ")
    assert seen.templates["tokenizer.chat_template"].startswith("{{ bos_token }}")
    assert seen.memory is not None
    assert {(group.kind, group.tensors) for group in seen.groups} == {
        ("feed-forward", 6), ("attention", 8), ("embedding", 1), ("norm", 5),
    }  # fmt: skip


def test_a_file_whose_header_cannot_be_read_still_has_an_outline_with_findings(tmp_path: Path):
    seen = _outline(tmp_path, b"<!doctype html><html></html>")
    assert not seen.is_readable
    assert seen.findings[0].check == "F-FOREIGN"


def test_an_adapter_folder_has_an_outline_of_its_settings_and_matrices(tmp_path: Path):
    folder = write_adapter(tmp_path / "adapter")
    seen = Outline.model_validate({**outline([str(folder)], 256, 1), "path": str(folder)})
    assert (seen.format, set(seen.files)) == (
        "safetensors",
        {"adapter_config.json", "adapter_model.safetensors"},
    )
    assert seen.model is not None
    assert (seen.model.name, seen.model.tensors) == ("adapter of example-org/pipit", 8)
    values = {entry.key: entry.value for entry in seen.metadata}
    assert values["adapter_config.json: r"] == "4"
    assert [group.kind for group in seen.groups] == ["attention"]


def test_a_safetensors_file_has_an_outline(tmp_path: Path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(sound())
    seen = Outline.model_validate({**outline([str(path)], 256, 1), "path": str(path)})
    assert seen.is_readable
    assert seen.format == "safetensors"


def test_any_part_of_a_split_model_stands_for_all_of_it(tmp_path: Path):
    parts = split(llama(), 2)
    for name, part in parts.items():
        (tmp_path / name).write_bytes(part.encode())
    found = files_of(tmp_path / sorted(parts)[1])
    assert [path.name for path in found] == sorted(parts)
    seen = Outline.model_validate({**outline([str(path) for path in found], 256, 1), "path": "x"})
    assert seen.model is not None
    assert seen.model.tensors == len(llama().tensors)
    assert len(seen.files) == 2
    (tmp_path / min(parts)).unlink()
    assert len(files_of(tmp_path / sorted(parts)[1])) == 1


def test_two_equal_files_do_not_differ(tmp_path: Path):
    seen = _outline(tmp_path, tiny_llama())
    assert compare(seen, seen).is_same


def test_changes_of_metadata_tensors_and_template_are_told_apart(tmp_path: Path):
    before = _outline(tmp_path, tiny_llama())
    changed = (
        tiny_llama()
        .with_pair("llama.rope.freq_base", F32, 1000000.0)
        .without_pair("general.name")
        .with_pair("general.license", STRING, "mit")
        .with_pair("tokenizer.chat_template", STRING, "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}")
        .without_tensor("output_norm.weight")
    )  # fmt: skip
    found = compare(before, _outline(tmp_path, changed, "b.gguf"))
    assert not found.is_same
    assert {(change.name, change.before, change.after) for change in found.metadata} == {
        ("llama.rope.freq_base", "10000", "1000000"), ("general.name", "tiny", None), ("general.license", None, "mit"),
    }  # fmt: skip
    assert [(change.name, change.after) for change in found.tensors] == [("output_norm.weight", None)]
    assert "+{% for m in messages %}" in found.templates[0].lines


def test_a_value_that_differs_beyond_what_is_shown_is_a_difference(tmp_path: Path):
    long = "x" * 5000
    before = _outline(tmp_path, tiny_llama().with_pair("general.description", STRING, long + "a"))
    after = _outline(tmp_path, tiny_llama().with_pair("general.description", STRING, long + "b"), "b.gguf")
    assert [change.name for change in compare(before, after).metadata] == ["general.description"]


def test_a_tokenizer_that_changed_is_told_with_examples(tmp_path: Path):
    tokens, kinds = vocabulary()
    tokens[-1] = "another"
    paths: list[str] = []
    changed = (
        tiny_llama().with_pair("tokenizer.ggml.tokens", ARRAY, [*tokens, "new"], STRING)
        .with_pair("tokenizer.ggml.token_type", ARRAY, [*kinds, 1], I32)
        .with_pair("tokenizer.ggml.eos_token_id", U32, 1)
    )  # fmt: skip
    for number, file in enumerate((tiny_llama(), changed)):
        path = tmp_path / f"{number}.gguf"
        path.write_bytes(file.encode())
        paths.append(str(path))
    told = comparison_child.difference([paths[0]], [paths[1]], with_weights=False)["tokenizer"]
    assert told["changed"]["vocabulary"] == ("267", "268")
    assert told["changed"]["eos_token_id"] == ("2 '</s>'", "1 '<s>'")
    assert (told["added"], told["removed"], told["moved"]) == (2, 1, 0)
    assert "removed 266 'word4'" in told["examples"]
    assert comparison_child.difference([paths[0]], [paths[0]], with_weights=False)["tokenizer"] == {}


def test_weights_are_compared_by_part_of_the_model(tmp_path: Path):
    first, second = tiny_llama(), tiny_llama()
    name = "blk.0.attn_q.weight"
    data = bytearray(next(t.data for t in second.tensors if t.name == name))
    data[7] ^= 1
    second = second.with_tensor(name, data=bytes(data)).with_pair("general.size", U32, 5)
    paths: list[str] = []
    for number, file in enumerate((first, second)):
        path = tmp_path / f"{number}.gguf"
        path.write_bytes(file.encode())
        paths.append(str(path))
    rows = comparison_child.difference([paths[0]], [paths[1]], with_weights=True)["weights"]
    assert {row["kind"]: (row["different"], row["compared"]) for row in rows} == {
        "embedding": (0, 1), "norm": (0, 5), "attention": (1, 8), "feed-forward": (0, 6),
    }  # fmt: skip


def test_templates_of_one_line_are_cut_where_tags_meet():
    assert template_lines("{{ a }}{% if b %}{% endif %}") == ["{{ a }}", "{% if b %}", "{% endif %}"]
    assert template_lines(None) == []


def test_names_of_tensors_tell_their_part():
    names = {
        "token_embd.weight": "embedding", "blk.3.attn_q.weight": "attention", "blk.3.attn_norm.weight": "norm",
        "blk.0.ffn_up.weight": "feed-forward", "blk.0.ffn_up_exps.weight": "experts", "output.weight": "output",
        "blk.1.ssm_in.weight": "state", "model.layers.0.mlp.up_proj.weight": "feed-forward", "xyz": "other",
    }  # fmt: skip
    assert {name: tensor_kind(name) for name in names} == names
