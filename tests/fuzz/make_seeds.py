"""Writes the seeds: few and small, each with something that the others lack.

python -m tests.fuzz.make_seeds
"""

import json
import pickle
from collections import OrderedDict
from pathlib import Path

from tests.fuzz.targets import FOLDER, SEPARATOR
from tests.unit.gguf.test_lora import ADAPTER
from tests.unit.gguf.writer import I32, TEMPLATE, U16, File, Pair, Stored, tiny_llama
from tests.unit.safetensors.writer import CONFIG, MODEL_CONFIG, encode, entries, lora, small_model, sound


def _small() -> File:
    """A model with few tokens, so that a changed byte hits something that matters."""
    tokens = ["<unk>", "<s>", "</s>", "a", "b"]
    model = tiny_llama(width=8, blocks=1, heads=2, shared=1, inner=8)
    changed = {"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.scores": [0.0] * 5,
               "tokenizer.ggml.token_type": [2, 3, 3, 1, 1]}  # fmt: skip
    pairs = tuple(
        Pair(pair.key, pair.kind, changed.get(str(pair.key), pair.value), pair.item) for pair in model.pairs
    )
    tensors = tuple(
        Stored(one.name, (8, 5), one.kind, one.data[:80]) if one.name == "token_embd.weight" else one
        for one in model.tensors
    )
    return File(pairs, tensors)


def _folder(files: dict[str, bytes]) -> bytes:
    return SEPARATOR.join(name.encode() + b"\n" + content for name, content in files.items())


def _sharded() -> bytes:
    names = list(small_model())
    files = {"config.json": json.dumps(MODEL_CONFIG).encode()}
    places: dict[str, str] = {}
    for number, part in ((1, names[:1]), (2, names[1:])):
        file = f"model-0000{number}-of-00002.safetensors"
        files[file] = encode(*entries({name: small_model()[name] for name in part}))
        places |= dict.fromkeys(part, file)
    files["model.safetensors.index.json"] = json.dumps(
        {"metadata": {"total_size": 5}, "weight_map": places}
    ).encode()
    return _folder(files)


def _split() -> bytes:
    """A model in two parts, as llama-gguf-split writes them."""
    whole = _small()
    own = [
        (
            Pair("split.no", U16, no),
            Pair("split.count", U16, 2),
            Pair("split.tensors.count", I32, len(whole.tensors)),
        )
        for no in range(2)
    ]
    parts = (File((*whole.pairs, *own[0]), whole.tensors[:4]), File(own[1], whole.tensors[4:]))
    return _folder({f"m-0000{no}-of-00002.gguf": part.encode() for no, part in enumerate(parts, 1)})


SEEDS: dict[str, dict[str, bytes]] = {
    "gguf": {
        "model": _small().encode(),
        "adapter": ADAPTER.encode(),
        "header": _small().head(),
        "empty": b"GGUF\3\0\0\0" + bytes(16),
    },
    "safetensors": {
        "model": sound(),
        "adapter": encode(*entries(lora(rank=1, layers=1))),
        "metadata": encode({"__metadata__": {"format": "pt"}, **entries(small_model())[0]}, entries(small_model())[1]),
        "types": encode({"a": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]},
                         "b": {"dtype": "BOOL", "shape": [], "data_offsets": [2, 3]}}, b"\x38\x7e\x01"),
    },
    "folder": {
        "adapter": _folder({
            "adapter_config.json": json.dumps(CONFIG).encode(),
            "adapter_model.safetensors": encode(*entries(lora(rank=4, layers=1))),
            "tokenizer_config.json": json.dumps({"chat_template": TEMPLATE}).encode(),
            "training_args.bin": pickle.dumps({"lr": 1}),
        }),
        "sharded": _sharded(),
        "split": _split(),
    },
    "template": {
        "plain": TEMPLATE.encode(),
        "branches": b"{% if messages[0]['role'] == 'system' %}{% set s = messages[0].content %}{% endif %}"
                    b"{% for m in messages %}{{ m.content | trim }}{% endfor %}{{ raise_exception('x') }}",
        "macro": b"{% macro f(x, y=1) %}{{ x ~ y }}{% endmacro %}{% for m in messages %}{{ f(m.content) }}{% endfor %}"
                 b"{% set ns = namespace(a=0) %}{% set ns.a = ns.a + 1 %}{{ strftime_now('%Y') }}",
        "hostile": b"{{ ''.__class__ }}{{ 'a' * 10 ** 9 }}{% if 'x' in messages[-1].content %}https://e.test{% endif %}",
    },
    "pickle": {
        **{f"protocol{number}": pickle.dumps(OrderedDict(a=[1.5, "x", None]), number) for number in range(6)},
        "text": b"cos\nsystem\n(S'true'\ntR.",
    },
}  # fmt: skip

if __name__ == "__main__":
    for target, seeds in SEEDS.items():
        for name, content in seeds.items():
            path = Path(FOLDER / "seeds" / target / name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            print(f"{len(content):8} {path}")
