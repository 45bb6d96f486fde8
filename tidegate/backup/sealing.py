"""Seals secrets into a backup: scrypt over a passphrase, then AES-256-GCM, bound to the name of the backup.

The passphrase must be kept apart from this installation: one that lies in its own secret store is lost with it.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from tidegate.domain import Refused, Secret

MAGIC = b"tidegate sealed backup 1\n"
SALT_BYTES, NONCE_BYTES = 16, 12
# 64 MiB and about a fifth of a second a try: RFC 7914 for files.
COST, BLOCK, LANES = 2**16, 8, 1
MIN_CHARACTERS = 12


def seal(content: bytes, passphrase: Secret, name: str) -> bytes:
    """Raises: Refused for a passphrase that could be guessed."""
    if len(passphrase.reveal()) < MIN_CHARACTERS:
        raise Refused(
            f"The passphrase has fewer than {MIN_CHARACTERS} characters.",
            remedy="Use several random words, or: openssl rand -base64 24.",
        )
    salt, nonce = os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
    sealed = _cipher(passphrase, salt).encrypt(nonce, content, _bound(name))
    return MAGIC + salt + nonce + sealed


def unseal(sealed: bytes, passphrase: Secret, name: str) -> bytes:
    """Raises: Refused for another passphrase, and for what was altered or taken from another backup."""
    head, rest = sealed[: len(MAGIC)], sealed[len(MAGIC) :]
    salt, nonce, content = (
        rest[:SALT_BYTES],
        rest[SALT_BYTES : SALT_BYTES + NONCE_BYTES],
        rest[SALT_BYTES + NONCE_BYTES :],
    )
    try:
        if head != MAGIC:
            raise ValueError("another kind of file")
        return _cipher(passphrase, salt).decrypt(nonce, content, _bound(name))
    except (InvalidTag, ValueError) as error:
        raise Refused(
            f"The secrets of backup {name} cannot be opened: the passphrase is another one, or they were altered.",
            remedy="Give the passphrase that they were sealed with.",
        ) from error


def _cipher(passphrase: Secret, salt: bytes) -> AESGCM:
    return AESGCM(Scrypt(salt, 32, COST, BLOCK, LANES).derive(passphrase.reveal().encode()))


def _bound(name: str) -> bytes:
    return MAGIC + name.encode()
