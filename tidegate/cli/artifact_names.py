"""What people name a model by: a file, MODEL:VERSION of an organization, or an alias of a service."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidegate.domain import ModelVersion, ServiceRef
    from tidegate.steps.ports import Ports

ALIASES = ("champion", "candidate", "previous")


@dataclass(frozen=True)
class Named:
    """A file, and the version that it is registered as, if it was named by one."""

    path: Path
    version: str | None = None
    digest: str | None = None


def named_artifact(name: str, *, org: str = "", service: str = "", model: str = "") -> Named:
    """The file that is meant. A file of that name wins over a version.

    `service` allows its aliases and gives the organization; `model` allows a version alone, such as v2.

    Raises: NotFound, InvalidInput.
    """
    path = Path(name)
    has_version = ":" in name or name in ALIASES or bool(model)
    if path.exists() or "/" in name or not has_version:
        return Named(path)
    from tidegate import wiring
    from tidegate.domain import InvalidInput, ServiceRef

    ref = ServiceRef.parse(service) if service else None
    owner = org or (ref.org if ref else "")
    if not owner:
        raise InvalidInput(
            f"There is no file {name}, and a registered version needs its organization.",
            remedy="Name the organization too, or check the path.",
            field="org",
        )
    ports = wiring.load()
    ports.organization(owner)
    found = _registered(ports, owner, ref, name, model)
    return Named(_stored(ports, found), found.version, found.digest)


def parse_model(text: str) -> tuple[str, str]:
    """`MODEL:VERSION` in two parts. Raises: InvalidInput when one of them is missing."""
    from tidegate.domain import InvalidInput

    name, _, version = text.partition(":")
    if not name or not version:
        raise InvalidInput(
            f"'{text}' names no model version.",
            remedy="Write MODEL:VERSION, for example pipit:v2.",
            field="model",
        )
    return name, version


def whole_artifacts(paths: Sequence[Path]) -> list[Path]:
    """Parts of one split model, named one by one or by their folder, are one artifact: its first part."""
    return list(dict.fromkeys(map(_whole, paths)))


def _whole(path: Path) -> Path:
    from tidegate.gguf.split import parse_name

    parts = sorted(path.glob("*.gguf")) if path.is_dir() else [path]
    names = [parse_name(part.name) for part in parts]
    sets = {(name.prefix, name.count) if name else None for name in names}
    first = names[0].siblings[:1] if names and names[0] is not None and len(sets) == 1 else ()
    folder = path if path.is_dir() else path.parent
    return folder / first[0] if first and (folder / first[0]).is_file() else path


def _registered(
    ports: "Ports", owner: str, ref: "ServiceRef | None", name: str, model: str
) -> "ModelVersion":
    from tidegate.domain import InvalidInput, NotFound

    if name not in ALIASES:
        return ports.ledger.get_version(owner, *parse_model(name if ":" in name else f"{model}:{name}"))
    if ref is None:
        raise InvalidInput(
            f"'{name}' is an alias of a service.", remedy="Add --service ORG/SERVICE.", field="service"
        )
    held = ports.ledger.get_alias(ref, name)
    if held is None:
        raise NotFound(f"{ref} has no {name}.", remedy="Name a version or a file instead.", field="baseline")
    return held


def _stored(ports: "Ports", version: "ModelVersion") -> Path:
    from tidegate.domain import NotFound

    path = ports.store.path_of(version.digest)
    if path is None:
        raise NotFound(
            f"The file of {version.label} ({version.digest[:12]}) is not in this host's store.",
            remedy="Register it again with: tidegate models register.",
        )
    return Path(path)
