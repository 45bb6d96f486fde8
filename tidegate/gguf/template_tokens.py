"""Rules about the marks a template writes and the tokens the vocabulary has for them.

A template that writes `<|im_end|>` over a vocabulary that does not have it is the classic mistake of a fine-tune:
the mark is split into a handful of ordinary tokens, and answers do not end where the engine looks for the end.
"""

import re
from collections.abc import Iterator

from jinja2 import nodes

from tidegate.gguf.architecture import LANGUAGE_MODELS
from tidegate.gguf.findings import Finding, quote
from tidegate.gguf.header import Header
from tidegate.gguf.rules import finding
from tidegate.gguf.template_tree import Tree, parse_template
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
    texts = tokens.strings()
    if not texts:
        return
    written = _written(tree)
    yield from _marks(header, texts, written)
    yield from _ends(header, texts, tree, written)
    yield from _beginnings(header, texts, tree, written)


def _written(tree: Tree) -> str:
    """All literal text of the template in one; marks are looked for in it."""
    parts = [node.data for node in tree.of(nodes.TemplateData)]
    parts += [node.value for node in tree.of(nodes.Const) if isinstance(node.value, str)]
    return "\n".join(parts)


def _names(tree: Tree) -> set[str]:
    return {node.name for node in tree.of(nodes.Name)}


def _kinds(header: Header, count: int) -> tuple[int | float, ...]:
    array = header.array(PREFIX + "token_type")
    return array.numbers() if array is not None and array.count == count else ()


def _marks(header: Header, texts: list[bytes], written: str) -> Iterator[Finding]:
    wanted = {mark for mark in _MARK.findall(written) if mark in _ALWAYS_TOKENS}
    if not wanted:
        return
    encoded = {mark.encode(): mark for mark in wanted}
    ids = {encoded[text]: number for number, text in enumerate(texts) if text in encoded}
    missing = sorted(wanted - ids.keys())
    if missing:
        shown = ", ".join(map(quote, missing[:SHOWN_MARKS]))
        text = f"The template writes {shown}, of which the vocabulary has no token."
        yield finding("V-MARKER", text, subject=TEMPLATE_KEY)
    kinds = _kinds(header, len(texts))
    special = (CONTROL, USER_DEFINED, UNKNOWN)
    plain = sorted(mark for mark, number in ids.items() if kinds and kinds[number] not in special)
    if plain:
        shown = ", ".join(f"{quote(mark)} (id {ids[mark]})" for mark in plain[:SHOWN_MARKS])
        text = f"The template writes {shown}, which the vocabulary calls ordinary text, not control tokens."
        yield finding("V-MARKER", text, subject=TEMPLATE_KEY)


def _ends(header: Header, texts: list[bytes], tree: Tree, written: str) -> Iterator[Finding]:
    """The engine stops at eos, eot and eom, and at tokens that it knows by their text."""
    ends = {text for name in ("eos", "eot", "eom") if (text := _text(header, texts, f"{name}_token_id"))}
    if not ends or "eos_token" in _names(tree) or any(end in written for end in ends):
        return
    known = {raw.decode() for raw in _KNOWN_ENDS.intersection(texts)}
    if not any(end in written for end in known):
        shown = ", ".join(map(quote, sorted(ends)[:SHOWN_MARKS]))
        text = f"The template never writes {shown}, at which the engine stops: answers may not end."
        yield finding("V-TURN", text, subject=TEMPLATE_KEY)


def _beginnings(header: Header, texts: list[bytes], tree: Tree, written: str) -> Iterator[Finding]:
    """That the engine also adds one is usual: llama-server then takes one of the two away."""
    begin = _text(header, texts, "bos_token_id")
    is_written_out = bool(begin and _MARK.fullmatch(begin) and begin in written)
    if is_written_out and "bos_token" in _names(tree) and begin != _text(header, texts, "eos_token_id"):
        text = f"The template writes bos_token and also {quote(begin)} itself, which are the same."
        yield finding("V-BOS2", text, subject=TEMPLATE_KEY)


def _text(header: Header, texts: list[bytes], name: str) -> str:
    number = header.integer(PREFIX + name)
    is_one = number is not None and 0 <= number < len(texts)
    return texts[number].decode("utf-8", "replace")[:LONGEST_MARK] if is_one and number is not None else ""
