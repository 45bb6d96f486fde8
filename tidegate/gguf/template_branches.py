"""Which branch of a template a comparison opens, what that branch writes, and for whose messages it holds."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from jinja2 import nodes

from tidegate.gguf.findings import quote
from tidegate.gguf.template_taint import name_of
from tidegate.gguf.template_tree import Tree

_TAG = re.compile(r"<[^<>]*>|\[/?[A-Z_]+\]|\{[^{}]*\}")
_NEGATIVE = frozenset({"ne", "notin"})


@dataclass(frozen=True, slots=True)
class Branch:
    """What happens when a condition on a message holds."""

    line: int
    text: str
    """Ordinary text that it writes by itself, without markup."""
    is_refusal: bool = False
    """It stops with `raise_exception`."""

    @property
    def letters(self) -> int:
        return letters(self.text)

    def described(self) -> str:
        if self.letters >= 3:
            return f"; the branch in line {self.line} then writes {quote(' '.join(self.text.split()))}"
        return f"; that decides the branch in line {self.line}" if self.line else ""


NOTHING = Branch(0, "")


def letters(text: str) -> int:
    return sum(character.isalpha() for character in text)


def branch_of(tree: Tree, condition: nodes.Node, *, through_flags: bool = True) -> Branch:
    """The branch that is taken when the condition holds: the worst of those it decides, also through a variable."""
    branches = list(_branches(tree, condition, through_flags))
    return max(branches, key=lambda branch: branch.letters, default=NOTHING)


def _branches(tree: Tree, condition: nodes.Node, through_flags: bool) -> Iterator[Branch]:
    is_negative = isinstance(condition, nodes.Compare) and condition.ops[0].op in _NEGATIVE
    for parent, child in tree.around(condition):
        is_negative ^= isinstance(parent, nodes.Not)
        if isinstance(parent, nodes.If) and child is parent.test:
            taken = _body(tree, parent, is_negative)
            yield _as_branch(parent, taken)
            yield from _flagged(tree, taken) if through_flags else ()
            return
        if isinstance(parent, nodes.CondExpr) and child is parent.test:
            chosen = parent.expr2 if is_negative else parent.expr1
            yield Branch(parent.lineno, _text_of([chosen] if chosen else []))
            return
        if isinstance(parent, nodes.Assign) and child is parent.node:
            yield from _asked(tree, name_of(parent.target), is_negative)
            return
        if isinstance(parent, (nodes.If, nodes.For, nodes.Output)) and not isinstance(child, nodes.Expr):
            return


def _asked(tree: Tree, name: str | None, is_negative: bool) -> Iterator[Branch]:
    """The branches whose condition asks for a name."""
    for test in tree.of(nodes.If):
        if any(name_of(node) == name for node in tree.under(test.test)):
            yield _as_branch(test, _body(tree, test, is_negative))


def _flagged(tree: Tree, taken: list[nodes.Node]) -> Iterator[Branch]:
    """`{% set flag = true %}` in the branch: what is then written where the flag is asked for."""
    for node in taken:
        if isinstance(node, nodes.Assign) and isinstance(node.node, nodes.Const) and node.node.value:
            yield from _asked(tree, name_of(node.target), is_negative=False)


def _body(tree: Tree, test: nodes.If, is_negative: bool) -> list[nodes.Node]:
    if not is_negative:
        return test.body
    body = list(test.else_)
    owner = tree.parent(test)
    if not body and isinstance(owner, nodes.If) and test in owner.elif_:
        body = list(owner.else_)
    return body + [node for one in test.elif_ for node in one.body]


def _as_branch(test: nodes.If, body: list[nodes.Node]) -> Branch:
    line = body[0].lineno if body else test.lineno
    return Branch(line, _text_of(body), any(_refuses(node) for node in body))


def _refuses(node: nodes.Node) -> bool:
    calls = node.find_all(nodes.Call)
    return any(name_of(call.node) == "raise_exception" for call in calls)


def _text_of(body: list[nodes.Node] | list[nodes.Expr]) -> str:
    return " ".join(text for node in body for text in _written(node) if text.strip())


def _written(node: nodes.Node) -> Iterator[str]:
    """Ordinary text, not markup, written or assigned directly: not behind further conditions, not as an argument."""
    if isinstance(node, nodes.TemplateData):
        yield _TAG.sub("", node.data)
    elif isinstance(node, nodes.Const):
        if isinstance(node.value, str):
            yield _TAG.sub("", node.value)
    elif isinstance(node, (nodes.If, nodes.CondExpr)):
        if isinstance(node.test, nodes.Const):
            for child in node.iter_child_nodes():
                yield from _written(child)
    elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name):
        return
    elif not isinstance(node, (nodes.Getitem, nodes.Compare, nodes.Test)):
        for child in node.iter_child_nodes():
            yield from _written(child)


def roles_around(tree: Tree, node: nodes.Node) -> set[str]:
    """Roles that the branches around a node are limited to; empty when they are not."""
    roles: set[str] = set()
    for parent, child in tree.around(node):
        if isinstance(parent, nodes.If) and child is not parent.test:
            roles |= _roles_in(parent.test) if child in parent.body else set()
        elif isinstance(parent, nodes.And):
            roles |= _roles_in(parent)
    return roles


def _roles_in(test: nodes.Node) -> set[str]:
    """`message.role == 'tool'`, also as one part of an `and`."""
    if isinstance(test, nodes.And):
        return _roles_in(test.left) | _roles_in(test.right)
    if not isinstance(test, nodes.Compare) or test.ops[0].op not in ("eq", "in"):
        return set()
    sides = [test.expr, test.ops[0].expr]
    is_role = any(
        (isinstance(side, nodes.Getattr) and side.attr == "role")
        or (
            isinstance(side, nodes.Getitem) and isinstance(side.arg, nodes.Const) and side.arg.value == "role"
        )
        or (isinstance(side, nodes.Name) and side.name == "role")
        for side in sides
    )
    if not is_role:
        return set()
    found: set[str] = set()
    for side in sides:
        found |= {
            str(item.value) for item in side.find_all(nodes.Const) if not isinstance(side, nodes.Getitem)
        }
        if isinstance(side, nodes.Const):
            found.add(str(side.value))
    return found
