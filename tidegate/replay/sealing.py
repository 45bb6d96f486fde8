"""Seals what is kept of requests with a key of their organization, so that the database alone shows none of it.

AES-256-GCM with a random nonce; the service and the id belong to what is authenticated, so that a sealed request
cannot be moved to another service or organization. The key is derived from the organization's secret by HKDF.
"""

import os
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tidegate.domain import Refused, Secret, ServiceRef

PURPOSE = b"tidegate captured requests 1"
NONCE_BYTES = 12
MIN_SECRET_CHARACTERS = 32


class Sealer:
    """Seals and opens for one organization. Never prints its key."""

    def __init__(self, secret: Secret, random_bytes: Callable[[int], bytes] = os.urandom):
        """Raises: Refused for a secret that is too short to be one."""
        text = secret.reveal()
        if len(text) < MIN_SECRET_CHARACTERS:
            raise Refused(
                f"The key for captured requests has fewer than {MIN_SECRET_CHARACTERS} characters.",
                remedy="Remove the secret to have one made; what was captured with it cannot be read any more.",
            )
        # The secret is random and long: no salt is needed (RFC 5869, 3.1).
        self._cipher = AESGCM(HKDF(SHA256(), 32, None, PURPOSE).derive(text.encode()))
        self._random_bytes = random_bytes

    def seal(self, content: bytes, ref: ServiceRef, request_id: str) -> bytes:
        nonce = self._random_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, _bound_to(ref, request_id))

    def open(self, sealed: bytes, ref: ServiceRef, request_id: str) -> bytes:
        """Raises: Refused when another key sealed it, or it was altered or moved."""
        nonce, content = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, content, _bound_to(ref, request_id))
        except (InvalidTag, ValueError) as error:
            raise Refused(
                f"A captured request of {ref} cannot be opened: it was sealed with another key, or altered.",
                remedy=f"Remove what was captured: tidegate captures purge {ref}.",
            ) from error


def _bound_to(ref: ServiceRef, request_id: str) -> bytes:
    return f"{ref}\n{request_id}".encode()
