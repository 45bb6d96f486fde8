"""Addresses and keys of endpoints, as `bench`, `quality` and `drift` read them: what is wrong is told, no secret is."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from tidegate.domain import InvalidInput, Secret

KNOWN_ENDINGS = ("/chat/completions", "/completions", "/run", "/runsync")
MAX_KEY_BYTES = 8192
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{1,60}")


def bad(option: str, message: str, remedy: str) -> InvalidInput:
    return InvalidInput(message, remedy=remedy, field=option)


def base_url(text: str, option: str = "URL", *, is_queue: bool = False) -> str:
    """Ends where `/chat/completions` is appended. A bare host gets `/v1`.

    Raises: InvalidInput, also for a URL that holds what every user of this machine could read in its process list.
    """
    from urllib.parse import urlsplit

    how = "Write it as http://HOST:PORT/v1."
    try:
        parts = urlsplit(text.strip())
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        raise bad(option, "This URL cannot be read.", how) from None
    if not is_usable:
        raise bad(option, f"'{shown_url(text)}' is no URL of HTTP.", how)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise bad(
            option, "The URL holds a user, a password or a query, which everyone who lists processes can see.",
            "Leave them out; give a key with --key-env or --key-file.",
        )  # fmt: skip
    path = parts.path.rstrip("/")
    ending = next((one for one in KNOWN_ENDINGS if path.endswith(one)), "")
    path = path.removesuffix(ending)
    if not path and not is_queue:
        path = "/v1"
    return f"{parts.scheme}://{parts.netloc}{path}"


def shown_url(text: str) -> str:
    """Of a mistyped URL nothing that may be a credential is repeated."""
    from tidegate.benchmark.record import clean_url

    return clean_url(text)[:120]


def readable_file(path: Path, option: str) -> Path:
    """Raises: InvalidInput for one that cannot be read."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise bad(option, f"{path} {what}.", "Name a file that can be read.")
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise bad(
            option, f"{path} cannot be read: {error.strerror}.", "Name a file that can be read."
        ) from None


def read_key(
    key_env: str, key_file: Path | None, environ: Mapping[str, str] | None = None, option: str = "--key-env"
) -> Secret:
    """From a variable or a file, never from the command line; empty where none is named.

    `option` is the one that names the variable. Raises: InvalidInput.
    """
    env = os.environ if environ is None else environ
    if key_env and key_file:
        raise bad("--key-file", f"{option} and --key-file exclude each other.", "Give one of them.")
    if key_env:
        value = env.get(key_env, "")
        if not value:
            # Whoever writes the key itself here must not read it in the error, or in a log of it.
            shown = f"The variable {key_env}" if _VARIABLE.fullmatch(key_env) else "The variable"
            raise bad(option, f"{shown} is not set.", "Give the NAME of a variable that holds the key.")
        return _checked_key(value, option)
    if key_file is None:
        return Secret("")
    path = readable_file(key_file, "--key-file")
    if path.stat().st_size > MAX_KEY_BYTES:
        raise bad("--key-file", f"{path} is too large for a key.", "Name a file that holds the key alone.")
    try:
        return _checked_key(path.read_text(encoding="utf-8").strip(), "--key-file")
    except UnicodeDecodeError:
        raise bad("--key-file", f"{path} is no text.", "Name a file that holds the key alone.") from None


def _checked_key(value: str, option: str) -> Secret:
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise bad(option, "What was read is no key.", "A key is one word of printable characters.")
    return Secret(value)
