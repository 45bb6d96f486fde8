"""Chat templates: which there are, checks on their text, then on their syntax tree. Nothing is ever rendered.

`Environment.parse` does not fold constants, so that parsing alone cannot be made to use up memory.
"""

import re
import unicodedata
from collections.abc import Iterator

from jinja2 import Environment, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser

from tidegate.gguf.architecture import LANGUAGE_MODELS, OTHER_KINDS
from tidegate.gguf.findings import Finding, Severity, quote
from tidegate.gguf.header import Header
from tidegate.gguf.limits import LIMITS, Limits
from tidegate.gguf.rules import finding
from tidegate.gguf.template_backdoors import check_backdoors
from tidegate.gguf.template_bombs import check_bombs
from tidegate.gguf.template_clock import check_clock
from tidegate.gguf.template_output import check_written
from tidegate.gguf.template_syntax import check_syntax
from tidegate.gguf.template_taint import Flow
from tidegate.gguf.template_tree import Found, TooLarge, Tree

TEMPLATE_KEY = "tokenizer.chat_template"
TEMPLATE_NAMES_KEY = "tokenizer.chat_templates"

_HIDDEN = re.compile(
    "[\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff9-\ufffb\U000e0000-\U000e0fff\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
)  # fmt: skip
_JOINER, _SELECTORS = "\u200d", re.compile("[\ufe00-\ufe0f]{3,}|[\U000e0100-\U000e01ef]")
_WORD = re.compile(r"[^\W\d_]+")
_ESCAPE = re.compile(r"\\[abfnrtv0]")


class _Generation(Extension):
    """`{% generation %}` marks what the assistant says; engines ignore it, and so do we."""

    tags = {"generation"}  # noqa: RUF012 - declared so by jinja2

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def check_templates(header: Header) -> Iterator[Finding]:
    """Every key that begins with `tokenizer.chat_template`, whatever its type."""
    # Engines compile every template of a file, whatever it is for; only chat models must have one.
    found_one = header.architecture not in LANGUAGE_MODELS or header.text("general.type") in OTHER_KINDS
    for key, value in header.metadata.items():
        if key == TEMPLATE_NAMES_KEY or not key.lower().startswith(TEMPLATE_KEY):
            continue
        if not isinstance(value.content, str):
            text = f"{quote(key)} is {value.type.name}."
            yield finding("C-TYPE", text, offset=value.offset, subject=key)
            continue
        found_one = found_one or (key == TEMPLATE_KEY and bool(value.content.strip()))
        if not value.is_utf8:
            yield finding("C-UNICODE", f"{quote(key)} is not UTF-8.", offset=value.offset, subject=key)
        if value.content.strip():
            yield from check_template(value.content, subject=key, offset=value.offset + 8)
    if not found_one:
        yield finding("C-MISSING", "The file has no chat template.", subject=TEMPLATE_KEY)


def check_template(
    source: str, *, subject: str = TEMPLATE_KEY, offset: int | None = None, limits: Limits = LIMITS
) -> Iterator[Finding]:
    """Judge the text of one template. Raises nothing, however hostile the text."""
    size = len(source.encode("utf-8", "replace"))
    depth, tags = _depth(source), source.count("{%") + source.count("{{")
    if (
        size > limits.max_template_bytes
        or depth > limits.max_template_depth
        or tags > limits.max_template_tags
    ):
        text = f"The template has {size} bytes and {tags} tags and is nested {depth} deep."
        yield finding("C-SIZE", text, offset=offset, subject=subject)
        return
    if size > limits.usual_template_bytes:
        text = f"The template has {size} bytes."
        yield finding("C-SIZE", text, offset=offset, subject=subject, severity=Severity.WARNING)
    yield from _characters(source, subject, offset)
    try:
        flow = Flow(Tree(_environment().parse(source)))
        found = [
            *check_syntax(flow), *check_bombs(flow), *check_written(flow), *check_backdoors(flow), *check_clock(flow)
        ]  # fmt: skip
    except RecursionError:
        yield finding("C-SIZE", "The template is nested too deeply.", offset=offset, subject=subject)
        return
    except TooLarge as error:
        yield finding("C-SIZE", f"The template cannot be judged. {error}", offset=offset, subject=subject)
        return
    except MemoryError:
        yield finding("C-BOMB", "Analysing the template used up the memory.", offset=offset, subject=subject)
        return
    except Exception as error:  # noqa: BLE001 - any failure of a third-party parser on hostile text is the file's fault
        text = f"The template cannot be parsed: {quote(str(error))}."
        yield finding("C-PARSE", text, offset=offset, subject=subject)
        return
    for one in dict.fromkeys(found):
        yield _as_finding(one, subject, offset)


def _as_finding(found: Found, subject: str, offset: int | None) -> Finding:
    text = f"Line {found.line}: {found.message}" if found.line else found.message
    return finding(found.check, text, offset=offset, subject=subject, severity=found.severity)


def _environment() -> Environment:
    """As engines configure it, with their tags; used for parsing only."""
    return Environment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.loopcontrols", _Generation],
        autoescape=False,
    )


def _depth(source: str) -> int:
    """Deepest nesting of brackets; cheap, before any parser runs."""
    deepest = depth = 0
    for character in source:
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}":
            depth = max(0, depth - 1)
    return deepest


def _characters(source: str, subject: str, offset: int | None) -> Iterator[Finding]:
    stray = [
        place for place, character in enumerate(source)
        if character == _JOINER and not _is_symbol(source[place - 1 : place])
    ]  # fmt: skip
    hidden = [character for character in _HIDDEN.findall(source) if character != _JOINER] + [_JOINER] * len(
        stray
    )
    if hidden or _SELECTORS.search(source):
        kinds = sorted({f"U+{ord(character):04X}" for character in hidden}) or ["variation selectors"]
        text = f"The template holds {len(hidden)} invisible characters: {', '.join(kinds[:5])}."
        yield finding("C-UNICODE", text, offset=offset, subject=subject)
    # In the source, an escaped line break puts an `n` before whatever word follows.
    for word in _WORD.findall(_ESCAPE.sub(" ", source)):
        if not word.isascii() and _mixes_scripts(word):
            text = f"The word {quote(word)} mixes alphabets."
            yield finding("C-SCRIPT", text, offset=offset, subject=subject)
            return


def _is_symbol(character: str) -> bool:
    """Joiners are at home between pictographs and after variation selectors."""
    return bool(character) and (unicodedata.category(character) in ("So", "Sk") or character == "\ufe0f")


def _mixes_scripts(word: str) -> bool:
    """Latin letters beside Cyrillic, Greek or full-width ones that look the same."""
    names = {unicodedata.name(letter, "").split(" ")[0] for letter in word}
    return "LATIN" in names and bool(names & {"CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "FULLWIDTH"})
