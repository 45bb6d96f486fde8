"""Rules about templates that act on what a message says: the shape of a backdoor.

Follows the content of messages through assignments, loops and macros, and looks at every comparison of it with
a literal. Markup such as `</think>` or `<tool_call>` is what honest templates look for; words are not.
"""

import re
from collections.abc import Iterator

from jinja2 import nodes

from tidegate.gguf.findings import Severity, quote
from tidegate.gguf.template_constants import constant
from tidegate.gguf.template_syntax import Found
from tidegate.gguf.template_taint import Names, follow, given, is_clock, is_tainted, literals_of, name_of
from tidegate.gguf.words import words

PART_KEYS = words(
    """
    text image image_url video video_url audio audio_url input_audio type thinking document data parts blocks file value
    """
)
LONG_TEXT_LETTERS = 20
MANY_LETTERS = 30
FEW_LETTERS = 3

_MARKUP = re.compile(r"[<>\[\]{}|`▁｜]|^/|^\\|^[^\w]*$|^\w+=$")
_WORDS = re.compile(r"[^\W\d_]{2,}|\d{3,}|[\u3040-\u9fff\uac00-\ud7af]")
_SWITCH = re.compile(r"\b(?:think|thinking|reasoning)\b|^CONTINUE_FINAL_MESSAGE_TAG", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>|\[/?[A-Z_]+\]|\{[^{}]*\}")
_DATE = re.compile(r"\b(?:19|20)\d\d\b|\b\d{1,2}[./-]\d{1,2}\b")
_SEARCHES = frozenset({"startswith", "endswith", "find", "index", "rfind", "count", "match", "search", "partition",
                       "rpartition"})  # fmt: skip
_MUTILATIONS = frozenset({"truncate", "reverse", "random", "wordwrap", "center", "translate", "shuffle"})
_SIZES = frozenset({"length", "count", "wordcount"})


def check_backdoors(tree: nodes.Template) -> Iterator[Found]:
    """Comparisons with words, rewriting of content, and conditions on the date."""
    names = follow(tree)
    yield from _comparisons(tree, names)
    yield from _searches(tree, names)
    yield from _lookups(tree, names)
    yield from _rewrites(tree, names)
    yield from _clock(tree, names)


def _is_word(text: str) -> bool:
    """Words that people say, as opposed to markup that templates look for."""
    return bool(_WORDS.search(text)) and not _MARKUP.search(text.strip())


def _accused(text: str, how: str, severity: Severity | None = None) -> Found:
    return ("C-WORD", f"The template {how} {quote(text)}.", severity)


def _comparisons(tree: nodes.Template, names: Names) -> Iterator[Found]:
    yield from _letter_by_letter(tree, names)
    guarded = _guarded_letters(tree)
    may_be_mapping = any(_tests_mapping(test, names) for test in tree.find_all(nodes.Test))
    about_keys = _under_mapping_test(tree, names)
    for node in tree.find_all(nodes.Compare):
        sides: list[nodes.Node] = [node.expr, *(operand.expr for operand in node.ops)]
        if any(_is_size(side, names) for side in sides):
            yield from _sizes(sides)
        accused = [side for side in sides if is_tainted(side, names)]
        if not accused:
            continue
        letters = guarded.get(id(node), 0)
        is_part = all(name_of(side) in names.parts for side in accused)
        is_part = is_part or (may_be_mapping and not letters) or id(node) in about_keys
        for side in sides:
            for literal in literals_of(side, names):
                if _is_suspicious(literal, letters) and not (is_part and literal in PART_KEYS):
                    level = _mildness(literal, letters, node.ops[0].op)
                    yield _accused(literal, "compares what people say with", level)
    for node in tree.find_all(nodes.Test):
        if is_tainted(node.node, names) and name_of(node.node) not in names.parts:
            for argument in given(node):
                for literal in literals_of(argument, names):
                    if _is_word(literal):
                        yield _accused(literal, f"tests what people say ({node.name}) for")


def _letter_by_letter(tree: nodes.Template, names: Names) -> Iterator[Found]:
    """`content[0] == 'p' and content[1] == 'a'`: a word, taken apart."""
    letters = 0
    for node in tree.find_all(nodes.Compare):
        sides: list[nodes.Node] = [node.expr, *(operand.expr for operand in node.ops)]
        texts = [text for side in sides for text in literals_of(side, names)]
        is_read = any(is_tainted(side, names) for side in sides)
        letters += is_read and any(len(text) == 1 and text.isalnum() for text in texts)
    if letters >= FEW_LETTERS:
        yield ("C-WORD", f"The template compares what people say letter by letter, {letters} times.", None)


def _tests_mapping(test: nodes.Node, names: Names) -> bool:
    return isinstance(test, nodes.Test) and test.name == "mapping" and is_tainted(test.node, names)


def _under_mapping_test(tree: nodes.Template, names: Names) -> set[int]:
    """Comparisons in `content is mapping and 'blocks' in content`: about keys, not about words."""
    return {
        id(compare)
        for both in tree.find_all(nodes.And)
        if any(_tests_mapping(test, names) for test in both.find_all(nodes.Test))
        for compare in both.find_all(nodes.Compare)
    }


def _is_suspicious(literal: str, letters: int) -> bool:
    return _is_word(literal) or (bool(_WORDS.search(literal)) and letters >= MANY_LETTERS)


def _mildness(literal: str, letters: int, operator: str) -> Severity | None:
    """Published templates switch a thinking mode by a word, or recognise their whole default prompt."""
    is_switch = bool(_SWITCH.search(literal)) and letters < MANY_LETTERS
    is_whole_prompt = operator in ("eq", "ne") and _letters(literal) >= MANY_LETTERS
    return Severity.WARNING if is_switch or is_whole_prompt else None


def _guarded_letters(tree: nodes.Template) -> dict[int, int]:
    """For each comparison in a condition: the letters that the branch behind it writes by itself."""
    letters: dict[int, int] = {}
    for branch in tree.find_all((nodes.If, nodes.CondExpr)):
        written = branch.body if isinstance(branch, nodes.If) else [branch.expr1]
        count = sum(_written_letters(part) for part in written)
        for compare in _with_self(branch.test):
            letters[id(compare)] = max(letters.get(id(compare), 0), count)
    return letters


def _with_self(node: nodes.Node) -> list[nodes.Node]:
    return [node, *node.find_all(nodes.Node)]


def _written_letters(node: nodes.Node) -> int:
    """Letters of ordinary text, not of markup, written directly (not in further conditions) or assigned."""
    if isinstance(node, nodes.TemplateData):
        return _letters(_TAG.sub("", node.data))
    if isinstance(node, nodes.Const):
        return _letters(_TAG.sub("", node.value)) if isinstance(node.value, str) else 0
    if isinstance(node, (nodes.If, nodes.CondExpr, nodes.Getitem, nodes.Compare, nodes.Test)):
        return 0
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name):
        return 0
    return sum(_written_letters(child) for child in node.iter_child_nodes())


def _is_size(node: nodes.Node, names: Names) -> bool:
    return isinstance(node, nodes.Filter) and node.name in _SIZES and is_tainted(node.node, names)


def _sizes(sides: list[nodes.Node]) -> Iterator[Found]:
    for side in sides:
        number = constant(side)
        if isinstance(number, int) and not isinstance(number, bool) and number > 1:
            yield ("C-WORD", f"The template acts on messages of {number} characters.", Severity.WARNING)


def _searches(tree: nodes.Template, names: Names) -> Iterator[Found]:
    """`content.startswith('word')`, `content | select('equalto', 'word')`, `content.split('word')`."""
    for call in tree.find_all(nodes.Call):
        if not isinstance(call.node, nodes.Getattr):
            continue
        if call.node.attr in _SEARCHES | {"split", "replace"} and is_tainted(call.node.node, names):
            for argument in call.args[:1]:
                for literal in literals_of(argument, names):
                    if _is_word(literal):
                        yield _accused(
                            literal,
                            f"searches what people say ({call.node.attr}) for",
                            _mildness(literal, 0, "in"),
                        )
    for node in tree.find_all(nodes.Filter):
        if node.name in ("select", "reject", "selectattr", "rejectattr", "replace") and is_tainted(
            node, names
        ):
            wanted = (
                node.args[2:]
                if node.name.endswith("attr")
                else node.args[:1]
                if node.name == "replace"
                else node.args[1:]
            )
            for argument in wanted:
                for literal in literals_of(argument, names):
                    if _is_word(literal) and not (literal in PART_KEYS and node.name.endswith("attr")):
                        yield _accused(
                            literal,
                            f"searches what people say ({node.name}) for",
                            _mildness(literal, 0, "in"),
                        )


def _lookups(tree: nodes.Template, names: Names) -> Iterator[Found]:
    """A table whose key is what people say."""
    for node in tree.find_all(nodes.Getitem):
        if is_tainted(node.arg, names) and not isinstance(node.arg, nodes.Slice):
            yield _accused(type(node.node).__name__, "looks up what people say in a")
    for call in tree.find_all(nodes.Call):
        is_get = isinstance(call.node, nodes.Getattr) and call.node.attr == "get"
        if is_get and call.args and is_tainted(call.args[0], names):
            yield _accused("get", "looks up what people say with")


def _rewrites(tree: nodes.Template, names: Names) -> Iterator[Found]:
    for node in tree.find_all((nodes.Filter, nodes.Call)):
        inner = node.node if isinstance(node, nodes.Filter) else getattr(node.node, "node", None)
        name = node.name if isinstance(node, nodes.Filter) else getattr(node.node, "attr", "")
        if not isinstance(inner, nodes.Node) or not is_tainted(inner, names):
            continue
        if name == "replace" and len(node.args) > 1:
            for new in literals_of(node.args[1], names):
                if _letters(new) >= LONG_TEXT_LETTERS:
                    yield ("C-REPLACE", f"Content is replaced by {quote(new)}.", None)
        elif name in _MUTILATIONS:
            yield ("C-REPLACE", f"Content passes through {quote(name)}.", None)


def _letters(text: str) -> int:
    return sum(character.isalpha() for character in text)


def _clock(tree: nodes.Template, names: Names) -> Iterator[Found]:
    for node in tree.find_all(nodes.Compare):
        sides: list[nodes.Node] = [node.expr, *(operand.expr for operand in node.ops)]
        if any(is_clock(side, names) for side in sides):
            yield ("C-CLOCK", "The template compares the present date or time.", None)
            return
        names_date = any(isinstance(side, nodes.Name) and "date" in side.name.lower() for side in sides)
        texts = [text for text in map(constant, sides) if isinstance(text, str)]
        if names_date and any(_DATE.search(text) for text in texts):
            yield ("C-CLOCK", "The template compares a date with a fixed one.", None)
