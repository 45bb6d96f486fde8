"""Cases beside the corpus of GGUF files: chat templates in a sound model, safetensors, and pickles."""

import json
import pickle
from collections.abc import Iterator
from pathlib import Path

from tests.corpus import Case
from tests.corpus.case import good, reject
from tests.corpus.models import llama_bpe
from tests.corpus.writer import STRING
from tests.unit.safetensors.test_pickles import PICKLES
from tests.unit.safetensors.test_weights import BAD_NUMBERS, DAMAGED
from tests.unit.safetensors.writer import encode, entries, floats, small_model, sound

TEMPLATES = Path(__file__).parent.parent / "tests" / "data" / "templates"
# What says that it reads GGUF files only is not asked about these.
OTHER_FORMATS = ("safetensors", "pickle")


def more_cases() -> Iterator[Case]:
    """Names end with the suffix that the file gets; without one it is a GGUF file."""
    yield from _templates()
    yield from _safetensors()
    yield from _pickles()


def _templates() -> Iterator[Case]:
    base = llama_bpe()
    for path in sorted(TEMPLATES.glob("*/*.jinja")):
        folder = path.parent.name
        file = base.set("tokenizer.chat_template", STRING, path.read_text())
        if folder == "good":
            yield good(f"template/sound/{path.stem}", file)
        elif folder == "reject":
            yield reject(f"template/{path.stem}", file)


def _safetensors() -> Iterator[Case]:
    table, data = entries(small_model())
    sounds = {
        "plain": sound(),
        "with-metadata": encode({"__metadata__": {"format": "pt"}, **table}, data),
        "padded-header": encode(json.dumps(table) + "     ", data),
        "one-tensor": encode(*entries({"a.weight": ("F32", floats(16, 16))})),
    }
    for name, content in sounds.items():
        yield good(f"safetensors/sound/{name}.safetensors", content)
    for name, (content, _) in DAMAGED.items():
        yield reject(f"safetensors/{name}.safetensors", content)
    for name, (dtype, raw, check) in BAD_NUMBERS.items():
        if check is not None:
            repeated = raw * 64
            kept = encode(*_one(dtype, repeated, table, data))
            yield reject(f"safetensors/numbers/{name}.safetensors", kept)


def _one(dtype: str, raw: bytes, table: dict[str, object], data: bytes) -> tuple[dict[str, object], bytes]:
    """A sound model with one tensor more."""
    items = len(raw) * 8 // _BITS.get(dtype, 8)
    entry = {"dtype": dtype, "shape": [items], "data_offsets": [len(data), len(data) + len(raw)]}
    return {**table, "model.extra.weight": entry}, data + raw


_BITS = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "C64": 64, "I64": 64, "I32": 32, "I16": 16}


def _pickles() -> Iterator[Case]:
    for name, content in PICKLES.items():
        yield reject(f"pickle/{name}.bin", content)
    # Scanners of pickles look for dangerous names; these have none, and run code all the same.
    yield reject("pickle/named as safetensors.safetensors", pickle.dumps({"weight": [1.0] * 100}, 4))
