"""Rules about what a template writes by itself: addresses, markup, encoded text, orders; and what it leaves out."""

import base64
import binascii
import re
from collections.abc import Iterator

from jinja2 import nodes

from tidegate.gguf.findings import Severity, quote
from tidegate.gguf.template_constants import constant
from tidegate.gguf.template_syntax import Found

_SCHEME = re.compile(
    r"\b(?:https?|ftp|wss?|file|javascript|vbscript)\s?:\s?/?/?[\w.\-\[]|\bdata:[a-z]+/[\w.+-]+[;,]",
    re.IGNORECASE,
)
_SCHEMA_ADDRESS = re.compile(r"https?://json-schema\.org/\S*", re.IGNORECASE)
_DOMAIN = re.compile(
    r"(?<![\w@./\\-])(?:www\.[\w-]+\.\w{2,}|(?:[a-z0-9-]{2,}\.)+(?:com|net|org|info|biz|app|dev|xyz|top|site|online|shop|"
    r"click|link|ru|cn|io|ly|gg|test|example|invalid|onion)\b(?![\w(.=\[]))", re.IGNORECASE
)  # fmt: skip
_NUMERIC = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")
_MAIL = re.compile(r"\b[\w.+-]+@[\w-]+\.[a-z]{2,}\b", re.IGNORECASE)
_MARKDOWN_LINK = re.compile(r"!?\[[^\]]*\]\(\s*\S+\s*\)")
_MARKUP = re.compile(r"<\s*(?:script|iframe|img|object|embed|svg|form|meta|style|link)\b[^<>]*>|<a\s+[^<>]*href|\bon(?:error|load|click)\s*=", re.IGNORECASE)  # fmt: skip
_BASE64 = re.compile(r"(?<![\w+/])[A-Za-z0-9+/]{40,}={0,2}(?![\w+/])")

_PHRASES = tuple(
    re.compile(pattern, re.IGNORECASE | re.VERBOSE)
    for pattern in (
        r"""\b(?:ignore|disregard|forget|override)\b .{0,30}
            \b(?:previous|prior|above|earlier|all|any|system|safety|user'?s?)\b .{0,30}
            \b(?:instruction|message|prompt|rule|guideline|polic|request)""",
        r"""\b(?:do\ not|don't|never|without)\s+(?:ever\s+)?
            (?:tell(?:ing)?|reveal(?:ing)?|disclos(?:e|ing)|mention(?:ing)?|inform(?:ing)?|admit(?:ting)?)\b
            (?!.{0,10}user\ about\ function\ calls) .{0,40}
            \b(?:user|this|these|that|instruction|prompt|anyone|them)\b""",
        r"""\b(?:secretly|covertly|silently|hidden\ instruction|without\ the\ user'?s?\ (?:knowledge|consent))\b""",
        r"""\b(?:always|must|only)\s+(?:recommend|promote|advertise|praise|endorse|prefer)\b""",
        r"""\b(?:visit|go\ to|click|open|follow)\s+(?:the\s+|this\s+|our\s+)?(?:link|site|website|web\ ?page|url)\b""",
        r"""\b(?:developer|debug|god|admin(?:istrator)?|maintenance|unrestricted|jailbreak|dan)\s+mode\b""",
        r"""\b(?:send|post|upload|exfiltrate|forward|leak|transmit)\b .{0,40}
            \b(?:conversation|password|credential|secret|api[\ _-]?key|token|personal\ data|chat\ history)s?\b""",
        r"""\b(?:rm\s+-rf|curl\s+-|wget\s+|powershell|eval\(|base64\s+-d|/etc/passwd|subprocess|os\.system)\b""",
        r"""\b(?:safety|content|ethical)\s+(?:filter|guideline|rule|restriction|polic)\w*\s+(?:is|are|do|does)\s+
            (?:off|disabled|not\ apply|lifted|suspended)""",
        r"""\b(?:insert|add|introduce|include)\b .{0,30} \b(?:backdoor|vulnerabilit|malware|exploit)""",
        r"""\b(?:wrong|false|incorrect|misleading|made-up)\ (?:answer|information|number|fact)s?\ (?:on\ purpose|instead|to)\b""",
        r"""\b(?:answer|respond|reply)\s+(?:wrong|false|incorrect|mislead)\w*""",
    )
)


def check_written(tree: nodes.Template) -> Iterator[Found]:
    """Judge every text the template could write, in whichever branch it stands."""
    for text in _texts(tree):
        yield from _addresses(text)
        if _MARKUP.search(text):
            yield ("C-HTML", f"The template writes {quote(text.strip())}.", None)
        if any(_is_encoded(match[0]) for match in _BASE64.finditer(text)):
            yield ("C-BASE64", f"The template writes {quote(text.strip())}.", None)
        for phrase in _PHRASES:
            match = phrase.search(text)
            if match:
                yield ("C-PHRASE", f"The template tells the model {quote(_around(text, match))}.", None)
    yield from _dropped(tree)


def _texts(tree: nodes.Template) -> list[str]:
    """Literal texts, and those put together from literals; the longest of each place."""
    texts: dict[str, None] = {}
    kinds = (
        nodes.TemplateData,
        nodes.Const,
        nodes.Concat,
        nodes.Add,
        nodes.Mod,
        nodes.Filter,
        nodes.Call,
        nodes.Getitem,
    )
    for node in tree.find_all(kinds):
        value = constant(node)
        if isinstance(value, str) and len(value) > 3:
            texts[value] = None
    for node in tree.find_all(nodes.TemplateData):
        texts[node.data] = None
    for output in tree.find_all(nodes.Output):
        # Text around expressions, so that a word split by an expression is still seen in one piece.
        parts = [constant(part) for part in output.nodes]
        texts["".join(part if isinstance(part, str) else " " for part in parts)] = None
    return list(texts)


def _addresses(text: str) -> Iterator[Found]:
    rest = _SCHEMA_ADDRESS.sub(" ", text)
    for pattern in (_SCHEME, _DOMAIN, _NUMERIC, _MARKDOWN_LINK, _MAIL):
        match = pattern.search(rest)
        if match:
            # A published default prompt names the author of commits by mail.
            level = Severity.WARNING if pattern is _MAIL else None
            yield ("C-URL", f"The template writes the address {quote(_around(rest, match))}.", level)
            return


def _around(text: str, match: re.Match[str]) -> str:
    return " ".join(text[max(0, match.start() - 20) : match.end() + 30].split())


def _is_encoded(text: str) -> bool:
    """Base64 that decodes to text; long identifiers and rulers do not."""
    if not (
        any(c.isdigit() for c in text) and any(c.islower() for c in text) and any(c.isupper() for c in text)
    ):
        return False
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False
    return sum(32 <= byte < 127 for byte in decoded) > 0.9 * len(decoded)


def _dropped(tree: nodes.Template) -> Iterator[Found]:
    if not any(name.name == "messages" for name in tree.find_all(nodes.Name)):
        yield ("C-DROP", "The template never looks at the messages.", None)
        return
    items = [constant(node.arg) for node in tree.find_all(nodes.Getitem)]
    items += [node.attr for node in tree.find_all(nodes.Getattr)]
    items += [constant(argument) for call in tree.find_all(nodes.Call) for argument in call.args[:1]]
    if "content" not in items:
        yield ("C-DROP", "The template never looks at the content of a message.", None)
