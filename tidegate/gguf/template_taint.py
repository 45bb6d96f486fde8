"""Follows what people say, and the clock, through a template: assignments, loops, macros, filters. Renders nothing."""

from collections.abc import Iterator

from jinja2 import nodes

from tidegate.gguf.template_operations import UNKNOWN, Constant
from tidegate.gguf.template_tree import Tree
from tidegate.gguf.template_values import Values

CONTENT_KEYS = frozenset({"content", "text", "reasoning_content"})
MOST_ROUNDS = 10

_SELECTORS = frozenset(
    {"list", "first", "last", "reverse", "selectattr", "rejectattr", "select", "reject", "sort"}
)
_WRITERS = frozenset({"string", "tojson", "pprint", "join", "urlencode", "xmlattr"})
_JOINED = (nodes.Concat, nodes.Add, nodes.Or, nodes.And, nodes.List, nodes.Tuple, nodes.Mod, nodes.Mul)

Binding = tuple[nodes.Node, nodes.Node | None]


def name_of(node: nodes.Node | None) -> str | None:
    """A plain name, or a field of one such as `ns.text`."""
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.NSRef):
        return f"{node.name}.{node.attr}"
    if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name):
        return f"{node.node.name}.{node.attr}"
    return None


def given(node: nodes.Filter | nodes.Call | nodes.Test) -> list[nodes.Expr]:
    return [*node.args, *(pair.value for pair in node.kwargs)]


class Flow:
    """What the names of a template stand for, wherever they are bound."""

    def __init__(self, tree: Tree):
        self.tree = tree
        self.values = Values(tree)
        self.tainted: set[str] = set()
        self.clocks: set[str] = set()
        self.objects: set[str] = {"messages"}
        """Names for messages as a whole, or lists of them."""
        self.messages: set[str] = set()
        """Names for single messages: loop variables."""
        self.parts: set[str] = set()
        """Loop variables over content: its parts (with keys such as `type`), or its characters."""
        bindings = list(self._bindings())
        for _ in range(MOST_ROUNDS):
            self.values.forget()
            news = [self._bind(target, value) for target, value in bindings]
            news += [self._bind_loop(loop) for loop in tree.of(nodes.For)]
            news += [self._bind_block(block) for block in tree.of(nodes.AssignBlock)]
            news += [self._bind_macro(macro) for macro in tree.of(nodes.Macro)]
            if not any(news):
                break
        self.values.forget()

    def _bindings(self) -> Iterator[Binding]:
        for assign in self.tree.of(nodes.Assign):
            yield assign.target, assign.node
            if isinstance(assign.node, nodes.Call) and name_of(assign.node.node) == "namespace":
                owner = name_of(assign.target) or ""
                yield from ((nodes.NSRef(owner, pair.key), pair.value) for pair in assign.node.kwargs)
        for scope in self.tree.of(nodes.With):
            yield from zip(scope.targets, scope.values, strict=False)
        macros = {macro.name: macro for macro in self.tree.of(nodes.Macro)}
        for macro in macros.values():
            yield from zip(reversed(macro.args), reversed(macro.defaults), strict=False)
        for call in self.tree.of(nodes.Call):
            macro = macros.get(call.node.name) if isinstance(call.node, nodes.Name) else None
            if macro is not None:
                yield from zip(macro.args, call.args, strict=False)
                yield from ((nodes.Name(pair.key, "param"), pair.value) for pair in call.kwargs)

    def _bind(self, target: nodes.Node, value: nodes.Node | None) -> bool:
        name = name_of(target)
        if name is None:
            return self._bind_several(target, value)
        news = _add(self.tainted, name, self.is_tainted(value))
        news |= _add(self.objects, name, self.is_object(value))
        news |= _add(self.clocks, name, self.is_clock(value))
        return news | self.values.add(name, self.values.of(value))

    def _bind_several(self, target: nodes.Node, value: nodes.Node | None) -> bool:
        """`key, value = ...`: of a mapping, keys are structure, what stands under them is what someone said."""
        if not isinstance(target, (nodes.Tuple, nodes.List)):
            return False
        names = [name_of(item) for item in target.items]
        is_mapping = _callee(value) in ("dictsort", "items")
        is_said = self.is_tainted(value) or (is_mapping and self.is_object(_subject(value)))
        news = [_add(self.tainted, name, is_said) for name in names[is_mapping:] if name]
        for row in self._rows(value):
            if len(row) == len(names):
                news += [
                    self.values.add(name, (item,)) for name, item in zip(names, row, strict=True) if name
                ]
        return any(news)

    def _rows(self, value: nodes.Node | None) -> Iterator[list[Constant]]:
        """What several names are set to: the value itself, or each of its items in a loop."""
        for known in self.values.of(value):
            if isinstance(known, list):
                yield known
                yield from (row for row in known if isinstance(row, list))

    def _bind_loop(self, loop: nodes.For) -> bool:
        name = name_of(loop.target)
        if name is None:
            return self._bind_several(loop.target, loop.iter)
        news = _add(self.tainted, name, self.is_tainted(loop.iter))
        news |= _add(self.objects, name, self.is_object(loop.iter))
        news |= _add(self.messages, name, self.is_object(loop.iter))
        is_over_content = self.is_tainted(loop.iter) and not isinstance(loop.iter, nodes.Call)
        news |= _add(self.parts, name, is_over_content)
        for value in self.values.of(loop.iter):
            items = tuple(value) if isinstance(value, (list, dict, str)) else ()
            news |= self.values.add(name, items)
        return news

    def _bind_block(self, block: nodes.AssignBlock) -> bool:
        """`{% set name %}...{% endset %}`."""
        name = name_of(block.target) or ""
        written = [part for node in block.body for part in self._written(node)]
        news = _add(self.tainted, name, any(self.is_tainted(part) for part in written))
        texts = [self.values.constant(part) for part in written]
        if texts and all(isinstance(text, str) for text in texts):
            news |= self.values.add(name, ("".join(map(str, texts)),))
        return news

    def _bind_macro(self, macro: nodes.Macro) -> bool:
        """What a macro writes goes under its name with brackets, said or constant."""
        written = [part for node in macro.body for part in self._written(node)]
        news = _add(self.tainted, macro.name + "()", any(self.is_tainted(part) for part in written))
        news |= _add(self.clocks, macro.name + "()", any(self.is_clock(part) for part in written))
        texts = [self.values.constant(part) for part in written]
        if texts and all(isinstance(text, str) for text in texts):
            news |= self.values.add(macro.name + "()", ("".join(map(str, texts)).strip(),))
        return news

    def _written(self, node: nodes.Node) -> Iterator[nodes.Node]:
        for inner in self.tree.under(node):
            if isinstance(inner, nodes.Output):
                yield from inner.nodes

    def is_tainted(self, node: nodes.Node | None) -> bool:
        """Whether the expression's text comes from the content of a message."""
        self.tree.spend()
        if node is None:
            return False
        if name_of(node) in self.tainted:
            return True
        if isinstance(node, nodes.Getattr):
            return node.attr in CONTENT_KEYS
        if isinstance(node, nodes.Getitem):
            return self._is_tainted_item(node)
        if isinstance(node, nodes.Call):
            return self._is_tainted_call(node)
        if isinstance(node, nodes.Filter):
            return self._is_tainted_filter(node)
        if isinstance(node, nodes.CondExpr):
            return self.is_tainted(node.expr1) or self.is_tainted(node.expr2)
        return isinstance(node, _JOINED) and any(map(self.is_tainted, node.iter_child_nodes()))

    def _is_tainted_filter(self, node: nodes.Filter) -> bool:
        if node.name in ("length", "count", "wordcount"):
            return False
        if node.name in ("map", "selectattr", "rejectattr") and any(
            CONTENT_KEYS.intersection(self.values.texts(one)) for one in given(node)
        ):
            return True
        if node.name == "attr" and CONTENT_KEYS.intersection(
            self.values.texts(node.args[0] if node.args else None)
        ):
            return True
        is_written = node.name in _WRITERS and self.is_object(node.node)
        return is_written or self.is_tainted(node.node) or self._is_block_over_content(node)

    def _is_block_over_content(self, node: nodes.Filter) -> bool:
        """`{% filter replace('a', 'b') %}...{% endfilter %}`: the filter itself has no subject."""
        block = self.tree.parent(node)
        return isinstance(block, nodes.FilterBlock) and any(
            self.is_tainted(part) for inner in block.body for part in self._written(inner)
        )

    def _is_tainted_item(self, node: nodes.Getitem) -> bool:
        """`part['type']` is structure; `content[0]`, `content[:5]` and `message[key]` are what someone said."""
        keys = self.values.texts(node.arg)
        if keys:
            return bool(CONTENT_KEYS.intersection(keys))
        is_unknown = not isinstance(node.arg, nodes.Slice) and self.values.constant(node.arg) is UNKNOWN
        return (is_unknown and name_of(node.node) in self.messages) or self.is_tainted(node.node)

    def _is_tainted_call(self, node: nodes.Call) -> bool:
        if isinstance(node.node, nodes.Name):
            return f"{node.node.name}()" in self.tainted
        if not isinstance(node.node, nodes.Getattr):
            return self.is_tainted(node.node)
        owner, method = node.node.node, node.node.attr
        if method == "get" and node.args:
            return bool(CONTENT_KEYS.intersection(self.values.texts(node.args[0])))
        if method in ("startswith", "endswith", "find", "rfind", "index", "count"):
            return False
        is_opened = method == "values" and self.is_object(owner)
        return is_opened or self.is_tainted(owner) or any(map(self.is_tainted, node.args))

    def is_object(self, node: nodes.Node | None) -> bool:
        """Whether the expression is a message, or a list of messages."""
        if node is None:
            return False
        if name_of(node) in self.objects or name_of(node) in ("loop.previtem", "loop.nextitem"):
            return True
        if isinstance(node, nodes.Getitem):
            return not self.values.texts(node.arg) and self.is_object(node.node)
        return isinstance(node, nodes.Filter) and node.name in _SELECTORS and self.is_object(node.node)

    def is_clock(self, node: nodes.Node | None) -> bool:
        """Whether the expression's value comes from the present date or time."""
        self.tree.spend()
        if node is None:
            return False
        if name_of(node) in self.clocks:
            return True
        if isinstance(node, nodes.Call):
            called = name_of(node.node)
            if isinstance(node.node, nodes.Name):
                return called == "strftime_now" or f"{called}()" in self.clocks
            return isinstance(node.node, nodes.Getattr) and self.is_clock(node.node.node)
        if isinstance(node, (nodes.Filter, nodes.Getitem, nodes.Getattr, nodes.UnaryExpr)):
            return self.is_clock(node.node)
        return isinstance(node, nodes.BinExpr | nodes.Concat) and any(
            map(self.is_clock, node.iter_child_nodes())
        )


def _add(names: set[str], name: str, is_one: bool) -> bool:
    if not is_one or not name or name in names:
        return False
    names.add(name)
    return True


def _callee(node: nodes.Node | None) -> str | None:
    if isinstance(node, nodes.Filter):
        return node.name
    return node.node.attr if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr) else None


def _subject(node: nodes.Node | None) -> nodes.Node | None:
    if isinstance(node, nodes.Filter):
        return node.node
    return node.node.node if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr) else None
