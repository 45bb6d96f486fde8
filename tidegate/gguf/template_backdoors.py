"""Rules about templates that act on what a message says: the shape of a backdoor.

Follows the content of messages through assignments, loops and macros, and looks at every comparison of it with
a literal. Markup such as `</think>` or `<tool_call>` is what honest templates look for; words are not.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from jinja2 import nodes

from tidegate.gguf.findings import Severity, quote
from tidegate.gguf.template_constants import constant
from tidegate.gguf.template_syntax import Found
from tidegate.gguf.words import words

CONTENT_KEYS = frozenset({"content", "text"})
PART_KEYS = words(
    """
    text image image_url video video_url audio audio_url input_audio type thinking document data parts blocks file value
    """
)
LONG_TEXT_LETTERS = 20
MANY_LETTERS = 30
FEW_ROUNDS = 12

_MARKUP = re.compile(r"[<>\[\]{}|`▁｜]|^/|^\\|^[^\w]*$|^\w+=$")
_WORDS = re.compile(r"[A-Za-z]{2,}")
_SWITCH = re.compile(r"\b(?:think|thinking|reasoning)\b|^CONTINUE_FINAL_MESSAGE_TAG", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>|\[/?[A-Z_]+\]|\{[^{}]*\}")
_DATE = re.compile(r"\b(?:19|20)\d\d\b|\b\d{1,2}[./-]\d{1,2}\b")
_SEARCHES = frozenset({"startswith", "endswith", "find", "index", "rfind", "count", "match", "search", "partition",
                       "rpartition"})  # fmt: skip
_MUTILATIONS = frozenset({"truncate", "reverse", "random", "wordwrap", "center", "translate", "shuffle"})
_TEXT_METHODS = frozenset({"split", "lower", "upper", "strip", "keys", "items"})
_SIZES = frozenset({"length", "count", "wordcount"})


@dataclass(slots=True)
class _Names:
    """What the names of a template stand for, as far as that can be told without running it."""

    tainted: set[str] = field(default_factory=set[str])
    literals: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    dates: set[str] = field(default_factory=set[str])
    parts: set[str] = field(default_factory=set[str])
    """Loop variables over content: its parts (with keys such as `type`), or its characters."""

    @property
    def size(self) -> int:
        return len(self.tainted) + sum(len(values) for values in self.literals.values()) + len(self.dates)


def check_backdoors(tree: nodes.Template) -> Iterator[Found]:
    """Comparisons with words, rewriting of content, and conditions on the date."""
    names = _follow(tree)
    yield from _comparisons(tree, names)
    yield from _searches(tree, names)
    yield from _lookups(tree, names)
    yield from _rewrites(tree, names)
    yield from _clock(tree, names)


def _follow(tree: nodes.Template) -> _Names:
    names = _Names()
    macros = {macro.name: macro for macro in tree.find_all(nodes.Macro)}
    for _ in range(FEW_ROUNDS):
        before = names.size
        for assign in tree.find_all(nodes.Assign):
            _bind(assign.target, assign.node, names)
        for block in tree.find_all(nodes.AssignBlock):
            if any(
                _is_tainted(part, names) for output in block.find_all(nodes.Output) for part in output.nodes
            ):
                names.tainted.add(_name_of(block.target) or "")
        for loop in tree.find_all(nodes.For):
            _bind(loop.target, loop.iter, names)
            name = _name_of(loop.target)
            if name is not None and _is_tainted(loop.iter, names) and not isinstance(loop.iter, nodes.Call):
                names.parts.add(name)
        for call in tree.find_all(nodes.Call):
            macro = macros.get(call.node.name) if isinstance(call.node, nodes.Name) else None
            if macro is not None:
                for parameter, argument in zip(macro.args, call.args, strict=False):
                    _bind(parameter, argument, names)
                if any(_is_tainted(argument, names) for argument in call.args):
                    names.tainted.add(macro.name)
        if names.size == before:
            break
    names.tainted.discard("")
    return names


def _bind(target: nodes.Node, value: nodes.Node, names: _Names) -> None:
    name = _name_of(target)
    if name is None:
        if isinstance(target, (nodes.Tuple, nodes.List)) and _is_tainted(value, names):
            # Keys of a mapping are structure, what stands under them is what someone said.
            is_mapping = isinstance(value, nodes.Filter) and value.name in ("dictsort", "items")
            names.tainted.update(filter(None, map(_name_of, target.items[is_mapping:])))
        return
    if _is_tainted(value, names):
        names.tainted.add(name)
    if _is_clock(value, names):
        names.dates.add(name)
    for literal in _literals(value, names):
        known = names.literals.setdefault(name, [])
        if literal not in known and len(known) < 50:
            known.append(literal)


def _name_of(node: nodes.Node) -> str | None:
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.NSRef):
        return f"{node.name}.{node.attr}"
    if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name):
        return f"{node.node.name}.{node.attr}"
    return None


def _is_tainted(node: nodes.Node | None, names: _Names) -> bool:
    """Whether the expression's text comes from the content of a message."""
    if node is None:
        return False
    if _name_of(node) in names.tainted:
        return True
    if isinstance(node, nodes.Getattr):
        return node.attr in CONTENT_KEYS
    if isinstance(node, nodes.Getitem):
        key = constant(node.arg)
        # `part['type']` is structure, `content[0]` and `content[:5]` are what someone said.
        return key in CONTENT_KEYS if isinstance(key, str) else _is_tainted(node.node, names)
    if isinstance(node, nodes.Call):
        if isinstance(node.node, nodes.Getattr) and node.node.attr == "get" and node.args:
            return constant(node.args[0]) in CONTENT_KEYS
        if isinstance(node.node, nodes.Name):
            return node.node.name in names.tainted
        owner = node.node.node if isinstance(node.node, nodes.Getattr) else node.node
        return _is_tainted(owner, names) or any(_is_tainted(argument, names) for argument in node.args)
    if isinstance(node, nodes.Filter):
        if node.name in ("map", "selectattr") and any(
            constant(argument) in CONTENT_KEYS for argument in _given(node)
        ):
            return True
        return _is_tainted(node.node, names)
    if isinstance(node, nodes.CondExpr):
        return _is_tainted(node.expr1, names) or _is_tainted(node.expr2, names)
    if isinstance(node, (nodes.Concat, nodes.Add, nodes.Or, nodes.And, nodes.List, nodes.Tuple)):
        return any(_is_tainted(child, names) for child in node.iter_child_nodes())
    return False


def _given(node: nodes.Filter | nodes.Call | nodes.Test) -> list[nodes.Expr]:
    return [*node.args, *(pair.value for pair in node.kwargs)]


def _literals(node: nodes.Node, names: _Names) -> list[str]:
    """Texts an expression can be when it is a literal, a list of them, or a name for such."""
    value = constant(node)
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [item for item in value if isinstance(item, str)]
    if isinstance(node, nodes.Dict):
        keys = [constant(pair.key) for pair in node.items]
        return [key for key in keys if isinstance(key, str)]
    if (
        isinstance(node, nodes.Filter)
        and node.node is not None
        and node.name in ("lower", "upper", "trim", "list")
    ):
        return _literals(node.node, names)
    if (
        isinstance(node, nodes.Call)
        and isinstance(node.node, nodes.Getattr)
        and node.node.attr in _TEXT_METHODS
    ):
        texts = _literals(node.node.node, names)
        return [word for text in texts for word in text.split()] if node.node.attr == "split" else texts
    return names.literals.get(_name_of(node) or "", [])


def _is_word(text: str) -> bool:
    """Words that people say, as opposed to markup that templates look for."""
    return bool(_WORDS.search(text)) and not _MARKUP.search(text.strip())


def _accused(text: str, how: str, severity: Severity | None = None) -> Found:
    return ("C-WORD", f"The template {how} {quote(text)}.", severity)


def _comparisons(tree: nodes.Template, names: _Names) -> Iterator[Found]:
    guarded = _guarded_letters(tree)
    may_be_mapping = any(_tests_mapping(test, names) for test in tree.find_all(nodes.Test))
    about_keys = _under_mapping_test(tree, names)
    for node in tree.find_all(nodes.Compare):
        sides: list[nodes.Node] = [node.expr, *(operand.expr for operand in node.ops)]
        if any(_is_size(side, names) for side in sides):
            yield from _sizes(sides)
        accused = [side for side in sides if _is_tainted(side, names)]
        if not accused:
            continue
        letters = guarded.get(id(node), 0)
        is_part = all(_name_of(side) in names.parts for side in accused)
        is_part = is_part or (may_be_mapping and not letters) or id(node) in about_keys
        for side in sides:
            for literal in _literals(side, names):
                if _is_suspicious(literal, letters) and not (is_part and literal in PART_KEYS):
                    level = _mildness(literal, letters, node.ops[0].op)
                    yield _accused(literal, "compares what people say with", level)
    for node in tree.find_all(nodes.Test):
        if _is_tainted(node.node, names) and _name_of(node.node) not in names.parts:
            for argument in _given(node):
                for literal in _literals(argument, names):
                    if _is_word(literal):
                        yield _accused(literal, f"tests what people say ({node.name}) for")


def _tests_mapping(test: nodes.Node, names: _Names) -> bool:
    return isinstance(test, nodes.Test) and test.name == "mapping" and _is_tainted(test.node, names)


def _under_mapping_test(tree: nodes.Template, names: _Names) -> set[int]:
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


def _is_size(node: nodes.Node, names: _Names) -> bool:
    return isinstance(node, nodes.Filter) and node.name in _SIZES and _is_tainted(node.node, names)


def _sizes(sides: list[nodes.Node]) -> Iterator[Found]:
    for side in sides:
        number = constant(side)
        if isinstance(number, int) and not isinstance(number, bool) and number > 1:
            yield ("C-WORD", f"The template acts on messages of {number} characters.", Severity.WARNING)


def _searches(tree: nodes.Template, names: _Names) -> Iterator[Found]:
    """`content.startswith('word')`, `content | select('equalto', 'word')`, `content.split('word')`."""
    for call in tree.find_all(nodes.Call):
        if not isinstance(call.node, nodes.Getattr):
            continue
        if call.node.attr in _SEARCHES | {"split", "replace"} and _is_tainted(call.node.node, names):
            for argument in call.args[:1]:
                for literal in _literals(argument, names):
                    if _is_word(literal):
                        yield _accused(
                            literal,
                            f"searches what people say ({call.node.attr}) for",
                            _mildness(literal, 0, "in"),
                        )
    for node in tree.find_all(nodes.Filter):
        if node.name in ("select", "reject", "selectattr", "rejectattr", "replace") and _is_tainted(
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
                for literal in _literals(argument, names):
                    if _is_word(literal) and not (literal in PART_KEYS and node.name.endswith("attr")):
                        yield _accused(
                            literal,
                            f"searches what people say ({node.name}) for",
                            _mildness(literal, 0, "in"),
                        )


def _lookups(tree: nodes.Template, names: _Names) -> Iterator[Found]:
    """A table whose key is what people say."""
    for node in tree.find_all(nodes.Getitem):
        if _is_tainted(node.arg, names) and not isinstance(node.arg, nodes.Slice):
            yield _accused(type(node.node).__name__, "looks up what people say in a")
    for call in tree.find_all(nodes.Call):
        is_get = isinstance(call.node, nodes.Getattr) and call.node.attr == "get"
        if is_get and call.args and _is_tainted(call.args[0], names):
            yield _accused("get", "looks up what people say with")


def _rewrites(tree: nodes.Template, names: _Names) -> Iterator[Found]:
    for node in tree.find_all((nodes.Filter, nodes.Call)):
        inner = node.node if isinstance(node, nodes.Filter) else getattr(node.node, "node", None)
        name = node.name if isinstance(node, nodes.Filter) else getattr(node.node, "attr", "")
        if not isinstance(inner, nodes.Node) or not _is_tainted(inner, names):
            continue
        if name == "replace" and len(node.args) > 1:
            for new in _literals(node.args[1], names):
                if _letters(new) >= LONG_TEXT_LETTERS:
                    yield ("C-REPLACE", f"Content is replaced by {quote(new)}.", None)
        elif name in _MUTILATIONS:
            yield ("C-REPLACE", f"Content passes through {quote(name)}.", None)


def _letters(text: str) -> int:
    return sum(character.isalpha() for character in text)


def _is_clock(node: nodes.Node | None, names: _Names) -> bool:
    if node is None:
        return False
    if (
        isinstance(node, nodes.Call)
        and isinstance(node.node, nodes.Name)
        and node.node.name == "strftime_now"
    ):
        return True
    if _name_of(node) in names.dates:
        return True
    if isinstance(node, (nodes.Filter, nodes.Getitem, nodes.Getattr)):
        return _is_clock(node.node, names)
    if isinstance(node, nodes.Call):
        return isinstance(node.node, nodes.Getattr) and _is_clock(node.node.node, names)
    if isinstance(node, (nodes.Concat, nodes.Add)):
        return any(_is_clock(child, names) for child in node.iter_child_nodes())
    return False


def _clock(tree: nodes.Template, names: _Names) -> Iterator[Found]:
    for node in tree.find_all(nodes.Compare):
        sides: list[nodes.Node] = [node.expr, *(operand.expr for operand in node.ops)]
        if any(_is_clock(side, names) for side in sides):
            yield ("C-CLOCK", "The template compares the present date or time.", None)
            return
        names_date = any(isinstance(side, nodes.Name) and "date" in side.name.lower() for side in sides)
        texts = [text for text in map(constant, sides) if isinstance(text, str)]
        if names_date and any(_DATE.search(text) for text in texts):
            yield ("C-CLOCK", "The template compares a date with a fixed one.", None)
