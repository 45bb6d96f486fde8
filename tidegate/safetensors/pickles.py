"""Tells files that hold a Python pickle, however they are wrapped or named. Nothing is ever loaded.

Loading a pickle runs the program in it. So a file is called a pickle by its bytes: the opcodes are walked
by the standard library's disassembler, which executes none of them, over the first few thousand bytes.
"""

import io
import pickletools
import re

PICKLE_SUFFIXES = (
    ".bin",
    ".pt",
    ".pth",
    ".ckpt",
    ".pkl",
    ".pickle",
    ".joblib",
    ".dill",
    ".npy",
    ".npz",
    ".t7",
)
WALKED_BYTES = 4096
# What a text that happens to begin with opcodes does not have.
_TELLING = frozenset(
    {"GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "REDUCE", "BUILD", "PUT", "BINPUT", "MEMOIZE"}
)
_LEAST_OPCODES = 3
# Further from the end of what is walked, a walk that ends was led astray: the file is no pickle.
_LONG_ARGUMENT = 512
_MODULE = re.compile(r"[A-Za-z_][\w.]* [A-Za-z_][\w.]*")
_IN_ZIP = re.compile(rb"[\w./-]{0,200}\.(?:pkl|pickle)\b")
_CODE_IN_ZIP = re.compile(rb"[\w./-]{0,200}code/__torch__")
_NUMPY = b"\x93NUMPY"
_ZIP = b"PK\x03\x04"
_TAR_MAGIC, _TAR_MAGIC_AT = b"ustar", 257
_ENDS_OF_ZIP = (b"PK\x05\x06", b"PK\x06\x06")


def find_pickle(head: bytes, tail: bytes = b"") -> str | None:
    """How a file holds a pickle, judged by its first and last bytes, or None."""
    if head.startswith(_ZIP) or any(mark in tail for mark in _ENDS_OF_ZIP):
        inside = _IN_ZIP.search(head) or _IN_ZIP.search(tail)
        if inside:
            return f"a PyTorch archive with the pickle {inside[0].decode('ascii', 'replace')[-60:]} in it"
        if _CODE_IN_ZIP.search(head) or _CODE_IN_ZIP.search(tail):
            return "a TorchScript archive, which holds code"
    if head.startswith(_NUMPY):
        return "a NumPy array of Python objects, which are stored as a pickle" if _has_objects(head) else None
    if head[_TAR_MAGIC_AT:].startswith(_TAR_MAGIC) and b"pickle" in head:
        return "a PyTorch archive of the oldest kind (tar), with a pickle in it"
    return _walk(head)


def _has_objects(head: bytes) -> bool:
    description = head[: 10 + 512].split(b"}")[0]
    return re.search(rb"'[|<>=]?O[0-9]*'", description) is not None


def _walk(head: bytes) -> str | None:
    """Follow opcodes until they end or make no sense; a few telling ones are enough."""
    count, telling, place = 0, False, 0
    protocol = head[1] if len(head) > 1 and head[0] == 0x80 and head[1] <= 5 else None
    stopped = False
    try:
        for opcode, argument, position in pickletools.genops(io.BytesIO(head[:WALKED_BYTES])):
            count, place = count + 1, position or 0
            if opcode.name in ("GLOBAL", "INST"):
                telling = telling or _MODULE.fullmatch(str(argument)) is not None
            else:
                telling = telling or opcode.name in _TELLING
            stopped = opcode.name == "STOP"
    except Exception:  # noqa: BLE001 - the disassembler raises whatever comes; the walk simply ends there
        stopped = False
    if protocol is not None and (telling or stopped) and count >= _LEAST_OPCODES:
        return f"a Python pickle of protocol {protocol}"
    if (
        protocol is None
        and telling
        and count >= _LEAST_OPCODES
        and (stopped or place > WALKED_BYTES - _LONG_ARGUMENT)
    ):
        return "a Python pickle of protocol 0 or 1"
    return None
