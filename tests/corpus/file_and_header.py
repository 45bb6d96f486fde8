"""Things that are no GGUF file, preambles that lie, and files that end too early."""

import json
import struct
from collections.abc import Iterator
from dataclasses import replace

from tests.corpus.case import Case, good, reject
from tests.corpus.models import BASES, MAIN, llama, sentencepiece
from tests.corpus.writer import File

FOREIGN: dict[str, bytes] = {
    "lfs-pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 4096\n",
    "html": b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>\n",
    "html-after-blank-lines": b"\n\n  <html lang='en'></html>",
    "xml": b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
    "json-error": b'{"error": "Repository not found"}',
    "zip": b"PK\x03\x04\x14\x00\x00\x00" + bytes(200),
    "gzip": b"\x1f\x8b\x08\x00" + bytes(200),
    "zstd": b"\x28\xb5\x2f\xfd" + bytes(200),
    "xz": b"\xfd7zXZ\x00" + bytes(200),
    "pickle-2": b"\x80\x02}q\x00." + bytes(20),
    "pickle-4": b"\x80\x04\x95" + bytes(20),
    "elf": b"\x7fELF\x02\x01\x01" + bytes(200),
    "windows-program": b"MZ\x90\x00" + bytes(200),
    "script": b"#!/bin/sh\nexec sh\n",
    "pdf": b"%PDF-1.7\n" + bytes(50),
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(50),
    "ggml-of-2023": b"lmgg" + bytes(60),
    "ggjt-of-2023": b"tjgg\x03\x00\x00\x00" + bytes(60),
    "reversed-magic": b"FUGG" + llama().encode()[4:],
    "zeros": bytes(4096),
    "safetensors": struct.pack("<Q", 24) + json.dumps({"__metadata__": {"a": "b"}}).encode(),
}


def cases() -> Iterator[Case]:
    yield reject("file/empty", b"", "F-EMPTY")
    for name, raw in FOREIGN.items():
        yield reject(f"file/{name}", raw, "F-FOREIGN")
    yield reject("file/text", b"This is my model, please deploy it.\n", "H-MAGIC")
    yield reject("file/random", bytes(range(33, 255)) * 20, "H-MAGIC")
    for size in range(1, 4):
        yield reject(f"file/magic-cut-to-{size}", b"GGUF"[:size], "H-MAGIC")
    yield from _preamble()
    yield from _versions()
    for name in MAIN:
        yield from _cuts(name, BASES[name]())


def _preamble() -> Iterator[Case]:
    base = llama()
    raw = base.encode()
    for name, magic in (
        ("lower-case", b"gguf"),
        ("one-bit", b"GGUG"),
        ("swapped", b"GUGF"),
        ("space", b" GGU"),
    ):
        yield reject(f"header/magic-{name}", magic + raw[4:], "H-MAGIC")
    for size in (4, 5, 8, 9, 15, 16, 20, 23):
        yield reject(f"header/cut-at-{size}", raw[:size], "H-TRUNC")
    for count in (2**64 - 1, 2**63, 2**63 - 1, 2**61, 2**32, 70_000, 5000):
        yield reject(f"header/n-tensors-{count}", base.poke(8, struct.pack("<Q", count)), "H-NTENSOR")
        yield reject(f"header/n-metadata-{count}", base.poke(16, struct.pack("<Q", count)), "H-NKV")
    yield reject("header/n-tensors-plus-1", replace(base, n_tensors=len(base.tensors) + 1))
    yield reject("header/n-tensors-minus-1", replace(base, n_tensors=len(base.tensors) - 1), "L-TRAIL")
    yield reject("header/n-tensors-zero", replace(base, n_tensors=0), "H-NOTENSORS")
    yield reject("header/n-metadata-plus-1", replace(base, n_pairs=len(base.pairs) + 1))
    yield reject("header/n-metadata-minus-1", replace(base, n_pairs=len(base.pairs) - 1))
    yield reject("header/n-metadata-zero", replace(base, n_pairs=0))
    yield reject("header/no-metadata-at-all", File((), base.tensors), "S-REQKEY")
    yield reject("header/nothing-but-counts", File((), ()), "H-NOTENSORS")


def _versions() -> Iterator[Case]:
    for name, make in BASES.items():
        base = make()
        yield good(f"sound/v2/{name}", replace(base, version=2))
        yield reject(f"header/v1/{name}", replace(base, version=1), "H-VERSION")
        for version in (2, 3):
            yield reject(
                f"header/big-endian-v{version}/{name}", replace(base, version=version, order=">"), "H-ENDIAN"
            )
    base = llama()
    for version in (0, 4, 5, 255, 2**31, 2**32 - 1):
        yield reject(f"header/version-{version}", base.poke(4, struct.pack("<I", version)), "H-VERSION")
    # Only the version says big-endian; every number behind it is little-endian and so absurd when swapped.
    yield reject("header/big-endian-version-only", base.poke(4, struct.pack(">I", 3)), "H-ENDIAN")
    # A version 1 file that claims to be version 3, and the other way round: the counts have other widths.
    yield reject("header/v1-named-3", replace(base, version=1).poke(4, struct.pack("<I", 3)))
    yield reject("header/v3-named-1", base.poke(4, struct.pack("<I", 1)), "H-VERSION")
    short = replace(base, version=1, pairs=sentencepiece(["a"]))
    yield reject("header/v1-cut", short.encode()[:700], "H-VERSION")
    yield reject("header/big-endian-cut", replace(base, order=">").encode()[:700], "H-ENDIAN")


def _cuts(name: str, base: File) -> Iterator[Case]:
    raw, marks = base.encode(), base.marks()
    places = {
        "in-the-first-key": 30,
        "in-the-vocabulary": marks.values["tokenizer.ggml.tokens"] + 200,
        "before-the-tensor-infos": min(marks.infos.values()),
        "in-the-tensor-infos": list(marks.infos.values())[3] + 11,
        "at-the-end-of-the-header": marks.header_end,
        "at-the-data": marks.data_start,
        "at-60-percent": len(raw) * 6 // 10,
        "by-one-byte": marks.data_end - 1,
    }
    for where, size in places.items():
        check = "L-BOUNDS" if size >= marks.header_end else "H-TRUNC"
        expected = () if where.startswith("in-the") else (check,)
        yield reject(f"header/cut-{where}/{name}", raw[:size], *expected)
