"""What a file holds apart from its metadata, so that a copy of a failed file is known again. See `gguf.same_tensors`."""

from pathlib import Path

from tidegate.gguf import tensor_digest
from tidegate.steps.ports import Ports


def tensors_of(path: Path) -> str | None:
    """The digest over the tensors of a file. None for what is no sound GGUF file, or is not on this host."""
    try:
        with path.open("rb", buffering=0) as file:
            return tensor_digest(file)
    except OSError:
        return None


def know_tensors(ports: Ports, org: str, digest: str) -> None:
    """Look into everything that this file may be a copy of, and into the file itself, where nobody did so before.

    Versions that were registered by an earlier Tidegate, and what was put into quarantine by its digest alone, are read
    here once.
    """
    known = ports.ledger.version_by_digest(org, digest)
    unknown = [digest] if known is not None and known.tensor_digest is None else []
    unknown += [one.digest for one in ports.ledger.list_quarantine(org) if one.tensor_digest is None]
    for one in dict.fromkeys(unknown):
        path = ports.store.path_of(one)
        found = tensors_of(Path(path)) if path is not None else None
        if found is not None:
            ports.ledger.note_tensors(org, one, found)
