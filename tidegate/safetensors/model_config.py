"""`config.json` and tokenizer files of a model in the Hugging Face layout: sane, free of code, true of the weights."""

from collections.abc import Iterator, Mapping

from tidegate.gguf import Finding, Severity, check_template, quote
from tidegate.safetensors.header import Weight
from tidegate.safetensors.json_text import JsonValue
from tidegate.safetensors.rules import finding

CONFIG_NAME = "config.json"
TOKENIZER_CONFIG_NAME = "tokenizer_config.json"
MAX_TEMPLATES = 16

_RANGES: dict[str, tuple[int, int]] = {
    "hidden_size": (1, 2**20), "num_hidden_layers": (1, 512), "num_attention_heads": (1, 4096),
    "num_key_value_heads": (1, 4096), "intermediate_size": (1, 2**24), "vocab_size": (1, 2**24),
    "max_position_embeddings": (1, 2**31), "head_dim": (1, 2**14),
}  # fmt: skip
_NEEDED = ("model_type", "architectures")


def check_config(table: Mapping[str, JsonValue]) -> Iterator[Finding]:
    """The configuration by itself."""
    if table.get("auto_map"):
        text = f"auto_map names code to load: {quote(str(table['auto_map']))}."
        yield finding("PK-CODE", text, subject="auto_map")
    for name in _NEEDED:
        if not table.get(name):
            yield finding("CF-MISSING", f"config.json has no {name}.", subject=name)
    for name, (least, most) in _RANGES.items():
        value = table.get(name)
        if value is not None and not _is_within(value, least, most):
            yield finding("CF-RANGE", f"{name} is {quote(str(value))}.", subject=name)
    heads, shared = _whole(table, "num_attention_heads"), _whole(table, "num_key_value_heads")
    if heads and shared and heads % shared:
        text = f"{heads} attention heads cannot share {shared} key-value heads evenly."
        yield finding("CF-RANGE", text, subject="num_key_value_heads")
    width = _whole(table, "hidden_size")
    if heads and width and not table.get("head_dim") and width % heads:
        yield finding(
            "CF-RANGE", f"hidden_size {width} is no multiple of {heads} heads.", subject="hidden_size"
        )


def check_config_on(table: Mapping[str, JsonValue], weights: Mapping[str, Weight]) -> Iterator[Finding]:
    """The configuration against the tensors, for the names that nearly all language models share."""
    width, vocabulary = _whole(table, "hidden_size"), _whole(table, "vocab_size")
    layers = _whole(table, "num_hidden_layers")
    embedding = next((one for name, one in weights.items() if name.endswith("embed_tokens.weight")), None)
    if embedding is not None and len(embedding.shape) == 2:
        rows, columns = embedding.shape
        if vocabulary and rows < vocabulary:
            text = f"The embedding has {rows} rows; vocab_size is {vocabulary}."
            yield finding("CF-SHAPE", text, subject=embedding.name)
        elif vocabulary and rows > vocabulary:
            text = f"The embedding has {rows} rows; vocab_size is {vocabulary}."
            yield finding("CF-SHAPE", text, subject=embedding.name, severity=Severity.WARNING)
        if width and columns != width:
            text = f"The embedding has {columns} columns; hidden_size is {width}."
            yield finding("CF-SHAPE", text, subject=embedding.name)
    seen = {int(part) for name in weights for part in _layer_numbers(name)}
    if layers and seen and max(seen) + 1 < layers:
        yield finding(
            "SH-MISSING", f"There are weights for {max(seen) + 1} layers; config.json says {layers}."
        )
    missing = sorted(set(range(min(max(seen, default=0), 512))) - seen) if seen else []
    if missing:
        yield finding("SH-MISSING", f"Layer {missing[0]} has no weights ({len(missing)} such layers).")


def check_tokenizer_config(table: Mapping[str, JsonValue]) -> Iterator[Finding]:
    """Chat templates in `tokenizer_config.json` are judged like those in a GGUF file."""
    if table.get("auto_map"):
        yield finding("PK-CODE", "auto_map names code to load.", subject="auto_map")
    templates = table.get("chat_template")
    if templates is None:
        return
    if isinstance(templates, str):
        yield from check_template(templates, subject="chat_template")
        return
    if not isinstance(templates, list) or len(templates) > MAX_TEMPLATES:
        yield finding("C-TYPE", "chat_template is neither a text nor a short list.", subject="chat_template")
        return
    for entry in templates:
        text = entry.get("template") if isinstance(entry, dict) else None
        if isinstance(text, str):
            yield from check_template(text, subject="chat_template")
        else:
            yield finding("C-TYPE", "An entry of chat_template has no text.", subject="chat_template")


def _layer_numbers(name: str) -> Iterator[str]:
    """The number behind `layers.` of the language model; towers for images count on their own."""
    parts = name.split(".")
    if parts[:2] == ["model", "layers"] and len(parts) > 3 and parts[2].isdecimal() and len(parts[2]) < 5:
        yield parts[2]


def _whole(table: Mapping[str, JsonValue], name: str) -> int | None:
    value = table.get(name)
    least, most = _RANGES[name]
    return value if isinstance(value, int) and _is_within(value, least, most) else None


def _is_within(value: JsonValue, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
