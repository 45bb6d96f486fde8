"""Rules about the marks a template writes and the tokens the vocabulary has for them.

A template that writes `<|im_end|>` over a vocabulary that does not have it is the classic mistake of a fine-tune:
the mark is split into a handful of ordinary tokens, and answers do not end where the engine looks for the end.
"""

import re
from collections.abc import Iterator

from jinja2 import nodes

from tidegate.gguf.architecture import LANGUAGE_MODELS
from tidegate.gguf.findings import Finding, quote
from tidegate.gguf.header import ArrayValue, Header, ValueType
from tidegate.gguf.rules import finding
from tidegate.gguf.template_tree import Tree, parse_template
from tidegate.gguf.token_search import places_of
from tidegate.gguf.vocabulary import CONTROL, ENDS, PREFIX, UNKNOWN, USER_DEFINED
from tidegate.gguf.words import words

TEMPLATE_KEY = "tokenizer.chat_template"
SHOWN_MARKS = 5
LONGEST_MARK = 64

_MARK = re.compile(r"<[|｜][^<>|｜\s]{1,60}[|｜]>|<(?:start|end)_of_turn>|<(?:start|end)_of_image>")
_KNOWN_ENDS = frozenset(form.encode() for end in ENDS for form in (end, end.upper()))
# Marks that are control tokens in every family that writes them. Others, such as `<|user|>`, are plain text in some.
_ALWAYS_TOKENS = words(
    """
    <|im_start|> <|im_end|> <|im_sep|> <|start_header_id|> <|end_header_id|> <|eot_id|> <|eom_id|> <|begin_of_text|>
    <start_of_turn> <end_of_turn> <|start_of_role|> <|end_of_role|> <|end_of_text|> <|endoftext|> <|START_OF_TURN_TOKEN|>
    <|END_OF_TURN_TOKEN|> <|USER_TOKEN|> <|CHATBOT_TOKEN|> <|SYSTEM_TOKEN|> <｜User｜> <｜Assistant｜> <｜end▁of▁sentence｜>
    <｜begin▁of▁sentence｜> <|start|> <|end|> <|message|> <|channel|> <|return|> <|call|> <|python_tag|>
    """
)


def check_template_tokens(header: Header) -> Iterator[Finding]:
    """Needs a sound vocabulary and a default template that can be parsed; says nothing otherwise."""
    source, tokens = header.text(TEMPLATE_KEY), header.array(PREFIX + "tokens")
    if header.architecture not in LANGUAGE_MODELS or tokens is None or not source:
        return
    try:
        tree = parse_template(source)
    except Exception:  # noqa: BLE001 - hostile text; check_template says what is wrong with it
        return
    if tokens.item_type is not ValueType.STRING or not tokens.count:
        return
    written = _written(tree)
    yield from _marks(header, tokens, written)
    yield from _ends(header, tokens, tree, written)
    yield from _beginnings(header, tokens, tree, written)


def _written(tree: Tree) -> str:
    """All literal text of the template in one; marks are looked for in it."""
    parts = [node.data for node in tree.of(nodes.TemplateData)]
    parts += [node.value for node in tree.of(nodes.Const) if isinstance(node.value, str)]
    return "\n".join(parts)


def _names(tree: Tree) -> set[str]:
    return {node.name for node in tree.of(nodes.Name)}


def _is_plain(header: Header, tokens: ArrayValue, number: int) -> bool:
    """Whether the vocabulary says that this token is ordinary text; not where it has no types for its tokens."""
    kinds = header.array(PREFIX + "token_type")
    if kinds is None or kinds.count != tokens.count or kinds.item_type is ValueType.STRING:
        return False
    return kinds.numeric()[number] not in (CONTROL, USER_DEFINED, UNKNOWN)


def _marks(header: Header, tokens: ArrayValue, written: str) -> Iterator[Finding]:
    wanted = {mark for mark in _MARK.findall(written) if mark in _ALWAYS_TOKENS}
    if not wanted:
        return
    places = places_of(tokens, {mark.encode() for mark in wanted})
    ids = {text.decode(): number for text, number in places.items()}
    missing = sorted(wanted - ids.keys())
    if missing:
        shown = ", ".join(map(quote, missing[:SHOWN_MARKS]))
        text = f"The template writes {shown}, of which the vocabulary has no token."
        yield finding("V-MARKER", text, subject=TEMPLATE_KEY)
    plain = sorted(mark for mark, number in ids.items() if _is_plain(header, tokens, number))
    if plain:
        shown = ", ".join(f"{quote(mark)} (id {ids[mark]})" for mark in plain[:SHOWN_MARKS])
        text = f"The template writes {shown}, which the vocabulary calls ordinary text, not control tokens."
        yield finding("V-MARKER", text, subject=TEMPLATE_KEY)


def _ends(header: Header, tokens: ArrayValue, tree: Tree, written: str) -> Iterator[Finding]:
    """The engine stops at eos, eot and eom, and at tokens that it knows by their text."""
    ends = {text for name in ("eos", "eot", "eom") if (text := _text(header, tokens, f"{name}_token_id"))}
    if not ends or "eos_token" in _names(tree) or any(end in written for end in ends):
        return
    known = {raw.decode() for raw in places_of(tokens, _KNOWN_ENDS)}
    if not any(end in written for end in known):
        shown = ", ".join(map(quote, sorted(ends)[:SHOWN_MARKS]))
        text = f"The template never writes {shown}, at which the engine stops: answers may not end."
        yield finding("V-TURN", text, subject=TEMPLATE_KEY)


def _beginnings(header: Header, tokens: ArrayValue, tree: Tree, written: str) -> Iterator[Finding]:
    """That the engine also adds one is usual: llama-server then takes one of the two away."""
    begin = _text(header, tokens, "bos_token_id")
    is_written_out = bool(begin and _MARK.fullmatch(begin) and begin in written)
    if is_written_out and "bos_token" in _names(tree) and begin != _text(header, tokens, "eos_token_id"):
        text = f"The template writes bos_token and also {quote(begin)} itself, which are the same."
        yield finding("V-BOS2", text, subject=TEMPLATE_KEY)


def _text(header: Header, tokens: ArrayValue, name: str) -> str:
    number = header.integer(PREFIX + name)
    if number is None or not 0 <= number < tokens.count:
        return ""
    return tokens.string(number).decode("utf-8", "replace")[:LONGEST_MARK]
