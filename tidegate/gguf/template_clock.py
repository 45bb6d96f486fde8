"""Rules about templates that act on the date, the time or chance: the shape of a time bomb. Printing a date is fine."""

import re
from collections.abc import Iterator

from jinja2 import nodes

from tidegate.gguf.template_branches import branch_of
from tidegate.gguf.template_taint import Flow
from tidegate.gguf.template_tree import Found

_DATE = re.compile(r"\b(?:19|20)\d\d\b|\b\d{1,2}[./-]\d{1,2}\b")
_MANY_SECONDS = 10**9
_KINDS = frozenset({"defined", "undefined", "none", "string", "callable", "mapping", "true", "false"})
_CHANCE = frozenset({"random", "shuffle"})
_READS = frozenset({"startswith", "endswith", "find", "index", "rfind", "count", "get", "split", "replace"})


def check_clock(flow: Flow) -> Iterator[Found]:
    for node in flow.tree.of(nodes.Compare):
        yield from _compared(flow, node)
    for test in flow.tree.of(nodes.Test):
        if test.name not in _KINDS and flow.is_clock(test.node):
            yield _acts(flow, test, f"tests the present date or time ({test.name})")
    for item in flow.tree.of(nodes.Getitem):
        if not isinstance(item.arg, nodes.Slice) and flow.is_clock(item.arg):
            yield _acts(flow, item, "looks up the present date or time in a table")
    yield from _searched(flow)
    for loop in flow.tree.of(nodes.For):
        if flow.is_clock(loop.iter) or any(flow.is_clock(part) for part in loop.iter.find_all(nodes.Expr)):
            yield Found("C-CLOCK", "The template loops over the present date or time.", loop.lineno)
    for node in flow.tree.of(nodes.Filter):
        if node.name in _CHANCE:
            yield Found("C-RANDOM", f"The template chooses by chance ({node.name}).", node.lineno)


def _searched(flow: Flow) -> Iterator[Found]:
    for call in flow.tree.of(nodes.Call):
        callee = call.node
        if isinstance(callee, nodes.Getattr) and callee.attr in _READS:
            if any(flow.is_clock(argument) for argument in call.args):
                yield _acts(flow, call, f"uses the present date or time in {callee.attr}")
            elif flow.is_clock(callee.node) and call.args and callee.attr not in ("split", "replace"):
                yield _acts(flow, call, f"searches the present date or time ({callee.attr})")


def _acts(flow: Flow, node: nodes.Node, how: str) -> Found:
    return Found("C-CLOCK", f"The template {how}{branch_of(flow.tree, node).described()}.", node.lineno)


def _compared(flow: Flow, node: nodes.Compare) -> Iterator[Found]:
    sides: list[nodes.Node] = [node.expr, *(operand.expr for operand in node.ops)]
    if any(flow.is_clock(side) for side in sides):
        shown = [
            str(value) for side in sides for value in flow.values.of(side) if isinstance(value, (str, int))
        ]
        yield _acts(
            flow, node, f"compares the present date or time{' with ' + shown[0][:40] if shown else ''}"
        )
        return
    names_date = any(isinstance(side, nodes.Name) and "date" in side.name.lower() for side in sides)
    texts = [text for side in sides if not isinstance(side, nodes.Name) for text in flow.values.texts(side)]
    dates = [text for text in texts if _DATE.search(text)]
    if names_date and dates:
        yield _acts(flow, node, f"compares a date with {dates[0][:40]!r}")
