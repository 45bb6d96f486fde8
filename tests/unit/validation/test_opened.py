"""What a path stands for: a file, a model of several files, or the one model of a folder."""

import os
from pathlib import Path

import pytest

from tidegate.domain import NotFound
from tidegate.validation.opened import open_whole, opened
from tidegate.validation.part_links import linked

PARTS = [f"m-{number:05d}-of-00003.gguf" for number in (1, 2, 3)]


def _files(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return folder


def _content(path: Path) -> str:
    with opened(path) as artifact:
        return os.pread(artifact.descriptor, 100, 0).decode()


def test_the_first_part_stands_for_the_set(tmp_path: Path):
    with opened(_files(tmp_path, *PARTS) / PARTS[0]) as artifact:
        assert sorted(artifact.files) == PARTS
        assert artifact.size_bytes == sum(map(len, PARTS))


def test_a_later_part_stands_for_itself(tmp_path: Path):
    with opened(_files(tmp_path, *PARTS) / PARTS[1]) as artifact:
        assert list(artifact.files) == [PARTS[1]]


def test_a_missing_part_is_left_out(tmp_path: Path):
    with opened(_files(tmp_path, PARTS[0], PARTS[2]) / PARTS[0]) as artifact:
        assert sorted(artifact.parts) == [PARTS[0], PARTS[2]]


@pytest.mark.parametrize("beside", [(), ("README.md", "LICENSE", "config.json"), ("notes/read.txt",)])
def test_a_folder_of_one_model_stands_for_the_model(tmp_path: Path, beside: tuple[str, ...]):
    assert _content(_files(tmp_path, "model.gguf", *beside)) == "model.gguf"


def test_a_folder_of_one_set_stands_for_the_set(tmp_path: Path):
    with opened(_files(tmp_path, *PARTS, "README.md")) as artifact:
        assert (artifact.name, sorted(artifact.parts)) == (PARTS[0], PARTS)


@pytest.mark.parametrize(
    "beside",
    [
        "other.gguf",
        "weights.bin",
        "run.py",
        "adapter_config.json",
        "model.safetensors",
        "m-00001-of-00002.gguf",
    ],
)
def test_a_folder_of_more_than_one_model_is_judged_as_a_folder(tmp_path: Path, beside: str):
    with opened(_files(tmp_path, "model.gguf", beside)) as artifact:
        assert artifact.name == tmp_path.name
        assert artifact.parts == {}


def test_a_model_behind_a_link_out_of_the_folder_is_not_followed(tmp_path: Path):
    _files(tmp_path, "outside.gguf")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "model.gguf").symlink_to(tmp_path / "outside.gguf")
    with opened(tmp_path / "folder") as artifact:
        assert artifact.name == "folder"


def test_what_is_not_there_is_said(tmp_path: Path):
    with pytest.raises(NotFound):
        open_whole(tmp_path / "none.gguf")


def test_parts_are_found_under_the_names_that_the_engine_looks_for_and_nothing_stays(tmp_path: Path):
    with opened(_files(tmp_path, *PARTS) / PARTS[0]) as artifact, linked(artifact.parts) as first:
        assert first is not None
        folder = Path(first).parent
        assert first.endswith("-00001-of-00003.gguf")
        assert [path.read_bytes().decode() for path in sorted(folder.iterdir())] == PARTS
        assert folder.stat().st_mode & 0o077 == 0
    assert not folder.exists()


def test_a_model_of_one_file_needs_no_names(tmp_path: Path):
    with opened(_files(tmp_path, "model.gguf") / "model.gguf") as artifact, linked(artifact.parts) as first:
        assert first is None
