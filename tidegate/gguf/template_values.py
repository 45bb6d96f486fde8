"""Works out what the expressions of a template can be, as far as that is small and safe. Never runs template code.

An expression has a few possible values: those of its literals, and of the names that were set to literals. Words
hidden in pieces, backwards, in lists or behind names come out whole; what is unknown has no values.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice, product
from typing import cast

from jinja2 import nodes

from tidegate.gguf.template_operations import (
    LARGEST_TEXT,
    UNKNOWN,
    Constant,
    Unknown,
    apply_function,
    apply_operator,
)
from tidegate.gguf.template_tree import Tree

MOST_VALUES = 40
MOST_COMBINATIONS = 40
MOST_TEXT_IN_ALL = 4 * 1024**2

Possible = tuple[Constant, ...]


class Values:
    """Possible values of expressions and names; `()` when nothing is known."""

    def __init__(self, tree: Tree):
        self.tree = tree
        self.names: dict[str, Possible] = {}
        self._memo: dict[int, Possible] = {}
        self._text = 0

    def add(self, name: str, found: Possible) -> bool:
        """A name can (also) have these values. Whether that was news."""
        known = self.names.get(name, ())
        new = [value for value in found if not _is_in(value, known)]
        if not new or len(known) >= MOST_VALUES:
            return False
        self.names[name] = (*known, *new)[:MOST_VALUES]
        return True

    def forget(self) -> None:
        """After names have changed, expressions are worked out anew."""
        self._memo.clear()

    def of(self, node: nodes.Node | None) -> Possible:
        if node is None:
            return ()
        known = self._memo.get(id(node))
        if known is None:
            self._memo[id(node)] = ()  # a name that is set to itself ends here
            self.tree.spend()
            known = self._limited(self._work_out(node))
            self._memo[id(node)] = known
        return known

    def constant(self, node: nodes.Node | None) -> "Constant | Unknown":
        """The one value of an expression that has only one."""
        possible = self.of(node)
        return possible[0] if len(possible) == 1 else UNKNOWN

    def texts(self, node: nodes.Node | None) -> list[str]:
        """Texts an expression can be or, if it is a list or a table, hold (as keys)."""
        found: dict[str, None] = {}
        for value in self.of(node):
            found.update(dict.fromkeys(_texts_in(value)))
        return list(found)

    def numbers(self, node: nodes.Node | None) -> list[int | float]:
        return [
            value
            for value in self.of(node)
            if isinstance(value, (int, float)) and not isinstance(value, bool)
        ]

    def _limited(self, found: Iterator["Constant | Unknown"] | Possible) -> Possible:
        kept: list[Constant] = []
        for value in islice(found, MOST_COMBINATIONS):
            if isinstance(value, Unknown) or _size(value) > LARGEST_TEXT or _is_in(value, kept):
                continue
            kept.append(value)
            self._text += _size(value)
        # Beyond this much text nothing more is worked out: the memory stays bounded.
        return tuple(kept) if self._text <= MOST_TEXT_IN_ALL else ()

    def _work_out(self, node: nodes.Node) -> Iterator["Constant | Unknown"] | Possible:
        if isinstance(node, nodes.Const):
            content: object = node.value
            return (content,) if isinstance(content, (str, int, float, bool)) or content is None else ()
        if isinstance(node, nodes.TemplateData):
            return (node.data,)
        if isinstance(node, nodes.Name):
            return self.names.get(node.name, ())
        if isinstance(node, nodes.NSRef):
            return self.names.get(f"{node.name}.{node.attr}", ())
        if isinstance(node, (nodes.List, nodes.Tuple)):
            return self._combined(node.items, list)
        if isinstance(node, nodes.Dict):
            return self._table(node)
        if isinstance(node, nodes.Concat):
            return self._combined(node.nodes, lambda given: "".join(map(str, given)))
        if isinstance(node, nodes.BinExpr):
            return self._binary(node)
        if isinstance(node, nodes.UnaryExpr):
            return self._combined([node.node], lambda given: apply_operator(node.operator, 0, given[0]))
        if isinstance(node, nodes.CondExpr):
            return (*self.of(node.expr1), *self.of(node.expr2))
        return self._access(node)

    def _access(self, node: nodes.Node) -> Iterator["Constant | Unknown"] | Possible:
        if isinstance(node, nodes.Filter):
            given = [*node.args, *(pair.value for pair in node.kwargs)]
            return self._combined(
                [node.node, *given], lambda parts: apply_function(node.name, parts[0], parts[1:])
            )
        if isinstance(node, nodes.Call):
            return self._called(node)
        if isinstance(node, nodes.Getattr):
            if isinstance(node.node, nodes.Name) and f"{node.node.name}.{node.attr}" in self.names:
                return self.names[f"{node.node.name}.{node.attr}"]
            return self._combined([node.node], lambda given: _item(given[0], node.attr))
        if isinstance(node, nodes.Getitem):
            if isinstance(node.arg, nodes.Slice):
                return self._slice(node.node, node.arg)
            return self._combined([node.node, node.arg], lambda given: _item(given[0], given[1]))
        return ()

    def _binary(self, node: nodes.BinExpr) -> Iterator["Constant | Unknown"] | Possible:
        if isinstance(node, (nodes.And, nodes.Or)):
            return (*self.of(node.left), *self.of(node.right))
        return self._combined([node.left, node.right], lambda given: apply_operator(node.operator, *given))

    def _called(self, node: nodes.Call) -> Iterator["Constant | Unknown"] | Possible:
        callee = node.node
        if isinstance(callee, nodes.Getattr):
            name = callee.attr
            return self._combined(
                [callee.node, *node.args], lambda given: apply_function(name, given[0], given[1:])
            )
        if isinstance(callee, nodes.Name) and callee.name in ("dict", "namespace") and node.kwargs:
            keys = [pair.key for pair in node.kwargs]
            return self._combined(
                [pair.value for pair in node.kwargs], lambda given: dict(zip(keys, given, strict=True))
            )
        # What a macro writes is known under the name of the macro with brackets.
        return self.names.get(f"{callee.name}()", ()) if isinstance(callee, nodes.Name) else ()

    def _table(self, node: nodes.Dict) -> Iterator["Constant | Unknown"]:
        """A table with all keys known; values that are not known are None."""
        keys = [self.of(pair.key) for pair in node.items]
        if all(len(one) == 1 for one in keys):
            values = [self.of(pair.value) for pair in node.items]
            yield {str(key[0]): value[0] if value else None for key, value in zip(keys, values, strict=True)}

    def _slice(self, text: nodes.Node, bounds: nodes.Slice) -> Iterator["Constant | Unknown"]:
        parts: list[int | None] = []
        for bound in (bounds.start, bounds.stop, bounds.step):
            number = self.constant(bound)
            if bound is not None and not isinstance(number, int):
                return
            parts.append(number if isinstance(number, int) else None)
        if parts[2] != 0:
            for value in self.of(text):
                if isinstance(value, (str, list)):
                    yield value[parts[0] : parts[1] : parts[2]]

    def _combined(
        self,
        parts: Sequence[nodes.Node | None],
        compute: Callable[[Sequence[Constant]], "Constant | Unknown"],
    ) -> Iterator["Constant | Unknown"]:
        """The results for every combination of what the parts can be, as far as there are few."""
        possible = [self.of(part) for part in parts]
        for given in islice(product(*possible), MOST_COMBINATIONS):
            self.tree.spend()
            yield compute(given)


def _item(owner: Constant, key: Constant) -> "Constant | Unknown":
    if isinstance(owner, dict):
        return owner.get(key, UNKNOWN) if isinstance(key, str) else UNKNOWN
    is_place = isinstance(key, int) and isinstance(owner, (str, list)) and -len(owner) <= key < len(owner)
    return cast("str | list[Constant]", owner)[cast("int", key)] if is_place else UNKNOWN


def _texts_in(value: Constant) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for item in value:
            yield from _texts_in(item)


def _size(value: Constant) -> int:
    """Characters of a value, or more than allowed when it is too large to count."""
    waiting: list[Constant] = [value]
    size = 0
    while waiting and size <= LARGEST_TEXT:
        one = waiting.pop()
        size += len(one) if isinstance(one, str) else 1
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
    return size


def _is_in(value: Constant, known: Sequence[Constant]) -> bool:
    """Membership that keeps 1, 1.0 and True apart."""
    return any(type(one) is type(value) and one == value for one in known)
