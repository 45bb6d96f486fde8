"""Rules about what a template writes by itself: addresses, markup, encoded text, orders; and what it leaves out."""

import base64
import binascii
import re
from collections.abc import Iterator

from jinja2 import nodes

from tidegate.gguf.findings import Severity, quote
from tidegate.gguf.template_taint import Flow
from tidegate.gguf.template_tree import Found, Tree

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
LEAST_CHARACTERS = 3

_BASE64 = re.compile(r"(?<![\w+/])[A-Za-z0-9+/]{40,}={0,2}(?![\w+/])")

_PHRASES = tuple(
    re.compile(pattern, re.IGNORECASE | re.VERBOSE)
    for pattern in (
        r"""\b(?:ignore|disregard|forget|override)\b .{0,30}
            \b(?:previous|prior|above|earlier|all|any|system|safety|user'?s?)\b .{0,30}
            \b(?:instruction|message|prompt|rule|guideline|polic|request)""",
        r"""\b(?:do\ not|don't|never|without)\s+(?:ever\s+)?
            (?:tell(?:ing)?|reveal(?:ing)?|disclos(?:e|ing)|mention(?:ing)?|inform(?:ing)?|admit(?:ting)?)\b
            (?!.{0,10}user\ about\ function\ calls) (?!.{0,60}\bunless\b) .{0,40}
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


def check_written(flow: Flow) -> Iterator[Found]:
    """Judge every text the template could write, in whichever branch it stands."""
    for text, line in _texts(flow).items():
        yield from _addresses(text, line)
        if match := _MARKUP.search(text):
            yield Found("C-HTML", f"The template writes {quote(_around(text, match))}.", line)
        for match in _BASE64.finditer(text):
            if decoded := _decoded(match[0]):
                yield Found(
                    "C-BASE64", f"The template writes {quote(match[0])}, which is {quote(decoded)}.", line
                )
                break
        for phrase in _PHRASES:
            if match := phrase.search(text):
                yield Found("C-PHRASE", f"The template tells the model {quote(_around(text, match))}.", line)
    yield from _dropped(flow)


def _texts(flow: Flow) -> dict[str, int]:
    """Literal texts, and those put together from literals, with the line where each begins."""
    texts: dict[str, int] = {}
    kinds = (nodes.TemplateData, nodes.Const, nodes.Concat, nodes.Add, nodes.Mod, nodes.Filter, nodes.Call,
             nodes.Getitem)  # fmt: skip
    for kind in kinds:
        for node in flow.tree.of(kind):
            for value in flow.values.of(node):
                if isinstance(value, str) and len(value) > LEAST_CHARACTERS:
                    texts.setdefault(value, node.lineno)
    for output in flow.tree.of(nodes.Output):
        # Text around expressions, so that a word split by an expression is still seen in one piece.
        parts = [flow.values.constant(part) for part in output.nodes]
        texts.setdefault("".join(part if isinstance(part, str) else " " for part in parts), output.lineno)
    return texts


def _addresses(text: str, line: int) -> Iterator[Found]:
    rest = _SCHEMA_ADDRESS.sub(" ", text)
    for pattern in (_SCHEME, _DOMAIN, _NUMERIC, _MARKDOWN_LINK, _MAIL):
        match = pattern.search(rest)
        if match:
            # A published default prompt names the author of commits by mail.
            level = Severity.WARNING if pattern is _MAIL else None
            yield Found(
                "C-URL", f"The template writes the address {quote(_around(rest, match))}.", line, level
            )
            return


def _around(text: str, match: re.Match[str]) -> str:
    return " ".join(text[max(0, match.start() - 20) : match.end() + 30].split())


def _decoded(text: str) -> str:
    """What base64 says, when it says text; long identifiers and rulers do not."""
    if not (
        any(c.isdigit() for c in text) and any(c.islower() for c in text) and any(c.isupper() for c in text)
    ):
        return ""
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return ""
    is_text = sum(32 <= byte < 127 for byte in decoded) > 0.9 * len(decoded)
    return decoded.decode("ascii", "replace") if is_text else ""


def _dropped(flow: Flow) -> Iterator[Found]:
    tree: Tree = flow.tree
    if not any(name.name == "messages" for name in tree.of(nodes.Name)):
        yield Found("C-DROP", "The template never looks at the messages.")
        return
    read: set[str] = {node.attr for node in tree.of(nodes.Getattr)}
    for item in tree.of(nodes.Getitem):
        read.update(flow.values.texts(item.arg))
    for call in tree.of(nodes.Call):
        read.update(text for argument in call.args[:1] for text in flow.values.texts(argument))
    for picked in tree.of(nodes.Filter):
        read.update(text for pair in picked.kwargs for text in flow.values.texts(pair.value))
    if "content" not in read:
        yield Found("C-DROP", "The template never looks at the content of a message.")
