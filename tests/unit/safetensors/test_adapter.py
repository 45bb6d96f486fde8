"""PEFT adapter folders: configuration and weights each by itself, and both against each other."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.safetensors.writer import (
    CONFIG,
    checks,
    encode,
    entries,
    errors,
    floats,
    inspect,
    inspect_bytes,
    lora,
    write_adapter,
)
from tidegate.safetensors import ArtifactKind

F32 = "F32"


def test_a_sound_adapter_passes_without_a_finding(tmp_path: Path):
    seen = inspect(write_adapter(tmp_path))
    assert seen.findings == ()
    assert seen.kind is ArtifactKind.PEFT_ADAPTER
    assert seen.numbers_were_scanned
    assert [file.path for file in seen.files] == ["adapter_config.json", "adapter_model.safetensors"]
    assert seen.weights is not None
    assert (seen.weights.tensors, seen.weights.base_model) == (8, "example-org/pipit")


def test_the_digest_of_a_folder_is_that_of_the_list_that_sha256sum_writes(tmp_path: Path):
    write_adapter(tmp_path)
    lines = "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(tmp_path.iterdir())
    )
    assert inspect(tmp_path).digest == hashlib.sha256(lines.encode()).hexdigest()


CONFIGS: list[tuple[dict[str, Any], list[str]]] = [
    ({"peft_type": "IA3"}, ["AD-KIND"]),
    ({"peft_type": None}, ["AD-KIND"]),
    ({"r": 0}, ["AD-RANK"]),
    ({"r": "8"}, ["AD-RANK"]),
    ({"r": True}, ["AD-RANK"]),
    ({"r": 4096}, ["AD-RANK"]),
    ({"r": 8}, ["AD-RANK"]),
    ({"rank_pattern": {"q_proj": -1}}, ["AD-RANK"]),
    ({"rank_pattern": "q_proj"}, ["AD-RANK"]),
    ({"lora_alpha": 0}, ["AD-ALPHA"]),
    ({"lora_alpha": "16"}, ["AD-ALPHA"]),
    ({"lora_alpha": None}, ["AD-ALPHA"]),
    ({"lora_alpha": 10**30}, ["AD-SCALE"]),
    ({"target_modules": []}, ["AD-TARGET"]),
    ({"target_modules": [1]}, ["AD-TARGET"]),
    ({"target_modules": ["q_proj"]}, ["AD-TARGET"]),
    ({"target_modules": ["o_proj"]}, ["AD-TARGET", "AD-TARGET"]),
    ({"target_modules": ["q_proj", "v_proj", "o_proj"]}, ["AD-TARGET"]),
    ({"base_model_name_or_path": None}, ["AD-BASE"]),
    ({"base_model_name_or_path": "/srv/models/base"}, ["AD-BASE"]),
    ({"base_model_name_or_path": "C:\\models\\base"}, ["AD-BASE"]),
    ({"task_type": "SEQ_CLS"}, ["AD-TASK"]),
    ({"use_dora": True}, ["AD-OPTION"]),
    ({"bias": "all"}, ["AD-OPTION"]),
    ({"init_lora_weights": "pissa_niter_16"}, ["AD-OPTION"]),
    ({"lora_dropout": 2}, ["AD-OPTION"]),
    ({"auto_mapping": {"base_model_class": "X", "parent_library": "transformers_modules.evil"}}, ["PK-CODE"]),
]


@pytest.mark.parametrize(("changes", "wanted"), CONFIGS)
def test_each_fault_of_a_configuration_has_its_rule(
    changes: dict[str, Any], wanted: list[str], tmp_path: Path
):
    seen = inspect(write_adapter(tmp_path, **changes))
    assert sorted({*checks(seen)}) == sorted({*wanted})


@pytest.mark.parametrize(
    "changes",
    [
        {"target_modules": "all-linear"},
        {"target_modules": ".*_proj"},
        {"target_modules": "(a+)+$"},
        {"r": 8, "rank_pattern": {"q_proj": 4, "v_proj": 4}},
        {"use_rslora": True},
        {"modules_to_save": []},
        {"lora_alpha": 12.5},
        {"init_lora_weights": "gaussian"},
        {"something_new": {"nested": [1, 2]}},
    ],
)
def test_usual_configurations_pass(changes: dict[str, Any], tmp_path: Path):
    assert inspect(write_adapter(tmp_path, **changes)).findings == ()


WEIGHTS: list[tuple[dict[str, Any], str]] = [
    ({"0_q_A": None}, "AD-PAIR"),
    ({"1_v_B": None}, "AD-PAIR"),
    ({"0_q_A": (F32, floats(8, 16))}, "AD-SHAPE"),
    ({"0_q_B": (F32, floats(4, 16))}, "AD-SHAPE"),
    ({"0_q_A": (F32, floats(4))}, "AD-SHAPE"),
    ({"0_q_A": (F32, floats(8, 16)), "0_q_B": (F32, floats(16, 8))}, "AD-RANK"),
    ({"0_q_A": ("F64", floats(4, 16, dtype="<f8"))}, "AD-DTYPE"),
    ({"0_q_A": ("I8", np.ones((4, 16), "i1"))}, "AD-DTYPE"),
    ({"0_q_A": (F32, np.full((4, 16), np.nan, "<f4"))}, "N-NAN"),
]


@pytest.mark.parametrize(("changes", "check"), WEIGHTS)
def test_each_fault_of_the_matrices_has_its_rule(changes: dict[str, Any], check: str, tmp_path: Path):
    assert errors(inspect(write_adapter(tmp_path, lora(**changes)))) == [check]


def test_an_adapter_whose_b_matrices_are_all_zero_was_never_trained(tmp_path: Path):
    zero = {f"{layer}_{module}_B": (F32, np.zeros((width, 4), "<f4"))
            for layer in (0, 1) for module, width in (("q", 16), ("v", 8))}  # fmt: skip
    assert errors(inspect(write_adapter(tmp_path, lora(**zero)))) == ["AD-UNTRAINED"]


def test_one_zero_matrix_is_only_told(tmp_path: Path):
    seen = inspect(write_adapter(tmp_path, lora(**{"0_q_B": (F32, np.zeros((16, 4), "<f4"))})))
    assert checks(seen) == ["AD-UNTRAINED"]
    assert errors(seen) == []


def test_a_layer_of_another_width_is_told(tmp_path: Path):
    seen = inspect(write_adapter(tmp_path, lora(**{"1_q_B": (F32, floats(32, 4))})))
    assert (checks(seen), errors(seen)) == (["AD-LAYERS"], [])


def test_other_tensors_are_refused_unless_an_option_explains_them(tmp_path: Path):
    tensors = {**lora(), "base_model.model.lm_head.weight": (F32, floats(4, 4))}
    assert errors(inspect(write_adapter(tmp_path, tensors))) == ["AD-TENSOR"]
    assert checks(inspect(write_adapter(tmp_path, tensors, modules_to_save=["lm_head"]))) == ["AD-OPTION"]


def test_names_with_the_name_of_the_adapter_and_embeddings_are_understood(tmp_path: Path):
    tensors = {name.replace(".weight", ".default.weight"): array for name, array in lora().items()}
    tensors["base_model.model.model.embed_tokens.lora_embedding_A"] = (F32, floats(4, 32))
    tensors["base_model.model.model.embed_tokens.lora_embedding_B"] = (F32, floats(16, 4))
    targets = ["q_proj", "v_proj", "embed_tokens"]
    assert inspect(write_adapter(tmp_path, tensors, target_modules=targets)).findings == ()


def test_weights_without_a_configuration_are_refused(tmp_path: Path):
    write_adapter(tmp_path)
    (tmp_path / "adapter_config.json").unlink()
    assert errors(inspect(tmp_path)) == ["AD-CONFIG"]
    assert errors(inspect_bytes(encode(*entries(lora())))) == ["AD-CONFIG"]


def test_a_configuration_without_weights_is_refused(tmp_path: Path):
    write_adapter(tmp_path)
    (tmp_path / "adapter_model.safetensors").unlink()
    assert errors(inspect(tmp_path)) == ["AD-PAIR"]


def test_a_configuration_with_a_name_twice_is_refused(tmp_path: Path):
    write_adapter(tmp_path)
    (tmp_path / "adapter_config.json").write_text('{"r": 64, ' + json.dumps(CONFIG)[1:])
    assert errors(inspect(tmp_path)) == ["CF-JSON"]


def test_a_configuration_that_is_no_json_is_refused(tmp_path: Path):
    write_adapter(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{'r': 4}")
    assert errors(inspect(tmp_path)) == ["CF-JSON", "AD-CONFIG"]
