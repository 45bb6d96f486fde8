"""Folders are one artifact: nothing leaves them, every file in them is looked at, sets are complete."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from tests.corpus import splits
from tests.unit.gguf.writer import tiny_llama
from tests.unit.safetensors.writer import (
    MODEL_CONFIG,
    checks,
    encode,
    entries,
    errors,
    floats,
    inspect,
    small_model,
    write_adapter,
)
from tidegate.safetensors import ArtifactKind, inspect_artifact


def _model(folder: Path, **config: Any) -> Path:
    (folder / "config.json").write_text(json.dumps({**MODEL_CONFIG, **config}))
    (folder / "model.safetensors").write_bytes(encode(*entries(small_model())))
    return folder


def _sharded(folder: Path, weight_map: dict[str, str] | None = None, total: int | None = None) -> Path:
    """Two files and their index."""
    (folder / "config.json").write_text(json.dumps(MODEL_CONFIG))
    names = list(small_model())
    files = {
        f"model-0000{number}-of-00002.safetensors": part for number, part in ((1, names[:1]), (2, names[1:]))
    }
    size = 0
    for file, part in files.items():
        table, data = entries({name: small_model()[name] for name in part})
        (folder / file).write_bytes(encode(table, data))
        size += len(data)
    places = {name: file for file, part in files.items() for name in part}
    index = {"metadata": {"total_size": size if total is None else total}, "weight_map": weight_map or places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def test_a_sound_model_folder_passes_without_a_finding(tmp_path: Path):
    _model(tmp_path)
    (tmp_path / "README.md").write_text("# Pipit\n")
    (tmp_path / "tokenizer.json").write_text('{"model": {}}')
    (tmp_path / ".gitattributes").write_text("*.safetensors filter=lfs\n")
    seen = inspect(tmp_path)
    assert seen.findings == ()
    assert seen.kind is ArtifactKind.HF_MODEL
    assert seen.weights is not None
    assert seen.weights.architecture == "llama"


def test_a_sound_set_passes_without_a_finding(tmp_path: Path):
    assert inspect(_sharded(tmp_path)).findings == ()


FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
EMBEDDING, QUERY, NORM = small_model()


@pytest.mark.parametrize(
    ("places", "wanted"),
    [
        ({EMBEDDING: FIRST, QUERY: SECOND}, ["SH-EXTRA"]),
        ({EMBEDDING: SECOND, QUERY: SECOND, NORM: SECOND}, ["SH-MISSING", "SH-MISSING"]),
        ({EMBEDDING: FIRST, QUERY: SECOND, NORM: SECOND, "lm_head.weight": SECOND}, ["SH-MISSING"]),
        ({EMBEDDING: FIRST, QUERY: SECOND, NORM: "model-00003-of-00003.safetensors"}, ["SH-INDEX", "SH-EXTRA", "SH-MISSING"]),
        ({EMBEDDING: "../other/model.safetensors"}, ["SH-INDEX"]),
        ({EMBEDDING: "/etc/passwd"}, ["SH-INDEX"]),
        ({EMBEDDING: "model.bin"}, ["SH-INDEX"]),
        ({EMBEDDING: 1}, ["SH-INDEX"]),
    ],
)  # fmt: skip
def test_an_index_that_does_not_tell_the_truth_is_refused(places: Any, wanted: list[str], tmp_path: Path):
    assert sorted(set(errors(inspect(_sharded(tmp_path, places))))) == sorted(set(wanted))


def test_a_missing_file_of_a_set_is_named(tmp_path: Path):
    _sharded(tmp_path)
    (tmp_path / SECOND).unlink()
    seen = inspect(tmp_path)
    assert errors(seen) == ["SH-MISSING"]
    assert SECOND in seen.findings[0].message


def test_a_set_without_an_index_is_refused(tmp_path: Path):
    _sharded(tmp_path)
    (tmp_path / "model.safetensors.index.json").unlink()
    assert errors(inspect(tmp_path)) == ["SH-INDEX"]


def test_a_tensor_in_two_files_is_refused(tmp_path: Path):
    _model(tmp_path)
    (tmp_path / "more.safetensors").write_bytes((tmp_path / "model.safetensors").read_bytes())
    assert errors(inspect(tmp_path)) == ["SH-TWICE"]


def test_a_wrong_total_and_a_stray_file_are_only_told(tmp_path: Path):
    _sharded(tmp_path, total=5)
    (tmp_path / "old.safetensors").write_bytes(encode(*entries({"x": ("F32", floats(2))})))
    seen = inspect(tmp_path)
    assert (sorted(checks(seen)), errors(seen)) == (["SH-SIZE", "SH-STRAY"], [])


CONFIGS: list[tuple[dict[str, Any], list[str]]] = [
    ({"auto_map": {"AutoModel": "modeling_evil.Evil"}}, ["PK-CODE"]),
    ({"model_type": ""}, ["CF-MISSING"]),
    ({"architectures": []}, ["CF-MISSING"]),
    ({"num_attention_heads": 0}, ["CF-RANGE"]),
    ({"hidden_size": 10**12}, ["CF-RANGE"]),
    ({"hidden_size": "8"}, ["CF-RANGE"]),
    ({"num_key_value_heads": 3, "num_attention_heads": 4}, ["CF-RANGE"]),
    ({"hidden_size": 16}, ["CF-SHAPE"]),
    ({"vocab_size": 64}, ["CF-SHAPE"]),
    ({"num_hidden_layers": 2}, ["SH-MISSING"]),
]


@pytest.mark.parametrize(("changes", "wanted"), CONFIGS)
def test_each_fault_of_a_model_configuration_has_its_rule(
    changes: dict[str, Any], wanted: list[str], tmp_path: Path
):
    assert errors(inspect(_model(tmp_path, **changes))) == wanted


def test_a_hostile_chat_template_of_a_tokenizer_is_refused(tmp_path: Path):
    write_adapter(tmp_path)
    hostile = "{{ ''.__class__.__mro__ }}{% for m in messages %}{{ m['content'] }}{% endfor %}"
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": hostile}))
    assert "C-ATTR" in errors(inspect(tmp_path))


def test_leftovers_of_training_are_pickles_and_the_message_says_to_delete_them(tmp_path: Path):
    write_adapter(tmp_path)
    (tmp_path / "training_args.bin").write_bytes(pickle.dumps({"lr": 1e-4}))
    seen = inspect(tmp_path)
    assert errors(seen) == ["PK-PICKLE"]
    assert "delete it" in seen.findings[0].message


def test_code_is_refused_and_unknown_files_are_told(tmp_path: Path):
    write_adapter(tmp_path)
    (tmp_path / "modeling_x.py").write_text("import os\n")
    (tmp_path / "what.dat").write_bytes(b"\x00\x01\xff\xfe" * 20)
    seen = inspect(tmp_path)
    assert (errors(seen), checks(seen)) == (["PK-CODE"], ["PK-CODE", "FD-UNKNOWN"])


@pytest.mark.parametrize("target", ["/etc/hostname", "../outside.safetensors", "missing", "inner", "."])
def test_links_that_lead_out_are_refused_and_not_read(target: str, tmp_path: Path):
    folder = write_adapter(tmp_path / "adapter")
    (tmp_path / "outside.safetensors").write_bytes(b"secret")
    (folder / "inner").mkdir()
    (folder / "link.json").symlink_to(target)
    seen = inspect(folder)
    assert errors(seen) == ["FD-LINK"]
    assert "link.json" not in [file.path for file in seen.files]


def test_a_link_to_a_file_beside_it_counts_as_that_file(tmp_path: Path):
    write_adapter(tmp_path)
    (tmp_path / "adapter_model.safetensors").rename(tmp_path / "real.safetensors")
    (tmp_path / "adapter_model.safetensors").symlink_to("real.safetensors")
    assert errors(inspect(tmp_path)) == []


def test_pipes_and_deep_folders_are_refused_without_waiting(tmp_path: Path):
    write_adapter(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a/b/c/d/e").mkdir(parents=True)
    assert sorted(errors(inspect(tmp_path))) == ["FD-LIMIT", "FD-SPECIAL"]


def test_files_in_inner_folders_are_looked_at_too(tmp_path: Path):
    write_adapter(tmp_path)
    (tmp_path / "checkpoint-5").mkdir()
    (tmp_path / "checkpoint-5" / "optimizer.pt").write_bytes(pickle.dumps({}))
    seen = inspect(tmp_path)
    assert errors(seen) == ["PK-PICKLE"]
    assert "checkpoint-5/optimizer.pt" in seen.findings[0].message


def test_a_folder_with_one_gguf_is_that_model(tmp_path: Path):
    (tmp_path / "tiny.gguf").write_bytes(tiny_llama().encode())
    seen = inspect(tmp_path)
    assert seen.kind is ArtifactKind.GGUF_MODEL
    assert seen.findings == ()
    assert seen.header is not None


def _parts(folder: Path) -> Path:
    case = next(case for case in splits.cases() if case.name == "split/two-parts")
    assert isinstance(case.content, dict)
    for name, content in case.content.items():
        (folder / name).write_bytes(content)
    return folder


def test_a_split_model_is_judged_as_the_one_model_that_it_makes(tmp_path: Path):
    seen = inspect(_parts(tmp_path))
    assert seen.findings == ()
    assert seen.kind is ArtifactKind.GGUF_MODEL
    assert seen.numbers_were_scanned
    assert seen.header is not None
    assert len(seen.files) == 2


def test_a_missing_part_of_a_split_model_is_named(tmp_path: Path):
    (_parts(tmp_path) / "model-00002-of-00002.gguf").unlink()
    seen = inspect(tmp_path)
    assert "P-MISSING" in errors(seen)
    assert "model-00002-of-00002.gguf" in str(seen.findings)


def test_an_empty_folder_is_refused(tmp_path: Path):
    assert errors(inspect(tmp_path)) == ["FD-KIND"]


def test_progress_counts_over_all_files(tmp_path: Path):
    seen: list[tuple[int, int]] = []
    descriptor = os.open(write_adapter(tmp_path), os.O_RDONLY)
    try:
        inspect_artifact(descriptor, progress=lambda done, total: seen.append((done, total)))
    finally:
        os.close(descriptor)
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1] == sum(path.stat().st_size for path in tmp_path.iterdir())
