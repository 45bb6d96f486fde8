import hashlib
from pathlib import Path

import gguf
import numpy as np
import pytest

from deployments.demo import gguf_file
from deployments.demo.banks import MODELS
from deployments.demo.export import from_gguf, to_array, to_gguf
from deployments.demo.training import FAST_SHAPE, MAIN_SHAPE, VERSIONS

FILES = [f"{model}-{version}.gguf" for model in MODELS for version in VERSIONS]


def test_sums_name_every_model_file_and_match(models: Path) -> None:
    lines = (models / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split() for line in lines)}

    assert sums == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in models.glob("*.gguf")
    }
    assert sorted(sums) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_every_model_file_is_small_and_of_its_declared_shape(models: Path, name: str) -> None:
    model = from_gguf(models / name)

    assert (models / name).stat().st_size < 1_000_000
    assert model.shape.dim == (FAST_SHAPE if "fast" in name else MAIN_SHAPE).dim
    assert {key: array.shape for key, array in model.weights.items()} == model.shape.tensors()


@pytest.mark.parametrize("name", FILES)
def test_versions_of_a_model_share_their_vocabulary(models: Path, name: str) -> None:
    reference = from_gguf(models / f"{name.split('-')[0]}-v2.gguf")

    assert from_gguf(models / name).tokenizer.tokens == reference.tokenizer.tokens


def test_a_written_file_reads_back_equal(good_file: Path) -> None:
    assert gguf_file.encode(gguf_file.read(good_file)) == good_file.read_bytes()


def test_a_model_survives_export(tmp_path: Path, good_model) -> None:
    path = gguf_file.write(tmp_path / "again.gguf", to_gguf(good_model, "pipit", "again", "a copy"))
    copy = from_gguf(path)

    assert copy.shape.tensors() == good_model.shape.tensors()
    assert all(np.array_equal(copy.weights[name], good_model.weights[name]) for name in good_model.weights)


def test_the_reference_reader_sees_the_same_tensors_and_metadata(good_file: Path) -> None:
    ours = gguf_file.read(good_file)
    theirs = gguf.GGUFReader(good_file)

    assert [tensor.name for tensor in theirs.tensors] == [tensor.name for tensor in ours.tensors]
    for tensor in theirs.tensors:
        assert np.array_equal(tensor.data.astype(np.float32), to_array(ours.tensor(tensor.name)))
    for field in ours.fields:
        assert theirs.fields[field.key].contents() == field.value


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "page.gguf"
    path.write_bytes(b"<html>not a model</html>")

    with pytest.raises(ValueError, match="not a GGUF file"):
        gguf_file.read(path)
