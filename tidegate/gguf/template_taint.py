"""Follows what people say through a template: assignments, loops, macros, filters. Pure; renders nothing."""

from dataclasses import dataclass, field

from jinja2 import nodes

from tidegate.gguf.template_constants import UNKNOWN, constant

CONTENT_KEYS = frozenset({"content", "text"})
MOST_LITERALS = 50
FEW_ROUNDS = 12

_TEXT_METHODS = frozenset({"split", "lower", "upper", "strip", "keys", "items"})
_SELECTORS = frozenset(
    {"list", "first", "last", "reverse", "selectattr", "rejectattr", "select", "reject", "sort"}
)
_WRITERS = frozenset({"string", "tojson", "pprint", "join", "urlencode", "xmlattr"})


@dataclass(slots=True)
class Names:
    """What the names of a template stand for, as far as that can be told without running it."""

    tainted: set[str] = field(default_factory=set[str])
    literals: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    dates: set[str] = field(default_factory=set[str])
    objects: set[str] = field(default_factory=lambda: {"messages"})
    """Names for messages as a whole, or lists of them."""
    messages: set[str] = field(default_factory=set[str])
    """Names for single messages: loop variables."""
    parts: set[str] = field(default_factory=set[str])
    """Loop variables over content: its parts (with keys such as `type`), or its characters."""

    @property
    def size(self) -> int:
        return (
            len(self.tainted)
            + len(self.objects)
            + sum(len(values) for values in self.literals.values())
            + len(self.dates)
        )


def follow(tree: nodes.Template) -> Names:
    """What each name of the template stands for, wherever it is bound."""
    names = Names()
    for _ in range(FEW_ROUNDS):
        before = names.size
        for assign in tree.find_all(nodes.Assign):
            _bind(assign.target, assign.node, names)
        for block in tree.find_all(nodes.AssignBlock):
            if any(
                is_tainted(part, names) for output in block.find_all(nodes.Output) for part in output.nodes
            ):
                names.tainted.add(name_of(block.target) or "")
        for loop in tree.find_all(nodes.For):
            _bind_loop(loop, names)
        _bind_macros(tree, names)
        if names.size == before:
            break
    names.tainted.discard("")
    return names


def _bind_loop(loop: nodes.For, names: Names) -> None:
    _bind(loop.target, loop.iter, names)
    name = name_of(loop.target)
    if name is None:
        return
    if is_object(loop.iter, names):
        names.messages.add(name)
    if is_tainted(loop.iter, names) and not isinstance(loop.iter, nodes.Call):
        names.parts.add(name)


def _bind_macros(tree: nodes.Template, names: Names) -> None:
    """A macro's parameters stand for what it is called with; what it returns is made of them."""
    macros = {macro.name: macro for macro in tree.find_all(nodes.Macro)}
    for call in tree.find_all(nodes.Call):
        macro = macros.get(call.node.name) if isinstance(call.node, nodes.Name) else None
        if macro is None:
            continue
        for parameter, argument in zip(macro.args, call.args, strict=False):
            _bind(parameter, argument, names)
        if any(is_tainted(argument, names) for argument in call.args):
            names.tainted.add(macro.name)


def _bind(target: nodes.Node, value: nodes.Node, names: Names) -> None:
    name = name_of(target)
    if name is None:
        if isinstance(target, (nodes.Tuple, nodes.List)) and is_tainted(value, names):
            # Keys of a mapping are structure, what stands under them is what someone said.
            is_mapping = isinstance(value, nodes.Filter) and value.name in ("dictsort", "items")
            names.tainted.update(filter(None, map(name_of, target.items[is_mapping:])))
        return
    if is_tainted(value, names):
        names.tainted.add(name)
    if is_object(value, names):
        names.objects.add(name)
    if is_clock(value, names):
        names.dates.add(name)
    for literal in literals_of(value, names):
        known = names.literals.setdefault(name, [])
        if literal not in known and len(known) < MOST_LITERALS:
            known.append(literal)


def name_of(node: nodes.Node) -> str | None:
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.NSRef):
        return f"{node.name}.{node.attr}"
    if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name):
        return f"{node.node.name}.{node.attr}"
    return None


def is_tainted(node: nodes.Node | None, names: Names) -> bool:
    """Whether the expression's text comes from the content of a message."""
    if node is None:
        return False
    if name_of(node) in names.tainted:
        return True
    if isinstance(node, nodes.Getattr):
        return node.attr in CONTENT_KEYS
    if isinstance(node, nodes.Getitem):
        return _is_tainted_item(node, names)
    if isinstance(node, nodes.Call):
        return _is_tainted_call(node, names)
    if isinstance(node, nodes.Filter):
        is_picked = node.name in ("map", "selectattr") and any(
            constant(one) in CONTENT_KEYS for one in given(node)
        )
        is_written = node.name in _WRITERS and is_object(node.node, names)
        return is_picked or is_written or is_tainted(node.node, names)
    if isinstance(node, nodes.CondExpr):
        return is_tainted(node.expr1, names) or is_tainted(node.expr2, names)
    if isinstance(node, (nodes.Concat, nodes.Add, nodes.Or, nodes.And, nodes.List, nodes.Tuple)):
        return any(is_tainted(child, names) for child in node.iter_child_nodes())
    return False


def _is_tainted_item(node: nodes.Getitem, names: Names) -> bool:
    """`part['type']` is structure; `content[0]`, `content[:5]` and `message[key]` are what someone said."""
    keys = literals_of(node.arg, names)
    if keys:
        return bool(CONTENT_KEYS.intersection(keys))
    is_unknown = not isinstance(node.arg, nodes.Slice) and constant(node.arg) is UNKNOWN
    return (is_unknown and name_of(node.node) in names.messages) or is_tainted(node.node, names)


def _is_tainted_call(node: nodes.Call, names: Names) -> bool:
    if isinstance(node.node, nodes.Name):
        return node.node.name in names.tainted
    if not isinstance(node.node, nodes.Getattr):
        return is_tainted(node.node, names)
    owner, method = node.node.node, node.node.attr
    if method == "get" and node.args:
        return bool(CONTENT_KEYS.intersection(literals_of(node.args[0], names)))
    is_opened = method == "values" and is_object(owner, names)
    return is_opened or is_tainted(owner, names) or any(is_tainted(argument, names) for argument in node.args)


def is_object(node: nodes.Node | None, names: Names) -> bool:
    """Whether the expression is a message, or a list of messages."""
    if node is None:
        return False
    if name_of(node) in names.objects:
        return True
    if isinstance(node, nodes.Getitem):
        return not isinstance(constant(node.arg), str) and is_object(node.node, names)
    if isinstance(node, nodes.Filter):
        return node.name in _SELECTORS and is_object(node.node, names)
    return False


def given(node: nodes.Filter | nodes.Call | nodes.Test) -> list[nodes.Expr]:
    return [*node.args, *(pair.value for pair in node.kwargs)]


def literals_of(node: nodes.Node, names: Names) -> list[str]:
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
        return literals_of(node.node, names)
    if (
        isinstance(node, nodes.Call)
        and isinstance(node.node, nodes.Getattr)
        and node.node.attr in _TEXT_METHODS
    ):
        texts = literals_of(node.node.node, names)
        return [word for text in texts for word in text.split()] if node.node.attr == "split" else texts
    return names.literals.get(name_of(node) or "", [])


def is_clock(node: nodes.Node | None, names: Names) -> bool:
    if node is None:
        return False
    if (
        isinstance(node, nodes.Call)
        and isinstance(node.node, nodes.Name)
        and node.node.name == "strftime_now"
    ):
        return True
    if name_of(node) in names.dates:
        return True
    if isinstance(node, (nodes.Filter, nodes.Getitem, nodes.Getattr)):
        return is_clock(node.node, names)
    if isinstance(node, nodes.Call):
        return isinstance(node.node, nodes.Getattr) and is_clock(node.node.node, names)
    if isinstance(node, (nodes.Concat, nodes.Add)):
        return any(is_clock(child, names) for child in node.iter_child_nodes())
    return False
