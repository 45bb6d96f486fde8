"""Writes the outline of a model: its shape without its words and weights, for an engine that only has to plan.

Everything in it was read by our own reader and is written anew, so an engine that gets it parses nothing
that came from the file: no vocabulary, no chat template, no byte that was not checked.
"""

import struct
from collections.abc import Iterator

from tidegate.gguf.header import FIXED_FORMATS, ArrayValue, Header, TensorInfo, Value, ValueType, padded

VERSION = 3


def outline(header: Header) -> bytes:
    """Header of a file with the same architecture and tensors; the data may be a hole of the same size.

    The tokenizer becomes `no_vocab` with the same number of tokens.
    """
    prefix = header.architecture + "."
    kept = {key: value for key, value in header.metadata.items() if key.startswith(prefix)}
    kept.pop(prefix + "vocab_size", None)
    tokens = header.array("tokenizer.ggml.tokens")
    pairs = [
        _pair("general.architecture", _scalar(ValueType.STRING, header.architecture)),
        _pair("general.alignment", _scalar(ValueType.U32, header.alignment)),
        _pair("tokenizer.ggml.model", _scalar(ValueType.STRING, "no_vocab")),
        _pair(prefix + "vocab_size", _scalar(ValueType.U32, tokens.count if tokens else 0)),
        *(_pair(key, value) for key, value in kept.items()),
    ]
    counts = struct.pack("<IQQ", VERSION, len(header.tensors), len(pairs))
    head = b"".join((b"GGUF", counts, *pairs, *_tensors(header.tensors, header.alignment)))
    return head.ljust(padded(len(head), header.alignment), b"\0")


def _tensors(tensors: tuple[TensorInfo, ...], alignment: int) -> Iterator[bytes]:
    """One behind the other, as in every sound file: those of a split model come from several."""
    place = 0
    for tensor in tensors:
        yield _text(tensor.name) + struct.pack(f"<I{len(tensor.dims)}Q", len(tensor.dims), *tensor.dims)
        yield struct.pack("<IQ", tensor.type_id, place)
        place += padded(tensor.n_bytes or 0, alignment)


def _scalar(kind: ValueType, content: str | int) -> Value:
    return Value(kind, content, 0)


def _pair(key: str, value: Value) -> bytes:
    return _text(key) + struct.pack("<I", value.type) + _content(value)


def _content(value: Value) -> bytes:
    content = value.content
    if isinstance(content, ArrayValue):
        return struct.pack("<IQ", content.item_type, content.count) + _items(content)
    if isinstance(content, str):
        return _text(content)
    return struct.pack("<" + FIXED_FORMATS[value.type], content)


def _items(array: ArrayValue) -> bytes:
    if array.item_type is ValueType.STRING:
        return b"".join(struct.pack("<Q", len(text)) + text for text in array.strings())
    numbers = array.numeric()
    return numbers.astype(numbers.dtype.newbyteorder("<")).tobytes()


def _text(text: str) -> bytes:
    raw = text.encode("utf-8")
    return struct.pack("<Q", len(raw)) + raw
