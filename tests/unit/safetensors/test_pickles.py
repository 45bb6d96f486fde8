"""Files that run code when they are loaded, or are of another kind, are refused by name, whatever their suffix says."""

import bz2
import gzip
import io
import pickle
import tarfile
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.gguf.writer import tiny_llama
from tests.unit.safetensors.writer import checks, errors, inspect_bytes, sound
from tidegate.safetensors import ArtifactKind, find_pickle


class _Runs:
    """What an attacker puts into a pickle; only ever written here, never loaded."""

    def __reduce__(self):
        return print, ("loaded",)


def _zip(name: str, content: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(name, content)
        archive.writestr("archive/data/0", bytes(4000))
    return target.getvalue()


def _tar(name: str) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return target.getvalue()


def _numpy(array: np.ndarray) -> bytes:
    target = io.BytesIO()
    np.save(target, array, allow_pickle=True)
    return target.getvalue()


STATE = OrderedDict(weight=[1.0, 2.0], bias=list(range(3000)))
PICKLES = {
    **{f"state, protocol {protocol}": pickle.dumps(STATE, protocol) for protocol in range(6)},
    **{f"code, protocol {protocol}": pickle.dumps(_Runs(), protocol) for protocol in range(6)},
    "code written by hand": b"cos\nsystem\n(S'true'\ntR.",
    "number": pickle.dumps(5, 4),
    "torch archive": _zip("archive/data.pkl", pickle.dumps(STATE, 2)),
    "torch archive, another folder": _zip("pytorch_model/data.pkl", pickle.dumps(STATE, 2)),
    "TorchScript": _zip("model/code/__torch__/net.py", b"def forward(self): ..."),
    "oldest torch archive": _tar("pickle"),
    "numpy objects": _numpy(np.array([{"a": 1}, _Runs()], dtype=object)),
}  # fmt: skip
NAMES = ["pytorch_model.bin", "model.safetensors", "model.gguf", "weights", "readme.txt"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", PICKLES)
def test_a_pickle_is_refused_with_the_reason_and_the_remedy_even_when_its_suffix_lies(kind: str, name: str):
    seen = inspect_bytes(PICKLES[kind], name)
    assert errors(seen) == ["PK-PICKLE"]
    assert "runs while it is loaded" in seen.findings[0].explanation
    assert "weights_only=True" in seen.findings[0].remedy
    assert len(seen.digest) == 64


@pytest.mark.parametrize("suffix", [".bin", ".pt", ".pth", ".ckpt", ".pkl", ".npy"])
def test_unknown_bytes_under_the_suffix_of_a_pickle_are_refused(suffix: str):
    assert errors(inspect_bytes(b"\x01\x02\x03\x04" * 100, "model" + suffix)) == ["PK-SUFFIX"]


FOREIGN = {
    "zip": (_zip("a.txt", b"hello"), "ZIP"),
    "tar": (_tar("a.txt"), "tar"),
    "gzip": (gzip.compress(b"hello" * 100), "gzip"),
    "bzip2": (bz2.compress(b"hello" * 100), "bzip2"),
    "zlib": (zlib.compress(b"hello" * 100), "zlib"),
    "numpy numbers": (_numpy(np.ones(3)), "NumPy"),
    "HTML": (b"<!DOCTYPE html><html><body>404</body></html>", "web page"),
    "LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "LFS"),
    "ONNX": (b"\x08\x09\x12\x07pytorch\x1a\x052.1.0:\x10" + bytes(40), "ONNX"),
    "TFLite": (b"\x1c\0\0\0TFL3" + bytes(40), "TensorFlow Lite"),
    "ELF": (b"\x7fELF" + bytes(60), "ELF"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(60), "HDF5"),
    "JSON": (b'{"error": "not found"}', "JSON"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_another_kind_of_file_is_named(kind: str):
    content, word = FOREIGN[kind]
    (found,) = inspect_bytes(content, "model.gguf").findings
    assert found.check == "F-FOREIGN"
    assert word in found.message


def test_random_bytes_are_refused_as_no_gguf():
    assert errors(inspect_bytes(b"\x99\x88\x77" * 100, "model.gguf")) == ["H-MAGIC"]


def test_an_empty_file_is_refused():
    assert errors(inspect_bytes(b"", "model.safetensors")) == ["F-EMPTY"]


@pytest.mark.parametrize(("content", "name"), [(sound(), "model.gguf"), (sound(), "model.bin")])
def test_a_sound_file_under_a_wrong_suffix_is_told(content: bytes, name: str):
    assert checks(inspect_bytes(content, name)) == ["FD-SUFFIX"]


def test_gguf_is_judged_as_before():
    seen = inspect_bytes(tiny_llama().encode(), "model.gguf")
    assert seen.kind is ArtifactKind.GGUF_MODEL
    assert seen.findings == ()
    assert seen.header is not None


@given(st.text(max_size=300))
def test_prose_is_no_pickle(text: str):
    assert find_pickle(text.encode()) is None or "." in text


@pytest.mark.parametrize("path", sorted(Path(__file__).parents[3].glob("*.md")), ids=lambda path: path.name)
def test_our_own_documents_are_no_pickles(path: Path):
    assert find_pickle(path.read_bytes()[:65536]) is None
