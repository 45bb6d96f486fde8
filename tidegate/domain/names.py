"""Names of organizations, services, versions and sets, and how set names are derived."""

import hashlib
import re
from typing import Annotated, NamedTuple, Self

from pydantic import StringConstraints

from tidegate.domain.errors import InvalidInput

NAME_PATTERN = r"^[a-z][a-z0-9-]{0,30}[a-z0-9]$"
DIGEST_PATTERN = r"^[0-9a-f]{64}$"

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
"""Lower-case letters, digits and dashes, 2 to 32 characters."""
Digest = Annotated[str, StringConstraints(pattern=DIGEST_PATTERN)]
"""SHA-256 of a whole artifact, 64 lower-case hex digits."""


class ServiceRef(NamedTuple):
    """`org/service`: the stable name that clients call."""

    org: str
    service: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `org/service`.

        Raises:
            InvalidInput: when the text has another shape.
        """
        org, slash, service = text.partition("/")
        if not slash or not re.match(NAME_PATTERN, org) or not re.match(NAME_PATTERN, service):
            raise InvalidInput(
                f"'{text}' is not a service name.",
                remedy="Write it as ORGANIZATION/SERVICE, for example swaggystacks/support-chat.",
                field="service",
            )
        return cls(org, service)

    def __str__(self) -> str:
        return f"{self.org}/{self.service}"


def set_name(service: ServiceRef, digest: str, release_id: str) -> str:
    """Deterministic name of the set that one release creates for one service.

    The same release always asks for the same name, so that "create" can begin with "find by name".
    No dots: the name is also an Envoy cluster name, where a dot would split its statistics.
    """
    tail = hashlib.sha256(f"{service}|{digest}|{release_id}".encode()).hexdigest()[:8]
    return f"{service.org}--{service.service}--{digest[:10]}-{tail}"


def owner_of_set(name: str) -> ServiceRef | None:
    """The service whose set this is, or None for a name that is not ours."""
    parts = name.split("--")
    if len(parts) != 3 or not all(re.match(NAME_PATTERN, part) for part in parts[:2]):
        return None
    return ServiceRef(parts[0], parts[1])
