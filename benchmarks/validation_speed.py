"""Speed and memory of the artifact gate, against SHA-256 alone and against the reference reader of GGUF.

    python -m benchmarks.validation_speed [--runs 5] [--gib 2] [--model FILE.gguf]

Writes two files of `--gib` GiB without holes and two large vocabularies into a temporary folder and removes
them again. Wall time and processor time are both told: on a busy machine only the second means anything.
"""

import argparse
import hashlib
import json
import os
import resource
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from tidegate.domain import Policy
from tidegate.gguf import TENSOR_TYPES, inspect_file, inspect_header, read_header
from tidegate.validation import cross_check, validate_artifact

GIBIBYTE, MEBIBYTE = 1024**3, 1024**2
WIDTH, INNER, HEADS, WORDS = 2048, 5632, 16, 32_000
F32, F16, Q4_K = 0, 1, 12
U32, FLOAT, STRING, ARRAY, I32 = 4, 6, 8, 9, 5
PATTERN_BYTES = 64 * MEBIBYTE
VOCABULARIES = {"150k": (151_936, 151_387), "260k": (262_144, 514_906)}
POLICY = Policy.model_validate({"artifact": {"min_bytes": 0}})
TEMPLATE = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '</s>' }}{% endfor %}"
)


@dataclass(frozen=True)
class Timing:
    wall_s: float
    cpu_s: float


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5, help="repetitions of each measure (default 5)")
    parser.add_argument("--gib", type=float, default=2.0, help="size of each large file (default 2)")
    parser.add_argument("--model", type=Path, help="a real model for the time of a whole validation")
    parser.add_argument("--peak", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        return _print_peaks()
    size = int(arguments.gib * GIBIBYTE)
    if shutil.disk_usage(tempfile.gettempdir()).free < 2 * size + 2 * GIBIBYTE:
        print(f"{tempfile.gettempdir()} has no room for two files of {arguments.gib} GiB: left out")
        return 0
    print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    # Started while this process is small: a child begins with the peak of the process that started it.
    with (
        tempfile.TemporaryDirectory(prefix="tidegate-benchmark-") as folder,
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.validation_speed", "--peak"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as peaks,
    ):
        found = _measure(Path(folder), size, arguments.runs)
        found["peak_mib"] = _peak_mib(peaks, Path(folder))
    if arguments.model is not None:
        timing = timed(lambda: _whole(arguments.model))
        found["whole_validation_s"] = timing.wall_s
        print(f"whole validation of {arguments.model.name}: {timing.wall_s:.2f} s")
    print(json.dumps({"date": datetime.now(UTC).isoformat(), "load": os.getloadavg()[0], **found}))
    return 0


def _measure(folder: Path, size: int, runs: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    large = [write_model(folder / f"{name}.gguf", kind, size) for name, kind in (("f16", F16), ("q4k", Q4_K))]
    for path in large:
        found[f"hash_and_scan_{path.stem}"] = _against_sha256(path, runs)
    found["two_files"] = _two_files(large, max(2, runs // 2))
    for name, (words, merges) in VOCABULARIES.items():
        path = write_vocabulary(folder / f"{name}.gguf", words, merges)
        found[f"header_{name}"] = _header(path, name, runs)
    return found


def _against_sha256(path: Path, runs: int) -> dict[str, Any]:
    """Hash alone and the whole pass by turns, on a file that is in the page cache."""
    pairs = [(timed(lambda: _sha256(path)), timed(lambda: _inspect(path))) for _ in range(runs + 1)][1:]
    cpu = [alone.cpu_s / whole.cpu_s for alone, whole in pairs]
    wall = [alone.wall_s / whole.wall_s for alone, whole in pairs]
    speed = path.stat().st_size / statistics.median(whole.cpu_s for _, whole in pairs) / 1e9
    print(
        f"hash + scan, {path.stem}, against SHA-256 alone: {_spread(cpu)} of its speed by processor time, "
        f"{_spread(wall)} by wall time; {speed:.2f} GB for each second of processor time"
    )
    return {"cpu_ratio": cpu, "wall_ratio": wall, "gb_per_cpu_s": speed}


def _two_files(paths: list[Path], runs: int) -> dict[str, Any]:
    """Both files in two confined children, against one after the other."""
    ratios: list[float] = []
    for _ in range(runs):
        single = timed(lambda: _validate_all(paths, at_once=1)).wall_s
        both = timed(lambda: _validate_all(paths, at_once=2)).wall_s
        ratios.append(single / both)
    print(f"two files on two cores: {_spread(ratios)} times one file (wall time)")
    return {"ratio": ratios}


def _validate_all(paths: Sequence[Path], at_once: int) -> None:
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(_validate, paths))


def _header(path: Path, name: str, runs: int) -> dict[str, Any]:
    ours = [timed(lambda: _judge_header(path)) for _ in range(runs)]
    theirs = timed(lambda: _reference_reader(path))
    cpu = statistics.median(timing.cpu_s for timing in ours)
    wall = [timing.wall_s for timing in ours]
    print(
        f"header verdict, {name}: {cpu:.3f} s processor time, wall {_spread(wall)} s; "
        f"gguf.GGUFReader {theirs.cpu_s:.1f} s, {theirs.cpu_s / cpu:.0f} times as much"
    )
    return {"cpu_s": cpu, "wall_s": wall, "reference_cpu_s": theirs.cpu_s, "ratio": theirs.cpu_s / cpu}


def _peak_mib(process: "subprocess.Popen[str]", folder: Path) -> dict[str, float]:
    paths = sorted(folder.glob("*.gguf"), key=lambda path: path.stat().st_size)
    lines, _ = process.communicate("".join(f"{path}\n" for path in paths))
    found: dict[str, float] = json.loads(lines)
    print(
        f"peak memory: {found['inspection']:.0f} MiB in the child that reads the file, "
        f"{found['cross_check']:.0f} MiB in the largest of all with the engine, over {len(paths)} files"
    )
    return found


def _print_peaks() -> int:
    """Validate the files named on standard input, and say what the largest child took."""
    paths = [Path(line.strip()) for line in sys.stdin]
    for path in paths:
        _validate(path)
    inspection = _largest_child_mib()
    for path in paths:
        cross_check(path, 4096, 2)
    print(json.dumps({"inspection": inspection, "cross_check": _largest_child_mib()}))
    return 0


def _largest_child_mib() -> float:
    unit = MEBIBYTE if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / unit


def _validate(path: Path) -> None:
    validate_artifact(path, POLICY, expected_digest=None, context_tokens=4096, parallel=2)


def _whole(path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "tidegate.cli", "validate", str(path)], check=False, capture_output=True
    )


def timed(work: Callable[[], object]) -> Timing:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Timing(time.perf_counter() - wall, time.process_time() - cpu)


def _sha256(path: Path) -> str:
    digest, buffer = hashlib.sha256(), bytearray(MEBIBYTE)
    view = memoryview(buffer)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(view):
            digest.update(view[:count])
    return digest.hexdigest()


def _inspect(path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        inspection = inspect_file(file.fileno())
    assert inspection.numbers_were_scanned, [found.message for found in inspection.findings]


def _judge_header(path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        inspect_header(read_header(file))


def _reference_reader(path: Path) -> None:
    from gguf import GGUFReader

    GGUFReader(path)


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def write_model(path: Path, kind: int, size: int) -> Path:
    """A sound llama of at least `size` bytes with one type of weights."""
    block = [
        ("attn_q", (WIDTH, WIDTH)), ("attn_k", (WIDTH, WIDTH)), ("attn_v", (WIDTH, WIDTH)),
        ("attn_output", (WIDTH, WIDTH)), ("ffn_gate", (WIDTH, INNER)), ("ffn_up", (WIDTH, INNER)),
        ("ffn_down", (INNER, WIDTH)), ("attn_norm", (WIDTH,)), ("ffn_norm", (WIDTH,)),
    ]  # fmt: skip
    block_bytes = sum(_bytes(kind, dims) for _, dims in block)
    blocks = -(-size // block_bytes)
    tensors = [("token_embd.weight", (WIDTH, WORDS)), ("output_norm.weight", (WIDTH,))]
    tensors += [(f"blk.{number}.{name}.weight", dims) for number in range(blocks) for name, dims in block]
    words = [f"word{number}" for number in range(WORDS - 3)]
    with path.open("wb") as file:
        file.write(_head(kind, blocks, words, [], tensors))
        _pad(file)
        pattern = memoryview(_pattern(kind))
        ones = np.ones(WIDTH, "<f4").tobytes()
        for _, dims in tensors:
            left = _bytes(kind, dims)
            if len(dims) == 1:
                file.write(ones)
            else:
                while left:
                    left -= file.write(pattern[:left])
            _pad(file)
    return path


def write_vocabulary(path: Path, words: int, merges: int) -> Path:
    """A small model with a vocabulary of today's size, in words of the usual lengths."""
    random = np.random.default_rng(1)
    letters = random.integers(97, 123, (words + merges, 12), np.uint8)
    lengths = random.integers(1, 8, words + merges).tolist()
    texts = [letters[row, :length].tobytes().decode() for row, length in enumerate(lengths)]
    tokens = [f"{text}{number}" for number, text in enumerate(texts[: words - 3])]
    pairs = [f"{text} {number}" for number, text in enumerate(texts[words:])]
    tensors = [("token_embd.weight", (32, words))]
    with path.open("wb") as file:
        file.write(_head(F16, 1, tokens, pairs, tensors))
        _pad(file)
        file.write(random.normal(0, 0.02, 32 * words).astype("<f2").tobytes())
        _pad(file)
    return path


def _head(
    kind: int, blocks: int, words: list[str], merges: list[str], tensors: list[tuple[str, tuple[int, ...]]]
) -> bytes:
    tokens = ["<unk>", "<s>", "</s>", *words]
    kinds = struct.pack(f"<{len(tokens)}i", 2, 3, 3, *[1] * len(words))
    model = "gpt2" if merges else "llama"
    pairs = [
        _pair("general.architecture", STRING, _text("llama")),
        _pair("general.file_type", U32, struct.pack("<I", {F16: 1, Q4_K: 15}[kind])),
        _pair("general.quantization_version", U32, struct.pack("<I", 2)),
        _pair("llama.context_length", U32, struct.pack("<I", 8192)),
        _pair("llama.embedding_length", U32, struct.pack("<I", WIDTH)),
        _pair("llama.block_count", U32, struct.pack("<I", blocks)),
        _pair("llama.feed_forward_length", U32, struct.pack("<I", INNER)),
        _pair("llama.attention.head_count", U32, struct.pack("<I", HEADS)),
        _pair("llama.rope.dimension_count", U32, struct.pack("<I", WIDTH // HEADS)),
        _pair("llama.attention.layer_norm_rms_epsilon", FLOAT, struct.pack("<f", 1e-5)),
        _pair("tokenizer.ggml.model", STRING, _text(model)),
        _pair("tokenizer.ggml.tokens", ARRAY, _texts(tokens)),
        _pair("tokenizer.ggml.token_type", ARRAY, struct.pack("<IQ", I32, len(tokens)) + kinds),
        _pair("tokenizer.ggml.eos_token_id", U32, struct.pack("<I", 2)),
        _pair("tokenizer.chat_template", STRING, _text(TEMPLATE)),
    ]
    if merges:
        pairs.append(_pair("tokenizer.ggml.merges", ARRAY, _texts(merges)))
    place, infos = 0, list[bytes]()
    for name, dims in tensors:
        actual = F32 if len(dims) == 1 else kind
        shape = struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, actual, place)
        infos.append(_text(name) + shape)
        place += -(-_bytes(kind, dims) // 32) * 32
    counts = struct.pack("<IQQ", 3, len(infos), len(pairs))
    return b"".join((b"GGUF", counts, *pairs, *infos))


def _pair(key: str, kind: int, payload: bytes) -> bytes:
    return _text(key) + struct.pack("<I", kind) + payload


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _texts(texts: list[str]) -> bytes:
    return struct.pack("<IQ", STRING, len(texts)) + b"".join(map(_text, texts))


def _bytes(kind: int, dims: tuple[int, ...]) -> int:
    if len(dims) == 1:
        return 4 * dims[0]
    form = TENSOR_TYPES[kind]
    return dims[0] // form.block_items * form.block_bytes * dims[1]


def _pattern(kind: int) -> bytes:
    """Weights as they look in a real model; the same for every tensor, which no hash or scan notices."""
    random = np.random.default_rng(0)
    if kind == F16:
        return random.normal(0, 0.02, PATTERN_BYTES // 2).astype("<f2").tobytes()
    blocks = random.integers(0, 256, (PATTERN_BYTES // 144, 144), np.uint8)
    scales = random.uniform(1e-4, 1e-3, (len(blocks), 2)).astype("<f2")
    blocks[:, :4] = scales.view(np.uint8)
    return blocks.tobytes()


def _pad(file: Any) -> None:
    file.write(bytes(-file.tell() % 32))


if __name__ == "__main__":
    sys.exit(main())
