"""Who may act on this machine's platform: one credential per organization, kept only as a scrypt hash."""

import hashlib
import hmac
import secrets
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from tidegate.domain import InvalidInput, Refused, Secret
from tidegate.platforms.local.launcher import write_atomically
from tidegate.platforms.local.locks import locked

SCRYPT_N = 2**14
SCRYPT_R = 8
SCRYPT_P = 1
MIN_CREDENTIAL_CHARS = 16


class _Hash(BaseModel):
    model_config = ConfigDict(frozen=True)

    salt: str
    digest: str
    n: int = SCRYPT_N
    r: int = SCRYPT_R
    p: int = SCRYPT_P


_Hashes = TypeAdapter(dict[str, _Hash])


class Credentials:
    """Credentials by organization, in one file that only its owner may read."""

    def __init__(self, path: Path):
        self._path = path

    def grant(self, org: str, credential: Secret) -> None:
        """Accept this credential for the organization from now on, and its former one no more.

        Raises:
            InvalidInput: when it is too short to be a secret.
        """
        if len(credential.reveal()) < MIN_CREDENTIAL_CHARS:
            raise InvalidInput(
                f"The credential for {org} is shorter than {MIN_CREDENTIAL_CHARS} characters.",
                remedy="Generate one, for example with `openssl rand -hex 32`.",
                field="credential",
            )
        salt = secrets.token_bytes(16)
        entry = _Hash(salt=salt.hex(), digest=_scrypt(credential, salt, SCRYPT_N, SCRYPT_R, SCRYPT_P).hex())
        with locked(self._path.with_suffix(".lock")):
            write_atomically(self._path, _Hashes.dump_json(self._load() | {org: entry}).decode())

    def verify(self, org: str, credential: Secret | None) -> None:
        """Raises: Refused when the organization has no credential here, or this is not it."""
        if credential is None:
            raise _refused(
                org, "no credential was given", "Name its secret under `credentials: {local: ...}`."
            )
        entry = self._load().get(org)
        if entry is None:
            raise _refused(
                org, "it has no credential on this platform", "Grant it one with `tidegate setup`."
            )
        digest = _scrypt(credential, bytes.fromhex(entry.salt), entry.n, entry.r, entry.p)
        if not hmac.compare_digest(digest, bytes.fromhex(entry.digest)):
            raise _refused(
                org, "the credential is wrong", "Check the value of the secret, or grant a new one."
            )

    def _load(self) -> dict[str, _Hash]:
        return _Hashes.validate_json(self._path.read_bytes()) if self._path.exists() else {}


def _scrypt(credential: Secret, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(credential.reveal().encode(), salt=salt, n=n, r=r, p=p, dklen=32)


def _refused(org: str, why: str, remedy: str) -> Refused:
    return Refused(
        f"Organization {org} may not use the local platform: {why}.", remedy=remedy, org=org, platform="local"
    )
