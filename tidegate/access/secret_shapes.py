"""What secrets look like in a text: one list for logs, rows, errors and whatever else is kept. Pure.

Each shape takes time in proportion to the text, whatever the text is: no repetition without a bound may begin in more
than one place of the same run of characters. `tests/unit/access/test_secret_shapes.py` holds them to it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

REDACTED = "[redacted]"
MOST_SCANNED = 65_536
"""Characters of a text that are looked at; the rest is cut off."""

# Telling wherever they stand, also within a name: `dbPassword`, `clientsecret`.
_STRONG = (
    r"passwd|password|passphrase|secret|credential|authorization|api[_ -]?key|access[_ -]?key|private[_ -]?key|account[_ -]?key"
    r"|encryption[_ -]?key|signing[_ -]?key|engine[_ -]?key|client[_ -]?key|secret[_ -]?key|auth[_ -]?string|auth[_ -]?token"
    r"|webhook[_ -]?url|apprise[_ -]?url|connection[_ -]?string|session[_ -]?id|token"
)
# Short ones, which are parts of other words.
_WEAK = r"dsn|jwt|pwd|bearer|cookie"
SECRET_NAME = re.compile(
    rf"(?:{_STRONG}|(?:^|[^a-z])(?:{_WEAK}|auth)|_cookie|cookie2)s?(?:[_ -]?(?:value|text|header|key))?$"
)
"""Names, as `plain_name` gives them, under which no text is written. Counts (`tokens: 12`) are numbers, and stay."""
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_ORDINARY_SCHEMES = r"https?|wss?|file|sqlite(?:\+\w+)?|postgres(?:ql)?(?:\+\w+)?|rediss?|s3|gs|hf|grpcs?|unix|tcp|udp|git|ssh|oci|ext"
_SECRET_PARAMETER = (
    r"x-amz-[a-z-]{1,40}|x-goog-[a-z-]{1,40}|signature|awsaccesskeyid|key-pair-id|policy|sig|se|sp|sv|skoid|token"
    r"|access_token|id_token|refresh_token|api[_-]?key|key|secret|client_secret|password|passwd|auth|code|state"
)
# Up to its own closing quote, however often it is escaped.
_QUOTED = r"(?P<quote>\\{0,8}[\"'])(?P<inside>.{1,4096}?)(?<!\\)(?P=quote)"
# A digit, a capital or a long run of letters tells a key from a name such as `hf_hub_download`.
_KEYLIKE = r"(?=[A-Za-z_-]{0,40}[0-9A-Z]|(?:[a-z]{1,10}[-_]){0,2}[a-z]{14})"
_HARMLESS = r"(?:\d+(?:\.\d+)?(?![\w-])|\[redacted|None\b|null\b|true\b|false\b|Secret\(|\*\*\*)"
_CHAT_PATH = re.compile(r"(?i)hooks?/|webhook|(?:^|/)bot\d")


@dataclass(frozen=True)
class _Rule:
    """A shape of secrets. It is looked for only in a text that holds one of its marks: most texts hold none."""

    marks: tuple[str, ...]
    pattern: re.Pattern[str]
    instead: str | Callable[[re.Match[str]], str]


def _rule(
    marks: str, pattern: str, instead: str | Callable[[re.Match[str]], str] = REDACTED, flags: int = 0
) -> _Rule:
    return _Rule(tuple(marks.split(" ")), re.compile(pattern, flags), instead)


def _address(found: re.Match[str]) -> str:
    """A chat's webhook: whoever has its path may write there."""
    host, path = found["host"].lower(), found["path"]
    is_chat = "hook" in host or host == "api.telegram.org" or _CHAT_PATH.search(path) is not None
    return f"{found['head']}{found['host']}/{REDACTED}" if is_chat else found[0]


_RULES = (
    _rule(
        "-----BEGIN",
        r"-----BEGIN [A-Z0-9 ]{1,60}-----.*?(?:-----END [A-Z0-9 ]{1,60}-----|\Z)",
        "[redacted PEM]",
        re.DOTALL,
    ),
    # Apprise's URLs (slack://a/b/c, tgram://..., mailto://...) are tokens as a whole.
    _rule(
        "://",
        rf"\b(?!(?:{_ORDINARY_SCHEMES})://)([a-z][a-z0-9+.-]{{1,30}})://[^\s\"'<>]+",
        rf"\1://{REDACTED}",
        re.IGNORECASE,
    ),
    # `user:password@`, where the password may hold `/` and `@`, but nothing that begins as a port; then any user.
    _rule(
        "://",
        r"\b([a-z][a-z0-9+.-]{1,30}://)(?![^\s/@:\"'<>]{0,253}:\d{1,5}(?:[/?#\s]|$))[^\s/@:\"'<>?#]{0,253}:[^\s\"'<>]{0,256}@",
        rf"\1{REDACTED}@",
        re.IGNORECASE,
    ),
    _rule(
        "://",
        r"\b([a-z][a-z0-9+.-]{1,30}://)(?!git@|\[redacted\]@)[^\s/@\"'<>]{1,512}@",
        rf"\1{REDACTED}@",
        re.IGNORECASE,
    ),
    _rule(
        "://",
        r"\b(?P<head>https?://)(?P<host>[^\s/\"'<>]{1,253})/(?P<path>[^\s\"'<>]+)",
        _address,
        re.IGNORECASE,
    ),
    _rule(
        "= %3",
        rf"((?:[?&]|%3F|%26)(?:{_SECRET_PARAMETER})(?:=|%3D))[^&\s\"'<>]+",
        rf"\1{REDACTED}",
        re.IGNORECASE,
    ),
    # A header as a whole, whatever its scheme; a cookie to the end of its line, for it has many parts.
    _rule(
        "uthorization UTHORIZATION",
        rf"(authorization\\{{0,8}}[\"']?\s{{0,3}}[:=]\s{{0,3}})(?!{_HARMLESS})"
        rf"(?:{_QUOTED}|digest\s[^\r\n]+|(?:[a-z][a-z0-9-]{{0,20}}\s{{1,3}})?[^\s\"'<>,;]+)",
        rf"\1{REDACTED}",
        re.IGNORECASE,
    ),
    _rule(
        "ookie OOKIE",
        rf"(cookie2?\\{{0,8}}[\"']?\s{{0,3}}(?::|=|,(?=\s?b?[\"']))\s{{0,3}}b?)(?!{_HARMLESS})(?:{_QUOTED}|[^\s\r\n\"'][^\r\n\"']{{2,}})",
        rf"\1{REDACTED}",
        re.IGNORECASE,
    ),
    _rule(
        "earer EARER", r"\b(bearer)(\s{1,8}|%20|\+)[A-Za-z0-9._~+/=-]{8,}", rf"\1\2{REDACTED}", re.IGNORECASE
    ),
    _rule("asic", r"\b([Bb]asic\s{1,8})(?=[A-Za-z0-9+/]*[A-Z0-9=])[A-Za-z0-9+/]{8,}={0,2}", rf"\1{REDACTED}"),
    _rule("eyJ", r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*"),
    _rule("tg1.", r"\btg1\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", "tg1.***"),
    # Keys that say what they are.
    _rule(
        "_ - AIza AKIA ASIA ABIA ACCA SG. SK :AA",
        rf"\b(?:hf|r8|rpa|rps|tg_[a-z0-9-]{{1,60}}|whsec|npm|pn[ub]|gsk|tgp_v1|dckr_pat)_{_KEYLIKE}[A-Za-z0-9_-]{{8,}}"
        rf"|\b(?:sk|pk|rk|nvapi|xapp)[-_]{_KEYLIKE}[A-Za-z0-9_-]{{8,}}"
        r"|\ba[ks]-(?=[A-Za-z]{0,40}[0-9])[A-Za-z0-9]{20,}|\bgh[pousr]_[A-Za-z0-9]{8,}|\bgithub_pat_\w{8,}"
        r"|\bglpat-[A-Za-z0-9_-]{8,}|\bxox[abeoprs]-[A-Za-z0-9-]{8,}|\bAIza[A-Za-z0-9_-]{20,}"
        r"|\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,}\b|\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|\bSK[0-9a-f]{32}\b"
        r"|\bAGE-SECRET-KEY-1[A-Z0-9]{8,}|\b\d{6,12}:AA[A-Za-z0-9_-]{20,}|\bbot\d{6,12}:[A-Za-z0-9_-]{20,}",
    ),
    # A header as a pair: `('x-api-key', '...')`, in bytes too.
    _rule(
        ",",
        rf"([(\[]\s?b?[\"'][\w.-]{{0,60}}(?:{_STRONG}|{_WEAK})s?[\"']\s{{0,3}},\s{{0,3}}b?)([\"']).{{1,512}}?\2(?=\s?[)\]])",
        rf"\1\2{REDACTED}\2",
        re.IGNORECASE,
    ),
    # `password=...`, `"api_key": "..."`, `X-Api-Key: ...` in the middle of a text. Numbers are counts.
    _rule(
        "= : %3",
        rf"((?:{_STRONG}|(?<![a-z])(?:{_WEAK}))s?(?:[_-]?key|[_-]?value)?\\{{0,8}}[\"']?\s{{0,3}}(?:[:=]|%3[AD])\s{{0,3}}(?:[>|]-?(?:[\s|]|\\n){{1,16}})?)"
        rf"(?!\\{{0,8}}[\"']?(?:{_HARMLESS}|(?:bearer|basic)\b))(?:{_QUOTED}|\\{{0,8}}[\"']?(?:[^\s,;\"'&<>\\}}\])]|,(?![\s\"']|[\w.-]{{1,60}}=)){{3,}})",
        rf"\1{REDACTED}",
        re.IGNORECASE,
    ),
    # `--password ...` of a command line, `password ...` of a .netrc: with a digit, so that prose stays.
    _rule(
        "word phrase token secret key",
        r"((?:--[a-z-]{0,40}(?:passphrase|token|secret|key)|passwd|password)\s{1,8})(?!(?:env|file|store|prefect|sha256):)"
        r"(?=[^\s\"',;]{0,80}\d)(?=[^\s\"',;]{0,80}[A-Za-z])[^\s\"',;]{8,}",
        rf"\1{REDACTED}",
        re.IGNORECASE,
    ),
    # Texts of users, as JSON or a Python value within a text.
    _rule(
        "prompt content text completion",
        r"(\\{0,8}[\"'](?:prompt|content|text|reasoning_content|completion)\\{0,8}[\"']\s{0,3}:\s{0,3})"
        r"(\\{0,8}[\"'])(?:.*?)(?:(?<!\\)\2|\Z)",
        r'\1"[text]"',
        re.DOTALL,
    ),
)
_LONG = 40
_RUN = re.compile(rf"[A-Za-z0-9_+/-]{{{_LONG},}}={{0,2}}")
_SEPARATORS = re.compile(r"[_+/=-]")
_LEAST_TURNS = 0.4
"""Share of neighbours of different kinds (capital, small, digit): about 0.62 in random text, under 0.3 in names."""


def plain_name(name: str) -> str:
    """`clientSecret`, `CLIENT_SECRET` and `client-secret` are one name."""
    return _HUMP.sub("_", name).lower()


def without_secrets(text: str, *, is_id: bool = False) -> str:
    """The text with every secret that can be told by its shape replaced. What stands beyond `MOST_SCANNED` is cut.

    `is_id`: the whole text is an id that was checked as such, and may look random.
    """
    cleaned = text[:MOST_SCANNED]
    for rule in _RULES:
        if any(mark in cleaned for mark in rule.marks):
            cleaned = rule.pattern.sub(rule.instead, cleaned)
    return cleaned if is_id or len(cleaned) < _LONG else _RUN.sub(_unless_random, cleaned)


def _unless_random(found: re.Match[str]) -> str:
    """Long random texts, as we make 256 bits of them, and others their keys in base64."""
    text = found[0]
    if _is_random(text):
        return REDACTED
    return "/".join(REDACTED if len(part) >= _LONG and _is_random(part) else part for part in text.split("/"))


def _is_random(text: str) -> bool:
    """Names and digests of ours have no capitals, names of others have words."""
    kinds = ["A" if one.isupper() else "a" if one.islower() else "0" for one in _SEPARATORS.sub("", text)]
    turns = sum(first != second for first, second in pairwise(kinds))
    return len(set(kinds)) == 3 and turns >= _LEAST_TURNS * (len(kinds) - 1)
