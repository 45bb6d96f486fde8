"""What is fuzzed: one function per reader of untrusted bytes. None may raise, and every report stays small and clean.

These run without a fuzzer as well: on the seeds and on what was once found (`tests/unit/fuzz`).
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from tidegate.domain import InvalidInput
from tidegate.gguf import LIMITS, Finding, Severity, check_template, estimate_memory, has_errors
from tidegate.gguf.lora import check_adapter_on
from tidegate.safetensors import RULES, ArtifactInspection, ArtifactKind, find_pickle, inspect_artifact

FOLDER = Path(__file__).parent
LONGEST_MESSAGE = 2000
# Files of a folder in one fuzzer input are kept apart by this line, which a fuzzer learns from the seeds.
SEPARATOR = b"\n--file:"


def gguf(data: bytes) -> None:
    """Header, rules, layout, numbers and the memory estimate of a GGUF file."""
    with _opened(data) as descriptor:
        seen = inspect_artifact(descriptor, "model.gguf")
    _check(seen)
    if seen.header is None:
        return
    _check_findings(check_adapter_on(seen.header, seen.header))
    if not has_errors(found for found in seen.findings if found.category == "format"):
        try:
            estimate = estimate_memory(seen.header, 4096, 4)
        except InvalidInput:
            return
        assert 0 <= estimate.total_bytes < 2**80


def safetensors(data: bytes) -> None:
    """A safetensors file; the name makes bytes of no known kind count as one."""
    with _opened(data) as descriptor:
        seen = inspect_artifact(descriptor, "model.safetensors")
    _check(seen)
    if seen.kind is ArtifactKind.SAFETENSORS and not has_errors(seen.findings):
        assert seen.weights is not None
        assert seen.numbers_were_scanned


def folder(data: bytes) -> None:
    """A folder of several files: sets with an index, adapters with their configuration."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        for part in data.split(SEPARATOR)[:16]:
            label, _, content = part.partition(b"\n")
            path = Path(name) / _file_name(label)
            if not path.exists():
                path.write_bytes(content)
        descriptor = os.open(name, os.O_RDONLY)
        try:
            seen = inspect_artifact(descriptor)
        finally:
            os.close(descriptor)
    _check(seen)


def template(data: bytes) -> None:
    """The static analysis of a chat template; nothing is rendered."""
    _check_findings(check_template(data.decode("utf-8", "replace")))


def pickle(data: bytes) -> None:
    """The detection of pickles, which disassembles and never loads."""
    assert find_pickle(data, data[-1000:]) is None or data


TARGETS: dict[str, Callable[[bytes], None]] = {
    "gguf": gguf,
    "safetensors": safetensors,
    "folder": folder,
    "template": template,
    "pickle": pickle,
}


def _file_name(label: bytes) -> str:
    """A name that stays inside of the folder, close to what the input says."""
    text = label.decode("latin-1").replace("/", "_").replace("\0", "_")[:100]
    return text if text.strip(".") else "unnamed"


def _check(seen: ArtifactInspection) -> None:
    _check_findings(seen.findings)
    assert len(seen.digest) == 64
    json.dumps([asdict(found) for found in seen.findings], allow_nan=False)
    if seen.kind is ArtifactKind.UNKNOWN:
        assert has_errors(seen.findings)


def _check_findings(findings: Iterable[Finding]) -> None:
    count = 0
    for found in findings:
        count += 1
        assert found.check in RULES, found
        assert found.severity in Severity
        assert len(found.message) <= LONGEST_MESSAGE, found
        assert found.message.isprintable(), found
        assert found.offset is None or found.offset >= 0, found
    assert count <= 10 * LIMITS.max_findings, count


@contextmanager
def _opened(data: bytes) -> Iterator[int]:
    with tempfile.TemporaryFile(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as file:
        file.write(data)
        file.flush()
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        yield file.fileno()
