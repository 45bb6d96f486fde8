"""References to secrets: where a value is kept, never the value. Pure; `access.SecretStore` reads what they name.

env:NAME               an environment variable of this process
file:PATH              a file that only its owner can read, by absolute path
prefect-secret:NAME    a Secret block of Prefect, read inside flows only
NAME                   Tidegate's own store: TIDEGATE_SECRET_<NAME>, else a file in its folder
"""

import re
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, NamedTuple, Self

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from tidegate.domain.errors import InvalidInput

SECRET_NAME_PATTERN = r"^[a-z][a-z0-9-]{1,99}$"
INLINE_SECRET = "inline_secret"
"""Type of the validation error for a value that stands where its reference belongs."""
REMEDY = (
    "Keep the value elsewhere and write where: env:NAME, file:/absolute/path, prefect-secret:NAME, "
    "or the name of a secret in Tidegate's store."
)
# Keys of vendors that scanners know by their beginning, private keys, and bearer headers.
_KNOWN = re.compile(
    r"^(rpa_|rps_|sk-|sk_|pk_live_|hf_|ghp_|gho_|ghs_|github_pat_|glpat-|xox[abprs]-|AKIA[0-9A-Z]{8}|ASIA[0-9A-Z]{8}"
    r"|AIza|ya29\.|eyJ[A-Za-z0-9_-]{8}|r8_|tg_[a-z]|Bearer\s|Basic\s|-----BEGIN [A-Z ]*PRIVATE KEY)"
)
_RUN = re.compile(r"[A-Za-z0-9+=]+")
LONG_RUN_CHARS = 16
"""Words of names are shorter; random text of keys is longer."""
LONG_RUN_SWITCHES = 4
LONG_TEXT_CHARS = 24


class Place(StrEnum):
    """Where a secret is kept."""

    STORE = "store"
    ENVIRONMENT = "env"
    FILE = "file"
    PREFECT = "prefect-secret"


_SHAPES = {
    Place.STORE: SECRET_NAME_PATTERN,
    Place.ENVIRONMENT: r"^[A-Za-z_][A-Za-z0-9_]{0,127}$",
    Place.FILE: r"^/[^\x00]{1,4000}$",
    Place.PREFECT: r"^[a-z0-9][a-z0-9-]{0,126}$",
}


class SecretReference(NamedTuple):
    """A reference in two parts."""

    place: Place
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a reference.

        Raises:
            InvalidInput: for another shape. The text is not repeated: it may be a secret.
        """
        prefix, colon, rest = text.partition(":")
        is_prefixed = bool(colon) and prefix in (Place.ENVIRONMENT, Place.FILE, Place.PREFECT)
        place, name = (Place(prefix), rest) if is_prefixed else (Place.STORE, text)
        if looks_like_secret(text) or not re.match(_SHAPES[place], name):
            raise InvalidInput("This is no reference to a secret.", remedy=REMEDY, field="reference")
        return cls(place, name)

    def __str__(self) -> str:
        return self.name if self.place is Place.STORE else f"{self.place.value}:{self.name}"


def has_key_shape(text: str) -> bool:
    """It begins as keys of vendors, private keys or authorization headers do: it belongs in no file of ours."""
    return bool(_KNOWN.match(text.strip()))


def looks_like_secret(text: str) -> bool:
    """A known kind of key, or a long run in which letters and digits mix as they do in random text.

    Names of variables and paths have no such run; a digest has, and is no reference either.
    """
    prefix, _, rest = text.partition(":")
    body = rest if prefix in ("env", "file", "prefect-secret") else text
    if has_key_shape(body):
        return True
    is_path = body.startswith("/")
    return (not is_path and _is_mixed(body)) or any(_is_random(run) for run in _RUN.findall(body))


def _is_mixed(text: str) -> bool:
    """Random text in base 64 also holds dashes, which cut it into short runs."""
    kinds = (str.isdigit, str.islower, str.isupper)
    return len(text) >= LONG_TEXT_CHARS and all(any(kind(char) for char in text) for kind in kinds)


def _is_random(run: str) -> bool:
    """Digits stand among the letters, not only behind them as in names."""
    if len(run) < LONG_RUN_CHARS:
        return False
    switches = sum(one.isdigit() != other.isdigit() for one, other in pairwise(run))
    return switches >= LONG_RUN_SWITCHES


def _checked(text: str) -> str:
    try:
        return str(SecretReference.parse(text))
    except InvalidInput as error:
        raise PydanticCustomError(INLINE_SECRET, "the value is no reference to a secret") from error


SecretRef = Annotated[str, AfterValidator(_checked)]
"""A reference, kept as its text."""
