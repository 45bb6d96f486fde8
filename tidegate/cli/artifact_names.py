"""What people name a model by: a file, or MODEL:VERSION of an organization."""

from pathlib import Path


def artifact_path(name: str, org: str = "") -> Path:
    """The file that is meant. A file of that name wins over a version.

    Raises: NotFound, InvalidInput.
    """
    path = Path(name)
    if path.exists() or not _looks_registered(name):
        return path
    from tidegate import wiring
    from tidegate.cli.releases import parse_model
    from tidegate.domain import InvalidInput, NotFound

    if not org:
        raise InvalidInput(
            f"There is no file {name}, and a registered version needs its organization.",
            remedy="Add --org ORGANIZATION, or check the path.",
            field="org",
        )
    ports = wiring.load()
    ports.organization(org)
    digest = ports.ledger.get_version(org, *parse_model(name)).digest
    stored = ports.store.path_of(digest)
    if stored is None:
        raise NotFound(
            f"The file of {name} ({digest[:12]}) is not in this host's store.",
            remedy="Register it again with: tidegate models register.",
        )
    return Path(stored)


def _looks_registered(name: str) -> bool:
    model, colon, version = name.partition(":")
    return bool(colon and model and version) and "/" not in name
