"""What a path stands for, opened once: one file, every part of one model, or a folder. Nothing later goes by its name.

A folder that holds one GGUF model, and else nothing but texts beside it, stands for that model.
"""

import os
import stat
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tidegate.domain import InvalidInput, NotFound
from tidegate.gguf import parse_name
from tidegate.safetensors import Entry, list_folder, open_entry

MOST_PARTS = 256
GGUF_SUFFIX = ".gguf"
TEXT_SUFFIXES = frozenset({".md", ".txt", ".rst", ".jinja", ".json", ".yaml", ".yml"})
TEXT_NAMES = frozenset({"license", "licence", "notice", "readme", ".gitattributes", ".gitignore"})
NOT_BESIDE_A_MODEL = frozenset({"adapter_config.json"})


@dataclass(frozen=True, slots=True)
class OpenArtifact:
    """Open descriptors; whoever opened it closes it."""

    descriptor: int
    """Of the file, of the first part, or of a folder."""
    name: str
    """Of the file: what is no GGUF file is known by its name too."""
    parts: dict[str, int] = field(default_factory=dict[str, int])
    """Descriptors of all parts that are there, by name, when it is a model of several files."""

    @property
    def files(self) -> dict[str, int]:
        """All descriptors by name: those of the parts, or the only one."""
        return self.parts or {self.name: self.descriptor}

    @property
    def size_bytes(self) -> int:
        return sum(os.fstat(file).st_size for file in self.files.values())

    def close(self) -> None:
        for descriptor in (self.descriptor, *self.parts.values()):
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class OpenArtifacts:
    """A candidate and what it is compared with."""

    candidate: OpenArtifact
    baseline: OpenArtifact | None = None

    def close(self) -> None:
        for one in (self.candidate, self.baseline):
            if one is not None:
                one.close()


def open_both(candidate: str | Path, baseline: str | Path | None = None) -> OpenArtifacts:
    """Open the candidate, and a baseline where one is named.

    Raises: NotFound, InvalidInput.
    """
    first = open_whole(candidate)
    try:
        return OpenArtifacts(first, None if baseline is None else open_whole(baseline))
    except BaseException:
        first.close()
        raise


@contextmanager
def opened(path: str | Path) -> Generator[OpenArtifact]:
    """Open for as long as this lasts.

    Raises: NotFound, InvalidInput.
    """
    artifact = open_whole(path)
    try:
        yield artifact
    finally:
        artifact.close()


def open_whole(path: str | Path) -> OpenArtifact:
    """Open what is at the path, with its other parts.

    Raises: NotFound, InvalidInput.
    """
    place = Path(path)
    descriptor = open_artifact(place)
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        return _in_folder(descriptor, place.name)
    return OpenArtifact(
        descriptor, place.name, _parts(place.name, lambda name: open_artifact(place.parent / name))
    )


def open_artifact(path: str | Path) -> int:
    """An open descriptor of the file.

    Raises: NotFound, InvalidInput.
    """
    try:
        # Without O_NONBLOCK opening a named pipe would wait for ever.
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {path}.", remedy="Check the path.", field="path") from error
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"The file {str(path)!r} cannot be opened: {error}.",
            remedy="Name a readable model file.",
            field="path",
        ) from error


def _parts(first: str, open_one: Callable[[str], int]) -> dict[str, int]:
    """All parts that are there when this is the first of a split model.

    Nothing for any other file, and for a set that is larger than any known one.
    """
    name = parse_name(first)
    if name is None or name.number != 1 or name.count > MOST_PARTS:
        return {}
    found: dict[str, int] = {}
    for sibling in name.siblings:
        # A missing part is a finding of the inspection, not a reason to give up.
        with suppress(NotFound, InvalidInput, OSError):
            found[sibling] = open_one(sibling)
    return found


def _in_folder(descriptor: int, name: str) -> OpenArtifact:
    """The model that the folder holds, where it is only its wrapping, else the folder itself."""
    listing = list_folder(descriptor)
    model = None if listing.findings else one_model(listing.entries)
    if model is None:
        return OpenArtifact(descriptor, name)
    entries = {entry.path: entry for entry in listing.entries}
    try:
        first = open_entry(descriptor, model)
    except OSError:
        # The inspection of the folder says what is wrong with it.
        return OpenArtifact(descriptor, name)
    parts = _parts(model.path, lambda part: _open_listed(descriptor, entries, part))
    os.close(descriptor)
    return OpenArtifact(first, model.path, parts)


def _open_listed(folder: int, entries: dict[str, Entry], name: str) -> int:
    if name not in entries:
        raise FileNotFoundError(name)
    return open_entry(folder, entries[name])


def one_model(entries: Sequence[Entry]) -> Entry | None:
    """The only GGUF file, or the first part of the only set; None beside anything that could be loaded or run."""
    models = [entry for entry in entries if PurePosixPath(entry.path).suffix.lower() == GGUF_SUFFIX]
    if not models or not all(entry in models or _is_text(entry.path) for entry in entries):
        return None
    names = [parse_name(entry.path) for entry in models]
    if len(models) == 1 and names[0] is None:
        return models[0]
    sets = {None if name is None else (name.prefix, name.count) for name in names}
    firsts = [
        entry for entry, name in zip(models, names, strict=True) if name is not None and name.number == 1
    ]
    return firsts[0] if len(sets) == 1 and len(firsts) == 1 else None


def _is_text(path: str) -> bool:
    name = PurePosixPath(path).name.lower()
    if name in NOT_BESIDE_A_MODEL:
        return False
    return name in TEXT_NAMES or PurePosixPath(name).suffix in TEXT_SUFFIXES
