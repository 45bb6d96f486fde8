"""The key of one account, which may be replaced while we run: read again now and then, and at once when it is refused."""

import logging
import threading
from collections.abc import Callable

from tidegate.domain import Refused, Secret, TidegateError
from tidegate.platforms.runpod.pace import Pace

log = logging.getLogger(__name__)

READ_AGAIN_S = 30.0


class KeySource:
    """Safe to share between threads. What cannot be read, or is no key, leaves the present key in use."""

    def __init__(
        self, key: Secret, read: Callable[[], Secret | None] | None = None, pace: Pace | None = None
    ):
        """`read` gives what is stored now. Raises: Refused for a key that is none."""
        self._read = read
        self._pace = pace or Pace()
        self._lock = threading.Lock()
        self._keys = [checked_key(key)]
        self._read_at = self._pace.now()

    def present(self) -> Secret:
        """The key to use now."""
        with self._lock:
            if self._pace.now() - self._read_at >= READ_AGAIN_S:
                self._renew()
            return self._keys[-1]

    def after_refusal(self, refused: Secret) -> Secret | None:
        """Another key than the one that was refused, if there is one by now."""
        with self._lock:
            if self._keys[-1].reveal() == refused.reveal():
                self._renew()
            present = self._keys[-1]
        return None if present.reveal() == refused.reveal() else present

    def hide(self, text: bytes) -> bytes:
        """The text without any key that was ever in use here."""
        for key in self._keys:
            text = text.replace(key.reveal().encode(), b"***")
        return text

    def _renew(self) -> None:
        self._read_at = self._pace.now()
        if self._read is None:
            return
        try:
            found = self._read()
            if found is None or found.reveal() == self._keys[-1].reveal():
                return
            self._keys.append(checked_key(found))
        except TidegateError as error:
            log.warning("runpod: the stored key cannot be used, the former one stays: %s", error.message)
        else:
            log.info("runpod: the key was replaced; the new one is in use")


def checked_key(key: Secret) -> Secret:
    """A line break in a key would appear, with the key, in the HTTP library's complaint. Raises: Refused."""
    value = key.reveal()
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise Refused(
            "The RunPod key is empty or holds characters that no key has.",
            remedy="Store the key again, without spaces and line breaks.",
            field="key",
        )
    return key
