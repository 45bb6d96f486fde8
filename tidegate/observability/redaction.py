"""Takes secrets and texts of users out of what is about to be written. Pure: values in, values out.

Two nets, because either alone has holes: shapes (a token of a known kind, a URL with a password, a block of PEM) and
names (whatever stands under `password`, `api_key`, `authorization` ...). The third are the very values that this
process was given in its environment, whatever shape they have. Numbers, digests and names of ours are left alone.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast
from urllib.parse import unquote

from tidegate.access.secret_shapes import MOST_SCANNED, REDACTED, SECRET_NAME, plain_name, without_secrets
from tidegate.correlation.identifiers import is_request_id

MOST_DEPTH = 12
MOST_ITEMS = 200
MOST_CHARS = 16_384
"""A longer text is cut after its secrets were taken out, so that no cut can make one unrecognizable."""
SHORTEST_KNOWN = 6
_NESTED = "[nested too deep]"

TEXT_NAMES = frozenset({
    "prompt", "prompts", "completion", "completions", "messages", "content", "choices", "reasoning_content",
    "system_prompt", "user_prompt", "prompt_text", "completion_text", "answer_text",
})  # fmt: skip
"""What users ask and are answered never stands in a log."""
ID_NAMES = frozenset({"request_id", "trace_id", "span_id", "flow_run_id", "task_run_id", "release_id"})
"""What a client may choose can look random; it must be the same in the lines of all processes."""
_PASSWORD_IN_URL = re.compile(r"://[^\s:/@]*:([^\s]+)@")


class Redactor:
    """Cleans records. `known` are values that must not appear in any text, whatever they look like."""

    def __init__(self, known: Iterable[str] = ()):
        # The longest first: one may hold another.
        values = sorted({one for one in known if len(one) >= SHORTEST_KNOWN}, key=len, reverse=True)
        self._known = re.compile("|".join(re.escape(one) for one in values)) if values else None

    def text(self, text: str) -> str:
        """The text without what looks like a secret, cut to a bearable length."""
        cleaned, unseen = self._whole(text), max(len(text) - MOST_SCANNED, 0)
        if unseen or len(cleaned) > MOST_CHARS:
            return f"{cleaned[:MOST_CHARS]}... [{len(cleaned[MOST_CHARS:]) + unseen} characters more]"
        return cleaned

    def end_of(self, text: str, most: int) -> str:
        """The last characters of a long text, cut after its secrets were taken out."""
        cleaned = self._whole(text[-MOST_SCANNED:])
        return cleaned if len(cleaned) <= most else f"...{cleaned[-most:]}"

    def _whole(self, text: str, *, is_id: bool = False) -> str:
        cleaned = text[:MOST_SCANNED]
        if self._known is not None:
            cleaned = self._known.sub(REDACTED, cleaned)
        return without_secrets(cleaned, is_id=is_id)

    def value(self, value: Any, name: str = "", depth: int = 0) -> Any:
        """The value as it may be written: plain data, every text in it cleaned, keys too."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if name and SECRET_NAME.search(plain_name(name)):
            return REDACTED
        if name.lower() in TEXT_NAMES:
            return "[text]"
        if depth > MOST_DEPTH:
            return _NESTED
        if isinstance(value, str):
            return (
                self._whole(value, is_id=True)
                if name in ID_NAMES and is_request_id(value)
                else self.text(value)
            )
        if isinstance(value, bytes | bytearray):
            return self.text(bytes(value[:MOST_SCANNED]).decode("utf-8", errors="replace"))
        if isinstance(value, Mapping):
            return self._mapping(cast("Mapping[Any, Any]", value), depth)
        if isinstance(value, Sequence | set | frozenset):
            items = list(cast("Iterable[Any]", value))[:MOST_ITEMS]
            if len(items) == 2 and _is_secret_name(items[0]):
                # A header, as libraries hold them.
                return [self.value(items[0], "", depth + 1), REDACTED]
            return [self.value(one, "", depth + 1) for one in items]
        return self.text(_told(value))

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        items = list(value.items())[:MOST_ITEMS]
        named = [
            (_told(name) if not isinstance(name, bytes) else name.decode("utf-8", "replace"), one)
            for name, one in items
        ]
        return {self.text(name): self.value(one, name, depth + 1) for name, one in named}


def _is_secret_name(value: object) -> bool:
    if isinstance(value, bytes):
        value = value[:100].decode("utf-8", "replace")
    return isinstance(value, str) and len(value) < 100 and SECRET_NAME.search(plain_name(value)) is not None


def _told(value: object) -> str:
    """How an object tells itself. One that cannot must not end the line that names it."""
    if isinstance(value, str):
        return value
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001
        return f"<{type(value).__name__} that cannot be told: {type(error).__name__}>"


def secrets_of(environment: Mapping[str, str]) -> list[str]:
    """Values of an environment that stand under a name of a secret, also those within a pair; passwords in any URL."""
    found = [value for name, value in environment.items() if value and SECRET_NAME.search(plain_name(name))]
    found += [
        value for name, value in environment.items() if value and name.upper().startswith("TIDEGATE_SECRET_")
    ]
    pairs = [value.partition(":")[2] for value in found if ":" in value]
    in_urls = [one for value in environment.values() for one in _PASSWORD_IN_URL.findall(value)]
    unquoted = [unquote(one) for one in in_urls]
    return [value for value in (*found, *pairs, *in_urls, *unquoted) if not value.isdecimal()]
