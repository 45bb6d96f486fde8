"""The one entry: inspects any artifact, a file or a folder, by what its bytes are.

    inspect_artifact(descriptor, name)

A folder is one artifact. Its digest is the SHA-256 of the lines `<sha256>  <path>` of its files in the
order of their names, as `sha256sum` writes them.
"""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from tidegate.gguf import LIMITS, Finding, Header, Inspection, Limits, inspect_split, parse_name, quote
from tidegate.gguf.findings import capped
from tidegate.gguf.lora import is_adapter
from tidegate.gguf.split_inspection import SplitInspection
from tidegate.safetensors import adapter, model_config, sharded
from tidegate.safetensors.files import FileInspection, inspect_one
from tidegate.safetensors.folder import Entry, Listing, list_folder, open_entry
from tidegate.safetensors.header import Weight, WeightsHeader
from tidegate.safetensors.json_text import NOTHING, JsonValue
from tidegate.safetensors.kinds import ArtifactKind, FileKind
from tidegate.safetensors.rules import finding
from tidegate.safetensors.stream import Progress
from tidegate.safetensors.weights import is_lora

# Each part stays open until the whole is judged; a confined process may open 64 files.
MAX_PARTS = 48


@dataclass(frozen=True, slots=True)
class WeightsSummary:
    """What safetensors files hold together."""

    tensors: int
    parameters: int
    dtypes: tuple[str, ...]
    architecture: str = ""
    base_model: str = ""


@dataclass(frozen=True, slots=True)
class FileDigest:
    path: str
    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ArtifactInspection:
    """Everything found out about an artifact."""

    kind: ArtifactKind
    digest: str
    size_bytes: int
    findings: tuple[Finding, ...]
    numbers_were_scanned: bool
    header: Header | None = None
    """Of a GGUF file."""
    weights: WeightsSummary | None = None
    files: tuple[FileDigest, ...] = ()
    """Of a folder."""


def inspect_artifact(
    descriptor: int, name: str = "", progress: Progress | None = None, limits: Limits = LIMITS
) -> ArtifactInspection:
    """Inspect what is open at the descriptor, which stays open. Trouble with the content is in the findings."""
    status = os.fstat(descriptor)
    if stat.S_ISDIR(status.st_mode):
        return _inspect_folder(descriptor, progress, limits)
    if not stat.S_ISREG(status.st_mode):
        found = finding("F-KIND", "This is neither a regular file nor a folder.")
        return ArtifactInspection(ArtifactKind.UNKNOWN, "", 0, (found,), numbers_were_scanned=False)
    return _of_file(inspect_one(descriptor, name, progress, limits))


def _of_file(seen: FileInspection) -> ArtifactInspection:
    """A single file as an artifact."""
    found, kind = list(seen.findings), ArtifactKind.UNKNOWN
    if seen.kind is FileKind.GGUF:
        is_lora_file = seen.header is not None and is_adapter(seen.header)
        kind = ArtifactKind.GGUF_ADAPTER if is_lora_file else ArtifactKind.GGUF_MODEL
    elif seen.kind is FileKind.SAFETENSORS:
        kind = ArtifactKind.SAFETENSORS
        if seen.weights is not None and any(is_lora(weight.name) for weight in seen.weights.weights):
            text = "This is the weights of an adapter without adapter_config.json."
            found.append(finding("AD-CONFIG", text))
            found += adapter.check_adapter_weights(seen.weights, adapter.AdapterConfig(), seen.zeros)
    return ArtifactInspection(
        kind=kind,
        digest=seen.digest,
        size_bytes=seen.size_bytes,
        findings=capped(found),
        numbers_were_scanned=seen.numbers_were_scanned,
        header=seen.header,
        weights=None if seen.weights is None else _summary([seen.weights]),
    )


def _inspect_folder(descriptor: int, progress: Progress | None, limits: Limits) -> ArtifactInspection:
    listing = list_folder(descriptor)
    parts = tuple(entry for entry in listing.entries if is_part_name(entry.path))
    others = replace(listing, entries=tuple(entry for entry in listing.entries if entry not in parts))
    seen = list(_inspect_all(descriptor, others, progress, limits))
    found = [
        *listing.findings,
        *(one for file in seen if isinstance(file, FileInspection) for one in _told(file)),
    ]
    found += [file for file in seen if isinstance(file, Finding)]
    files = {file.name: file for file in seen if isinstance(file, FileInspection)}
    split = _inspect_parts(descriptor, parts, limits, found) if parts else None
    if split is not None:
        files |= {name: _part(name, part) for name, part in split.parts.items()}
        found += split.whole.findings
    kind = _kind(files, split)
    found += _FOLDERS[kind](files)
    return _of_folder(kind, files, found, split)


def _of_folder(
    kind: ArtifactKind, files: dict[str, FileInspection], found: list[Finding], split: SplitInspection | None
) -> ArtifactInspection:
    weights = [file.weights for file in files.values() if file.weights is not None]
    scanned = [file for file in files.values() if file.kind in (FileKind.SAFETENSORS, FileKind.GGUF)]
    headers = [file.header for file in files.values() if file.header is not None]
    if split is not None and split.whole.header is not None:
        headers = [split.whole.header]
    is_gguf = kind in (ArtifactKind.GGUF_MODEL, ArtifactKind.GGUF_ADAPTER)
    architecture = _table(files, model_config.CONFIG_NAME).get("model_type")
    base = _table(files, adapter.CONFIG_NAME).get("base_model_name_or_path")
    return ArtifactInspection(
        kind=kind,
        digest=_digest(files.values()),
        size_bytes=sum(file.size_bytes for file in files.values()),
        findings=capped(found),
        numbers_were_scanned=bool(scanned)
        and all(file.numbers_were_scanned for file in scanned)
        and (split is None or split.whole.numbers_were_scanned),
        header=headers[0] if headers and is_gguf else None,
        weights=_summary(weights, str(architecture or ""), str(base or "")) if weights else None,
        files=tuple(FileDigest(file.name, file.digest, file.size_bytes) for file in files.values()),
    )


def is_part_name(path: str) -> bool:
    """Whether a file of the folder is named like one part of a split GGUF model."""
    return "/" not in path and parse_name(path) is not None


def _inspect_parts(
    descriptor: int, parts: tuple[Entry, ...], limits: Limits, found: list[Finding]
) -> SplitInspection | None:
    """All parts of a split GGUF model at once; they are judged as the one model that they make."""
    if len(parts) > MAX_PARTS:
        found.append(finding("FD-LIMIT", f"The folder holds {len(parts)} parts; {MAX_PARTS} can be judged."))
        return None
    opened: dict[str, int] = {}
    try:
        for entry in parts:
            opened[entry.path] = open_entry(descriptor, entry)
        return inspect_split(opened, None, limits)
    except OSError as error:
        found.append(finding("FD-READ", f"A part of the model cannot be opened: {error.strerror}."))
        return None
    finally:
        for one in opened.values():
            os.close(one)


def _part(name: str, part: Inspection) -> FileInspection:
    """A part as a file of the folder; what is wrong with it is told with the whole."""
    scanned = part.numbers_were_scanned
    return FileInspection(name, FileKind.GGUF, part.digest, part.size_bytes, (), numbers_were_scanned=scanned)


def _inspect_all(
    descriptor: int, listing: Listing, progress: Progress | None, limits: Limits
) -> Iterator[FileInspection | Finding]:
    total = sum(entry.size for entry in listing.entries)
    done = 0
    for entry in listing.entries:
        yield _inspect_entry(descriptor, entry, _shifted(progress, done, total), limits)
        done += entry.size


def _inspect_entry(
    descriptor: int, entry: Entry, progress: Progress | None, limits: Limits
) -> FileInspection | Finding:
    try:
        opened = open_entry(descriptor, entry)
    except OSError as error:
        text = f"{quote(entry.path)} cannot be opened: {error.strerror}."
        return finding("FD-READ", text, subject=entry.path)
    try:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            return finding("I-CHANGED", f"{quote(entry.path)} became something else.", subject=entry.path)
        return inspect_one(opened, entry.path, progress, limits, is_alone=False)
    finally:
        os.close(opened)


def _shifted(progress: Progress | None, before: int, total: int) -> Progress | None:
    if progress is None:
        return None
    return lambda done, _: progress(before + done, total)


def _told(file: FileInspection) -> Iterator[Finding]:
    """Findings of one file, with its name in front where they speak of `the file`."""
    for one in file.findings:
        is_named = quote(file.name) in one.message
        yield one if is_named else replace(one, message=f"In {quote(file.name)}: {one.message}")


def _kind(files: dict[str, FileInspection], split: SplitInspection | None) -> ArtifactKind:
    if adapter.CONFIG_NAME in files or adapter.WEIGHTS_NAME in files:
        return ArtifactKind.PEFT_ADAPTER
    kinds = [file.kind for file in files.values()]
    if FileKind.SAFETENSORS in kinds or model_config.CONFIG_NAME in files:
        return ArtifactKind.HF_MODEL
    headers = [file.header for file in files.values() if file.header is not None]
    if split is not None and not headers:
        return ArtifactKind.GGUF_MODEL
    if kinds.count(FileKind.GGUF) == 1 and headers:
        return ArtifactKind.GGUF_ADAPTER if is_adapter(headers[0]) else ArtifactKind.GGUF_MODEL
    return ArtifactKind.UNKNOWN


def _judge_adapter(files: dict[str, FileInspection]) -> Iterator[Finding]:
    config_file, weights_file = files.get(adapter.CONFIG_NAME), files.get(adapter.WEIGHTS_NAME)
    config = adapter.AdapterConfig()
    if config_file is None:
        yield finding("AD-CONFIG", f"The folder has no {adapter.CONFIG_NAME}.", subject=adapter.CONFIG_NAME)
    elif config_file.json is None or config_file.json.table is None:
        yield finding("AD-CONFIG", f"{adapter.CONFIG_NAME} is no JSON object.", subject=adapter.CONFIG_NAME)
    else:
        config, found = adapter.read_config(config_file.json.table)
        yield from found
    if weights_file is None:
        yield finding("AD-PAIR", f"The folder has no {adapter.WEIGHTS_NAME}.", subject=adapter.WEIGHTS_NAME)
    elif weights_file.weights is not None:
        yield from adapter.check_adapter_weights(weights_file.weights, config, weights_file.zeros)
    yield from model_config.check_tokenizer_config(_table(files, model_config.TOKENIZER_CONFIG_NAME))


def _judge_model(files: dict[str, FileInspection]) -> Iterator[Finding]:
    shards = {
        file.name: file.weights
        for file in files.values()
        if file.kind is FileKind.SAFETENSORS and "/" not in file.name
    }
    indexes = [name for name in files if name.endswith(sharded.INDEX_SUFFIX) and "/" not in name]
    for name in indexes:
        yield from sharded.check_index(name, _table(files, name), shards)
    if not indexes:
        yield from sharded.check_unindexed(shards)
    if not shards:
        yield finding("SH-MISSING", "The folder has no safetensors file.")
    if model_config.CONFIG_NAME not in files:
        yield finding("CF-MISSING", "The folder has no config.json.", subject=model_config.CONFIG_NAME)
        return
    config = _table(files, model_config.CONFIG_NAME)
    weights: dict[str, Weight] = {
        weight.name: weight for header in shards.values() if header is not None for weight in header.weights
    }
    yield from model_config.check_config(config)
    yield from model_config.check_config_on(config, weights)
    yield from model_config.check_tokenizer_config(_table(files, model_config.TOKENIZER_CONFIG_NAME))


def _judge_gguf(files: dict[str, FileInspection]) -> Iterator[Finding]:
    del files  # the one model in it was judged as a file
    yield from ()


def _judge_unknown(files: dict[str, FileInspection]) -> Iterator[Finding]:
    models = sum(file.kind is FileKind.GGUF for file in files.values())
    text = f"The folder holds {len(files)} files, {models} of them GGUF, and is none that can be deployed."
    yield finding("FD-KIND", text)


_FOLDERS = {
    ArtifactKind.PEFT_ADAPTER: _judge_adapter,
    ArtifactKind.HF_MODEL: _judge_model,
    ArtifactKind.GGUF_MODEL: _judge_gguf,
    ArtifactKind.GGUF_ADAPTER: _judge_gguf,
    ArtifactKind.UNKNOWN: _judge_unknown,
}


def _table(files: dict[str, FileInspection], name: str) -> dict[str, JsonValue]:
    file = files.get(name)
    table = file.json.table if file is not None and file.json is not None else None
    return dict(NOTHING) if table is None else table


def _digest(files: Iterable[FileInspection]) -> str:
    lines = "".join(f"{file.digest}  {file.name}\n" for file in sorted(files, key=lambda file: file.name))
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


def _summary(headers: list[WeightsHeader], architecture: str = "", base: str = "") -> WeightsSummary:
    weights = [weight for header in headers for weight in header.weights]
    return WeightsSummary(
        tensors=len(weights),
        parameters=sum(weight.items for weight in weights),
        dtypes=tuple(sorted({weight.dtype for weight in weights})),
        architecture=architecture[:64],
        base_model=base[:200],
    )
