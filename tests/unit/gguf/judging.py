"""Short ways to run the whole judgement over bytes in tests."""

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack

from tests.unit.gguf.writer import File
from tidegate.gguf import Inspection, Severity, SplitInspection, inspect_file, inspect_split


def inspect(content: bytes | File) -> Inspection:
    """Everything that is checked, through a real file."""
    raw = content.encode() if isinstance(content, File) else content
    with tempfile.TemporaryFile() as stream:
        stream.write(raw)
        stream.seek(0)
        return inspect_file(stream.fileno())


def inspect_parts(parts: Mapping[str, bytes]) -> SplitInspection:
    """A set of files by name, judged as one model."""
    with ExitStack() as stack:
        descriptors: dict[str, int] = {}
        for name, raw in parts.items():
            stream = stack.enter_context(tempfile.TemporaryFile())
            stream.write(raw)
            stream.seek(0)
            descriptors[name] = stream.fileno()
        return inspect_split(descriptors)


def errors(content: bytes | File) -> set[str]:
    """Ids of the rules broken as errors."""
    return {found.check for found in inspect(content).findings if found.severity is Severity.ERROR}


def warnings(content: bytes | File) -> set[str]:
    return {found.check for found in inspect(content).findings if found.severity is Severity.WARNING}
