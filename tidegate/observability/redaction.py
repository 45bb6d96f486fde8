"""Takes secrets and texts of users out of what is about to be written. Pure: values in, values out.

Two nets, because either alone has holes: shapes (a token of a known kind, a URL with a password, a block of PEM) and
names (whatever stands under `password`, `api_key`, `authorization` ...). The third are the very values that this
process was given in its environment, whatever shape they have. Numbers, digests and names of ours are left alone.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

REDACTED = "[redacted]"
MOST_DEPTH = 12
MOST_ITEMS = 200
MOST_CHARS = 16_384
"""A longer text is cut after its secrets were taken out, so that no cut can make one unrecognizable."""
_MOST_SCANNED = 65_536
SHORTEST_KNOWN = 6
_NESTED = "[nested too deep]"

_SECRET_WORD = (
    r"passwd|password|passphrase|secret|credentials?|authorization|cookie|api[_-]?key|access[_-]?key|private[_-]?key"
    r"|signing[_-]?key|engine[_-]?key|client[_-]?key|auth[_-]?string|webhook[_-]?url|apprise[_-]?url|connection[_-]?string"
    r"|dsn|bearer|token|jwt"
)
SECRET_NAME = re.compile(rf"(?i)(?:^|[^a-z])(?:{_SECRET_WORD})s?(?:[_-]?(?:value|text|header))?$")
"""Names under which no text is written. Counts (`tokens: 12`) are numbers, and stay."""
TEXT_NAMES = frozenset({
    "prompt", "prompts", "completion", "completions", "messages", "content", "choices", "reasoning_content",
    "system_prompt", "user_prompt", "prompt_text", "completion_text", "answer_text",
})  # fmt: skip
"""What users ask and are answered never stands in a log."""

_ORDINARY_SCHEMES = r"https?|wss?|file|sqlite(?:\+\w+)?|postgres(?:ql)?(?:\+\w+)?|rediss?|s3|gs|hf|grpcs?|unix|tcp|udp|git|ssh|oci|ext"
_SECRET_PARAMETER = (
    r"x-amz-[a-z-]+|x-goog-[a-z-]+|signature|awsaccesskeyid|key-pair-id|policy|sig|se|sp|sv|skoid|token|access_token"
    r"|id_token|refresh_token|api[_-]?key|key|secret|client_secret|password|passwd|auth|code"
)


@dataclass(frozen=True)
class _Rule:
    """A shape of secrets. It is looked for only in a text that holds one of its marks: most lines hold none."""

    marks: tuple[str, ...]
    pattern: re.Pattern[str]
    instead: str


def _rule(marks: str, pattern: str, instead: str = REDACTED) -> _Rule:
    return _Rule(tuple(marks.split(" ")), re.compile(pattern), instead)


_LONG = 40
_RULES = (
    _rule(
        "-----BEGIN",
        r"(?s)-----BEGIN [A-Z0-9 ]{1,60}-----.*?(?:-----END [A-Z0-9 ]{1,60}-----|\Z)",
        "[redacted PEM]",
    ),
    # Apprise's URLs (slack://a/b/c, tgram://..., mailto://...) are tokens as a whole.
    _rule(
        "://",
        rf"(?i)\b(?!(?:{_ORDINARY_SCHEMES})://)([a-z][a-z0-9+.-]{{1,30}})://[^\s\"'<>]+",
        rf"\1://{REDACTED}",
    ),
    _rule("://", r"(?i)\b([a-z][a-z0-9+.-]{1,30}://)[^\s/@\"'<>]+@", rf"\1{REDACTED}@"),
    # A chat's webhook: whoever has its path may write there.
    _rule(
        "://",
        r"(?i)\b(https?://[^\s/\"'<>]*hook[^\s/\"'<>]*)/[^\s\"'<>]+|"
        r"\b(https?://[^\s/\"'<>]+)/(?=[^\s\"'<>]*(?:hooks?/|webhook|/bot\d|^bot\d))[^\s\"'<>]+",
        rf"\1\2/{REDACTED}",
    ),
    _rule("://", r"(?i)\b(https?://api\.telegram\.org)/[^\s\"'<>]+", rf"\1/{REDACTED}"),
    _rule("=", rf"(?i)([?&](?:{_SECRET_PARAMETER})=)[^&\s\"'<>]+", rf"\1{REDACTED}"),
    _rule("earer EARER", r"(?i)\b(bearer)(\s+|%20|\+)[A-Za-z0-9._~+/=-]{8,}", rf"\1\2{REDACTED}"),
    _rule("asic", r"\b([Bb]asic\s+)(?=[A-Za-z0-9+/]*[A-Z0-9=])[A-Za-z0-9+/]{8,}={0,2}", rf"\1{REDACTED}"),
    _rule("eyJ", r"\beyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*"),
    _rule("tg1.", r"\btg1\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", "tg1.***"),
    _rule(
        "_ - AIza AKIA ASIA ABIA ACCA",
        r"\b(?:hf|r8|rpa|rps|tg_[a-z0-9-]{1,60}|whsec|npm)_[A-Za-z0-9_-]{8,}"
        r"|\b(?:sk|pk|rk)[-_][A-Za-z0-9_-]{8,}|\bgh[pousr]_[A-Za-z0-9]{8,}|\bgithub_pat_\w{8,}"
        r"|\bglpat-[A-Za-z0-9_-]{8,}|\bxox[abeoprs]-[A-Za-z0-9-]{8,}|\bAIza[A-Za-z0-9_-]{20,}"
        r"|\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,}\b",
    ),
    # A header with any scheme, of which the next rule would take the scheme for the value.
    _rule(
        "uthorization UTHORIZATION",
        r"(?i)(authorization\\{0,8}[\"']?\s{0,3}[:=]\s{0,3}\\{0,8}[\"']?)(?!bearer\s+\[redacted)[a-z][\w-]{0,30}\s+[^\s,;\"']{6,}",
        rf"\1{REDACTED}",
    ),
    # `password=...`, `"api_key": "..."`, `X-Api-Key: ...` in the middle of a text. Numbers are counts.
    _rule(
        "= :",
        rf"(?i)((?<![\w.-])[\w.-]{{0,60}}?(?:{_SECRET_WORD})s?\\{{0,8}}[\"']?\s{{0,3}}[:=]\s{{0,3}}\\{{0,8}}[\"']?)"
        r"(?!\d+(?:\.\d+)?(?![\w-])|\[redacted|None\b|null\b|true\b|false\b|Secret\(|(?:bearer|basic)\b)"
        r"[^\s,;\"'&<>\\}\])]{3,}",
        rf"\1{REDACTED}",
    ),
    # Texts of users, as JSON within a text.
    _rule(
        "prompt content text",
        r"(\\{0,8}[\"'](?:prompt|content|text|reasoning_content)\\{0,8}[\"']\s{0,3}:\s{0,3})\\{0,8}\"(?:[^\"\\]|\\.)*\\{0,8}\"?",
        r'\1"[text]"',
    ),
)
# 256 random bits as we make them. Names and digests of ours have no capitals.
_LONG_SECRET = re.compile(
    r"(?<![A-Za-z0-9_/.-])(?=[A-Za-z0-9_-]*[A-Z])(?=[A-Za-z0-9_-]*[a-z])(?=[A-Za-z0-9_-]*[0-9_-])"
    rf"[A-Za-z0-9_-]{{{_LONG},}}(?![A-Za-z0-9_-])"
)


class Redactor:
    """Cleans records. `known` are values that must not appear in any text, whatever they look like."""

    def __init__(self, known: Iterable[str] = ()):
        # The longest first: one may hold another.
        values = sorted({one for one in known if len(one) >= SHORTEST_KNOWN}, key=len, reverse=True)
        self._known = re.compile("|".join(re.escape(one) for one in values)) if values else None

    def text(self, text: str) -> str:
        """The text without what looks like a secret, cut to a bearable length."""
        cleaned = text[:_MOST_SCANNED]
        if self._known is not None:
            cleaned = self._known.sub(REDACTED, cleaned)
        for rule in _RULES:
            if any(mark in cleaned for mark in rule.marks):
                cleaned = rule.pattern.sub(rule.instead, cleaned)
        if len(cleaned) >= _LONG:
            cleaned = _LONG_SECRET.sub(REDACTED, cleaned)
        if len(cleaned) > MOST_CHARS:
            return f"{cleaned[:MOST_CHARS]}... [{len(cleaned) - MOST_CHARS} characters more]"
        return cleaned

    def value(self, value: Any, name: str = "", depth: int = 0) -> Any:
        """The value as it may be written: plain data, every text in it cleaned, keys too."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if name and SECRET_NAME.search(name):
            return REDACTED
        if name in TEXT_NAMES:
            return "[text]"
        if depth > MOST_DEPTH:
            return _NESTED
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes | bytearray):
            return self.text(bytes(value[:_MOST_SCANNED]).decode("utf-8", errors="replace"))
        if isinstance(value, Mapping):
            return self._mapping(cast("Mapping[Any, Any]", value), depth)
        if isinstance(value, Sequence | set | frozenset):
            items = list(cast("Iterable[Any]", value))[:MOST_ITEMS]
            return [self.value(one, "", depth + 1) for one in items]
        return self.text(_told(value))

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        items = list(value.items())[:MOST_ITEMS]
        named = [
            (_told(name) if not isinstance(name, bytes) else name.decode("utf-8", "replace"), one)
            for name, one in items
        ]
        return {self.text(name): self.value(one, name.lower(), depth + 1) for name, one in named}


def _told(value: object) -> str:
    """How an object tells itself. One that cannot must not end the line that names it."""
    if isinstance(value, str):
        return value
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001
        return f"<{type(value).__name__} that cannot be told: {type(error).__name__}>"


def secrets_of(environment: Mapping[str, str]) -> list[str]:
    """Values of an environment that stand under a name of a secret, also those within a URL or a pair."""
    found = [value for name, value in environment.items() if value and SECRET_NAME.search(name.lower())]
    found += [
        value for name, value in environment.items() if value and name.upper().startswith("TIDEGATE_SECRET_")
    ]
    pairs = [value.partition(":")[2] for value in found if ":" in value]
    return [value for value in (*found, *pairs) if not value.isdecimal()]
