"""Rules about templates that act on what a message says: the shape of a backdoor.

Follows the content of messages through assignments, loops and macros, and looks at every comparison of it with
a literal. Markup such as `</think>` or `<tool_call>` is what honest templates look for; words are not.
"""

import re
from collections.abc import Iterator

from jinja2 import nodes

from tidegate.gguf.findings import Severity, quote
from tidegate.gguf.template_branches import branch_of, letters, roles_around
from tidegate.gguf.template_taint import CONTENT_KEYS, Flow, given
from tidegate.gguf.template_tree import Found, name_of
from tidegate.gguf.words import words

PART_KEYS = words(
    """
    text image image_url video video_url audio audio_url input_audio type thinking document data parts blocks file
    value content
    """
)
MANY_LETTERS = 30
FEW_LETTERS = 3
LONG_TEXT_LETTERS = 20
LONG_TALK = 3
FEW_CHARACTERS = 5
LAST_COMMON = 0x2010

_MARKUP = re.compile(r"[<>\[\]{}|`▁｜]|^/|^\\|^[^\w]*$|^\w+=$")
_WORDS = re.compile(r"[^\W\d_]{2,}|\d{3,}|[\u3040-\u9fff\uac00-\ud7af]")
_SWITCH = re.compile(r"\b(?:think|thinking|reasoning)\b|_THINKING\b", re.IGNORECASE)
# Transformers puts this mark into the last message when it is to be continued; templates look for it.
_OWN_MARK = "CONTINUE_FINAL_MESSAGE_TAG "
# Published models are switched by these in their system message; what they then say is their usual prompt.
_MODES = frozenset({"/think", "/no_think", "/nothink"})
_SEARCHES = frozenset({"startswith", "endswith", "find", "index", "rfind", "rindex", "count", "match", "search",
                       "partition", "rpartition", "split", "rsplit", "replace", "removeprefix", "removesuffix",
                       "strip", "lstrip", "rstrip"})  # fmt: skip
_STRIPS = frozenset({"strip", "lstrip", "rstrip"})
_SELECTING = frozenset({"select", "reject", "selectattr", "rejectattr", "replace"})
_MUTILATIONS = frozenset({"truncate", "reverse", "random", "wordwrap", "center", "translate", "shuffle"})
_SIZES = frozenset({"length", "count", "wordcount"})
_NUMBERS = frozenset({"int", "float"})
_HARMLESS_TESTS = frozenset({"defined", "undefined", "none", "string", "mapping", "iterable", "sequence", "number",
                             "boolean", "true", "false", "callable", "integer", "float"})  # fmt: skip


def is_word(text: str) -> bool:
    """Words that people say, as opposed to markup that templates look for."""
    return bool(_WORDS.search(text)) and text != _OWN_MARK and not _MARKUP.search(text.strip())


def _is_sign(text: str) -> bool:
    """Anything that a person could put into a message on purpose."""
    return any(character.isalnum() or ord(character) > LAST_COMMON for character in text)


def check_backdoors(flow: Flow) -> Iterator[Found]:
    """Comparisons with words, searches for them, tables of them, and rewriting of content."""
    yield from _letter_by_letter(flow)
    yield from _comparisons(flow)
    yield from _tests(flow)
    yield from _method_searches(flow)
    yield from _filter_searches(flow)
    yield from _lookups(flow)
    yield from _rewrites(flow)
    yield from _talk_lengths(flow)


def _accused(flow: Flow, node: nodes.Node, literal: str, how: str, operator: str = "in") -> Found:
    """Published templates switch thinking by a word, know their own default prompt, and read a tool's result."""
    branch = branch_of(flow.tree, node)
    is_switch = bool(_SWITCH.search(literal)) and branch.letters < MANY_LETTERS
    is_whole_prompt = operator in ("eq", "ne") and letters(literal) >= MANY_LETTERS
    roles = roles_around(flow.tree, node)
    is_of_tools = bool(roles) and roles <= {"tool", "ipython", "function", "tool_response"}
    level = Severity.WARNING if is_switch or is_whole_prompt or is_of_tools else None
    whom = "what a tool returned" if is_of_tools else "what people say"
    return Found(
        "C-WORD", f"The template {how.format(whom)} {quote(literal)}{branch.described()}.", node.lineno, level
    )


def _comparisons(flow: Flow) -> Iterator[Found]:
    may_be_mapping = any(_tests_mapping(flow, test) for test in flow.tree.of(nodes.Test))
    about_keys = _under_mapping_test(flow)
    for node in flow.tree.of(nodes.Compare):
        sides: list[nodes.Node] = [node.expr, *(operand.expr for operand in node.ops)]
        yield from _sizes(flow, node, sides)
        accused = [side for side in sides if flow.is_tainted(side)]
        if not accused:
            continue
        branch = branch_of(flow.tree, node)
        is_part = all(name_of(side) in flow.parts for side in accused) or id(node) in about_keys
        is_part = is_part or (may_be_mapping and branch.letters == 0)
        if _asks_for_key(flow, node, accused):
            continue
        others = [side for side in sides if any(side is not one for one in accused)]
        for literal in dict.fromkeys(text for side in others for text in flow.values.texts(side)):
            decided = branch_of(flow.tree, node, through_flags=False) if literal in _MODES else branch
            speaks = _is_sign(literal) and decided.letters >= MANY_LETTERS and not branch.is_refusal
            if (is_word(literal) or speaks) and not (is_part and literal in PART_KEYS):
                yield _accused(flow, node, literal, "compares {} with", node.ops[0].op)


def _asks_for_key(flow: Flow, node: nodes.Compare, accused: list[nodes.Node]) -> bool:
    """`field in message` where `message[field]` is what is wanted."""
    owners = {name_of(side) for side in accused} - {None}
    key = name_of(node.expr)
    return bool(key) and any(
        name_of(item.node) in owners and name_of(item.arg) == key for item in flow.tree.of(nodes.Getitem)
    )


def _letter_by_letter(flow: Flow) -> Iterator[Found]:
    """`content[0] == 'p' and content[1] == 'a'`: a word, taken apart."""
    found: list[tuple[str, int]] = []
    for node in flow.tree.of(nodes.Compare):
        sides: list[nodes.Node] = [node.expr, *(operand.expr for operand in node.ops)]
        said = [side for side in sides if flow.is_tainted(side)]
        texts = [text for side in sides if side not in said for text in flow.values.texts(side)]
        single = [text for text in texts if len(text) == 1 and text.isalnum()]
        if single and said:
            found.append((single[0], node.lineno))
    if len(found) >= FEW_LETTERS:
        word = quote("".join(letter for letter, _ in found))
        yield Found(
            "C-WORD", f"The template compares what people say letter by letter with {word}.", found[0][1]
        )


def _tests_mapping(flow: Flow, test: nodes.Node) -> bool:
    return isinstance(test, nodes.Test) and test.name == "mapping" and flow.is_tainted(test.node)


def _under_mapping_test(flow: Flow) -> set[int]:
    """Comparisons in `content is mapping and 'blocks' in content`: about keys, not about words."""
    return {
        id(compare)
        for both in flow.tree.of(nodes.And)
        if any(_tests_mapping(flow, test) for test in both.find_all(nodes.Test))
        for compare in both.find_all(nodes.Compare)
    }


def _sizes(flow: Flow, node: nodes.Compare, sides: list[nodes.Node]) -> Iterator[Found]:
    """How long a message is, or which number it holds."""
    for side in sides:
        is_size = isinstance(side, nodes.Filter) and side.name in _SIZES and flow.is_tainted(side.node)
        is_number = isinstance(side, nodes.Filter) and side.name in _NUMBERS and flow.is_tainted(side.node)
        numbers = [number for other in sides if other is not side for number in flow.values.numbers(other)]
        branch = branch_of(flow.tree, node)
        for number in numbers:
            if is_size and number >= FEW_CHARACTERS:
                level = None if branch.letters >= LONG_TEXT_LETTERS else Severity.WARNING
                text = f"The template acts on messages of {number} characters{branch.described()}."
                yield Found("C-WORD", text, node.lineno, level)
            elif is_number:
                text = f"The template acts on messages that are the number {number}{branch.described()}."
                yield Found("C-WORD", text, node.lineno)


def _tests(flow: Flow) -> Iterator[Found]:
    for node in flow.tree.of(nodes.Test):
        if node.name in _HARMLESS_TESTS or not flow.is_tainted(node.node) or name_of(node.node) in flow.parts:
            continue
        literals = [text for argument in given(node) for text in flow.values.texts(argument) if is_word(text)]
        for literal in literals:
            yield _accused(flow, node, literal, f"tests {{}} ({node.name}) for", node.name)


def _method_searches(flow: Flow) -> Iterator[Found]:
    """`content.startswith('word')`, `content.split('word')`, `'word'.__eq__` through any method."""
    for call in flow.tree.of(nodes.Call):
        if not isinstance(call.node, nodes.Getattr) or call.node.attr not in _SEARCHES:
            continue
        owner, method = call.node.node, call.node.attr
        if flow.is_tainted(owner):
            searched = [text for argument in call.args[:1] for text in flow.values.texts(argument)]
        elif method not in _STRIPS and any(flow.is_tainted(argument) for argument in call.args):
            searched = flow.values.texts(owner)
        else:
            continue
        for literal in searched:
            branch = branch_of(flow.tree, call)
            speaks = _is_sign(literal) and branch.letters >= MANY_LETTERS and not branch.is_refusal
            if is_word(literal) or (speaks and method not in ("replace", "split")):
                yield _accused(flow, call, literal, f"searches {{}} ({method}) for")


def _filter_searches(flow: Flow) -> Iterator[Found]:
    """`messages | selectattr('content', 'equalto', 'word')`, `content | replace('word', ...)`."""
    for node in flow.tree.of(nodes.Filter):
        yield from _words_sought(flow, node)
        if node.name not in _SELECTING or not flow.is_tainted(node):
            continue
        first = {"replace": 0, "select": 1, "reject": 1}.get(node.name, 2)
        wanted = node.args[:1] if node.name == "replace" else node.args[first:]
        for literal in (text for argument in wanted for text in flow.values.texts(argument)):
            is_key = literal in PART_KEYS and node.name.endswith("attr")
            if is_word(literal) and not is_key:
                yield _accused(flow, node, literal, f"searches {{}} ({node.name}) for")


def _words_sought(flow: Flow, node: nodes.Filter) -> Iterator[Found]:
    """`['word'] | select('in', content)`, and messages grouped by what they say."""
    if node.name in ("select", "reject") and any(map(flow.is_tainted, node.args)):
        known = [value for value in flow.values.of(node.node) if isinstance(value, list)]
        for literal in (item for items in known for item in items if isinstance(item, str) and is_word(item)):
            yield _accused(flow, node, literal, f"searches {{}} ({node.name}) for")
    if node.name == "groupby" and any(
        CONTENT_KEYS.intersection(flow.values.texts(argument)) for argument in given(node)
    ):
        yield Found("C-WORD", "The template sorts messages by what they say.", node.lineno)


def _lookups(flow: Flow) -> Iterator[Found]:
    """A table whose key is what people say."""
    for node in flow.tree.of(nodes.Getitem):
        if not isinstance(node.arg, nodes.Slice) and flow.is_tainted(node.arg):
            yield _table(flow, node, node.node)
    for call in flow.tree.of(nodes.Call):
        is_get = isinstance(call.node, nodes.Getattr) and call.node.attr == "get"
        if is_get and isinstance(call.node, nodes.Getattr) and call.args and flow.is_tainted(call.args[0]):
            yield _table(flow, call, call.node.node)


def _table(flow: Flow, node: nodes.Node, table: nodes.Node) -> Found:
    keys = ", ".join(map(quote, flow.values.texts(table)[:5]))
    return Found(
        "C-WORD", f"The template looks up what people say in a table{keys and ' of ' + keys}.", node.lineno
    )


def _rewrites(flow: Flow) -> Iterator[Found]:
    for node in (*flow.tree.of(nodes.Filter), *flow.tree.of(nodes.Call)):
        callee = node if isinstance(node, nodes.Filter) else node.node
        name = callee.name if isinstance(callee, nodes.Filter) else getattr(callee, "attr", "")
        inner = getattr(callee, "node", None)
        if not isinstance(inner, nodes.Node) or not flow.is_tainted(inner):
            continue
        if name == "replace" and len(node.args) > 1:
            for new in flow.values.texts(node.args[1]):
                if letters(new) >= LONG_TEXT_LETTERS:
                    yield Found("C-REPLACE", f"Content is replaced by {quote(new)}.", node.lineno)
        elif name in _MUTILATIONS and _is_written(flow, node):
            yield Found("C-REPLACE", f"Content passes through {quote(name)}.", node.lineno)


def _is_written(flow: Flow, node: nodes.Node) -> bool:
    """`content | reverse` in a loop or a slice is a way of searching; written out it is another message."""
    return not any(
        isinstance(parent, (nodes.Compare, nodes.Operand))
        or (isinstance(parent, nodes.For) and child is parent.iter)
        for parent, child in flow.tree.around(node)
    )


def _talk_lengths(flow: Flow) -> Iterator[Found]:
    """A speech that begins at the n-th message: it hides from every short test."""
    for node in flow.tree.of(nodes.Compare):
        sides: list[nodes.Node] = [node.expr, *(operand.expr for operand in node.ops)]
        if not any(_counts_talk(flow, side) for side in sides):
            continue
        numbers = [number for side in sides for number in flow.values.numbers(side) if number >= LONG_TALK]
        branch = branch_of(flow.tree, node)
        if numbers and branch.letters >= LONG_TEXT_LETTERS and not branch.is_refusal:
            text = f"The template acts on conversations of {numbers[0]} messages{branch.described()}."
            yield Found("C-COUNT", text, node.lineno)


def _counts_talk(flow: Flow, node: nodes.Node) -> bool:
    if isinstance(node, nodes.Filter):
        return node.name in _SIZES and flow.is_object(node.node)
    return name_of(node) in ("loop.index", "loop.index0", "loop.length", "loop.revindex", "loop.revindex0")
