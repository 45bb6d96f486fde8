"""What a file is, by its bytes first and by its name only where the bytes leave it open."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from tidegate.gguf.foreign import name_foreign
from tidegate.safetensors.pickles import PICKLE_SUFFIXES, find_pickle

HEAD_BYTES = 64 * 1024
TAIL_BYTES = 64 * 1024


class ArtifactKind(StrEnum):
    """What an artifact is, which decides the checks that apply to it."""

    GGUF_MODEL = "gguf_model"
    GGUF_ADAPTER = "gguf_adapter"
    SAFETENSORS = "safetensors"
    PEFT_ADAPTER = "peft_adapter"
    HF_MODEL = "hf_model"
    UNKNOWN = "unknown"


class FileKind(StrEnum):
    GGUF = "gguf"
    SAFETENSORS = "safetensors"
    PICKLE = "pickle"
    FOREIGN = "foreign"
    JSON = "json"
    TEXT = "text"
    EMPTY = "empty"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Detected:
    """The kind, and in words what arrived when it is none that can be deployed."""

    kind: FileKind
    description: str = ""


_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (257, b"ustar", "a tar archive"),
    (0, b"BZh", "a bzip2 file"),
    (0, b"\x04\x22\x4d\x18", "an LZ4 file"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (4, b"TFL3", "a TensorFlow Lite model"),
    (4, b"ET12", "an ExecuTorch program"),
    (0, b"SQLite format 3\0", "an SQLite database"),
    (0, b"\xcf\xfa\xed\xfe", "a program (macOS)"),
    (0, b"\xca\xfe\xba\xbe", "a program (macOS, or Java)"),
    (0, b"PAR1", "a Parquet data set"),
    (0, b"ARROW1", "an Arrow data set"),
    (0, b"GGJT", "a GGML file of 2023, older than GGUF"),
)
_ZLIB_HEADS = (b"\x78\x01", b"\x78\x9c", b"\x78\xda")
# Field 1 (version of the format) as a small number, then a field that only an ONNX model has there.
_ONNX_VERSIONS = range(1, 21)
_ONNX_NEXT = (0x12, 0x3A, 0x42)


def detect(head: bytes, tail: bytes, name: str = "") -> Detected:
    """Name a file. The bytes decide; a suffix only tells what unknown bytes were meant to be."""
    if not head:
        return Detected(FileKind.EMPTY, "an empty file")
    if head.startswith(b"GGUF"):
        return Detected(FileKind.GGUF)
    pickle = find_pickle(head, tail)
    if pickle is not None:
        return Detected(FileKind.PICKLE, pickle)
    if _is_safetensors(head):
        return Detected(FileKind.SAFETENSORS)
    foreign = _name(head)
    if foreign is not None:
        return foreign
    suffix = suffix_of(name)
    if suffix == ".safetensors":
        return Detected(FileKind.SAFETENSORS)
    if _is_text(head):
        return Detected(FileKind.TEXT, "a text")
    return Detected(FileKind.UNKNOWN, "a file of no known kind")


def suffix_of(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def is_pickle_suffix(name: str) -> bool:
    return suffix_of(name) in PICKLE_SUFFIXES


def _is_safetensors(head: bytes) -> bool:
    return len(head) > 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**40


def _name(head: bytes) -> Detected | None:
    for offset, signature, name in _SIGNATURES:
        if head[offset:].startswith(signature):
            return Detected(FileKind.FOREIGN, name)
    if _is_onnx(head):
        return Detected(FileKind.FOREIGN, "an ONNX model")
    if head.startswith(_ZLIB_HEADS):
        return Detected(FileKind.FOREIGN, "a compressed file (zlib, as joblib writes)")
    if head.lstrip()[:1] in (b"{", b"["):
        return Detected(FileKind.JSON, "JSON text")
    named = name_foreign(head[:512])
    return None if named is None else Detected(FileKind.FOREIGN, named)


def _is_onnx(head: bytes) -> bool:
    if len(head) < 8 or head[0] != 0x08 or head[1] not in _ONNX_VERSIONS or head[2] not in _ONNX_NEXT:
        return False
    if head[2] != 0x12:
        return True
    producer = head[4 : 4 + head[3]]
    return producer.isascii() and producer.decode("ascii").isprintable()


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        # A character may be cut at the end of what was read.
        if error.start < len(head) - 4:
            return False
        text = head[: error.start].decode("utf-8")
    return all(character.isprintable() or character in "\t\n\r\f" for character in text)
