"""Rules about macros and loops that call themselves. Descending into a structure ends; counting does not have to.

Engines have no limit of their own: a deep recursion overflows the stack of llama.cpp and ends the server.
"""

from collections.abc import Iterator

from jinja2 import nodes

from tidegate.gguf.findings import quote
from tidegate.gguf.template_taint import Flow, name_of
from tidegate.gguf.template_tree import Found

MOST_STEPS = 8


def check_recursion(flow: Flow) -> Iterator[Found]:
    macros = {macro.name: macro for macro in flow.tree.of(nodes.Macro)}
    calls = {
        name: [call for call in macro.find_all(nodes.Call) if name_of(call.node) in macros]
        for name, macro in macros.items()
    }
    for name, macro in macros.items():
        for call in calls[name]:
            if name in _reached(name_of(call.node) or "", calls):
                yield from _judge(flow, macro, call)
    for loop in flow.tree.of(nodes.For):
        if loop.recursive:
            yield from _recursive_loop(flow, loop)


def _reached(start: str, calls: dict[str, list[nodes.Call]]) -> set[str]:
    """The macros that a call of `start` can lead to, itself included."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += [name_of(call.node) or "" for call in calls.get(name, ())]
    return seen


def _judge(flow: Flow, macro: nodes.Macro, call: nodes.Call) -> Iterator[Found]:
    arguments = [*call.args, *(pair.value for pair in call.kwargs)]
    parameters = {argument.name for argument in macro.args}
    if any(_descends(argument, _derived(macro, parameters), parameters) for argument in arguments):
        return
    inner = [parent for parent, _ in flow.tree.around(call)]
    inner = inner[: inner.index(macro)]
    parts = [part for argument in arguments for part in flow.tree.under(argument)]
    if any(isinstance(part, (nodes.BinExpr, nodes.Concat)) for part in parts):
        how = "with a counted or growing value"
    elif not any(isinstance(parent, (nodes.If, nodes.CondExpr, nodes.For)) for parent in inner):
        how = "without end"
    elif all(isinstance(argument, nodes.Const) or name_of(argument) in parameters for argument in arguments):
        how = "with nothing that changes"
    else:
        return
    yield Found("C-BOMB", f"The macro {quote(macro.name)} calls itself {how}.", call.lineno)


def _derived(owner: nodes.Macro | nodes.For, known: set[str]) -> set[str]:
    """Names that stand for parts of the known ones, or parts of parts."""
    found = set(known)
    for _ in range(MOST_STEPS):
        before = len(found)
        for loop in owner.find_all(nodes.For):
            if _root(loop.iter) in found:
                found |= _targets(loop.target)
        for assign in owner.find_all(nodes.Assign):
            if _root(assign.node) in found:
                found |= _targets(assign.target)
        if len(found) == before:
            break
    return found


def _targets(target: nodes.Node) -> set[str]:
    items = target.items if isinstance(target, (nodes.Tuple, nodes.List)) else [target]
    return {name for item in items if (name := name_of(item))}


def _root(node: nodes.Node) -> str | None:
    """`a` of `a.b[0].get('c') | list`."""
    while isinstance(node, (nodes.Getattr, nodes.Getitem, nodes.Filter, nodes.Call)):
        if node.node is None or (isinstance(node, nodes.Call) and not isinstance(node.node, nodes.Getattr)):
            return None
        node = node.node
    return node.name if isinstance(node, nodes.Name) else None


def _descends(argument: nodes.Node, derived: set[str], parameters: set[str]) -> bool:
    """A part of something that was passed, or a name for one: descending ends where the structure ends."""
    if isinstance(argument, nodes.Name):
        return argument.name in derived - parameters
    is_part = any(isinstance(part, (nodes.Getattr, nodes.Getitem)) for part in argument.find_all(nodes.Expr))
    return (isinstance(argument, (nodes.Getattr, nodes.Getitem)) and _root(argument) in derived) or (
        is_part and isinstance(argument, (nodes.Filter, nodes.Call)) and _root(argument) in derived
    )


def _recursive_loop(flow: Flow, loop: nodes.For) -> Iterator[Found]:
    inside = _derived(loop, _targets(loop.target))
    for call in loop.find_all(nodes.Call):
        if name_of(call.node) == "loop" and not any(_root(one) in inside for one in call.args):
            yield Found("C-BOMB", "A recursive loop does not descend into its items.", call.lineno)
