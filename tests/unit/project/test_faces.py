"""Faces of rooms that load their names when these are first used."""

from importlib import import_module
from pathlib import Path

import pytest

import tidegate

LAZY = ("domain", "gguf", "quality", "safetensors", "validation")


@pytest.mark.parametrize("room", LAZY)
def test_every_name_of_a_face_is_the_thing_and_not_a_module_of_the_same_name(room: str):
    face = import_module(f"tidegate.{room}")
    folder = Path(tidegate.__file__).parent / room
    modules = [path.stem for path in folder.glob("*.py") if path.stem in face.__all__]

    # Whoever imports such a module first, the face must still give its function.
    for name in modules:
        import_module(f"tidegate.{room}.{name}")

    assert [name for name in face.__all__ if type(getattr(face, name)).__name__ == "module"] == []
