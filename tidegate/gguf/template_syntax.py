"""Rules about a template's syntax tree: internals, includes, unknown calls, bombs. Pure; renders nothing."""

import re
from collections.abc import Iterator

from jinja2 import nodes

from tidegate.gguf.findings import Severity, quote
from tidegate.gguf.template_constants import LARGEST_TEXT, constant, too_large
from tidegate.gguf.words import words

Found = tuple[str, str, Severity | None]

LARGEST_RANGE = 100_000
LARGEST_LOOPS = 1_000_000
MANY_DOUBLINGS = 6

_DUNDER = re.compile(r"__\w+__|\b__\w{3,}")
_GADGETS = words(
    """
    mro subclasses func_globals func_code gi_frame gi_code cr_frame f_globals f_builtins f_locals tb_frame
    im_func im_self co_code popen system getattr setattr delattr eval exec compile globals locals builtins import
    open subprocess os sys format_map environment
    """
)
_GLOBALS = words(
    """
    range dict namespace raise_exception strftime_now loop caller joiner cycler super none true false
    tojson varargs kwargs
    """
)
_FORBIDDEN_NAMES = words("self lipsum request config url_for get_flashed_messages os sys subprocess")
_FILTERS_WITH_NAMES = frozenset({"attr", "map", "selectattr", "rejectattr", "groupby", "sort", "unique", "sum", "min",
                                 "max"})  # fmt: skip
_WIDTHS = frozenset({"center", "ljust", "rjust", "zfill", "indent", "wordwrap", "truncate", "batch", "slice"})
_KNOWN_FILTERS = words(
    """
    abs attr batch capitalize center count d default dictsort e escape filesizeformat first float forceescape format
    groupby indent int items join last length list lower map max min pprint random reject rejectattr replace reverse
    round safe select selectattr slice sort string striptags sum title tojson trim truncate unique upper urlencode
    urlize wordcount wordwrap xmlattr from_json fromjson
    """
)


def check_syntax(tree: nodes.Template) -> Iterator[Found]:
    """What no chat template needs, whether or not the branch is ever taken."""
    yield from _literals(tree)
    yield from _names(tree)
    yield from _loads(tree)
    yield from _calls(tree)
    yield from _arithmetic(tree)
    yield from _loops(tree)
    yield from _doubling(tree)
    yield from _recursion(tree)


def _is_internal(name: object) -> bool:
    return isinstance(name, str) and (
        name.startswith("_") or bool(_DUNDER.search(name)) or name.strip() in _GADGETS
    )


def _literals(tree: nodes.Template) -> Iterator[Found]:
    """Texts that name internals, also when they are put together from pieces."""
    for node in tree.find_all((nodes.Const, nodes.Concat, nodes.Add, nodes.Filter, nodes.Mod, nodes.Call)):
        text = constant(node)
        if isinstance(text, str) and _DUNDER.search(text):
            yield ("C-ATTR", f"The text {quote(text)} names internals of Python.", None)


def _names(tree: nodes.Template) -> Iterator[Found]:
    for node in tree.find_all(nodes.Getattr):
        if _is_internal(node.attr):
            yield ("C-ATTR", f"Access to the attribute {quote(node.attr)}.", None)
    for node in tree.find_all(nodes.Getitem):
        key = constant(node.arg)
        if isinstance(key, str) and (key.startswith("__") or _DUNDER.search(key)):
            yield ("C-ATTR", f"Access to the item {quote(key)}.", None)
    for node in tree.find_all(nodes.Name):
        if node.name in _FORBIDDEN_NAMES or node.name.startswith("__"):
            yield ("C-ATTR", f"Use of the name {quote(node.name)}.", None)
    for node in tree.find_all(nodes.Filter):
        yield from _named_in_filter(node)


def _named_in_filter(node: nodes.Filter) -> Iterator[Found]:
    if node.name not in _FILTERS_WITH_NAMES:
        return
    given: list[nodes.Expr] = [*node.args, *(pair.value for pair in node.kwargs)]
    for place, argument in enumerate(given):
        name = constant(argument)
        if isinstance(name, str) and any(
            _DUNDER.search(part) or (place == 0 and _is_internal(part)) for part in name.split(".")
        ):
            yield ("C-ATTR", f"Access to {quote(name)} through the filter {node.name}.", None)
        elif node.name == "attr" and not isinstance(name, str):
            yield ("C-ATTR", "Access to an attribute whose name is computed.", None)
        elif node.name == "map" and name == "attr":
            yield ("C-ATTR", "Access to attributes through map('attr').", None)


def _loads(tree: nodes.Template) -> Iterator[Found]:
    for node in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)):
        yield ("C-INCLUDE", f"The template uses {type(node).__name__.lower()}.", None)


def _calls(tree: nodes.Template) -> Iterator[Found]:
    defined = {macro.name for macro in tree.find_all(nodes.Macro)}
    defined |= {name.name for name in tree.find_all(nodes.Name) if name.ctx in ("store", "param")}
    for call in tree.find_all(nodes.Call):
        callee = call.node
        if isinstance(callee, nodes.Name) and callee.name not in _GLOBALS | defined:
            yield ("C-CALL", f"Call of {quote(callee.name)}.", None)
        if isinstance(callee, nodes.Getattr) and callee.attr in ("format", "format_map"):
            yield from _format_fields(callee)
    for node in tree.find_all(nodes.Filter):
        if node.name not in _KNOWN_FILTERS:
            yield ("C-FILTER", f"The filter {quote(node.name)} is not known to engines.", None)


def _format_fields(callee: nodes.Getattr) -> Iterator[Found]:
    pattern = constant(callee.node)
    if not isinstance(pattern, str):
        yield ("C-ATTR", "str.format on a text that is computed.", Severity.WARNING)
    elif re.search(r"\{[^{}]*[.\[][^{}]*\}", pattern):
        yield ("C-ATTR", f"str.format reaches into its arguments: {quote(pattern)}.", None)


def _arithmetic(tree: nodes.Template) -> Iterator[Found]:
    """Constants that engines fold while compiling, even in a branch that is never taken."""
    for node in tree.find_all((nodes.Mul, nodes.Pow, nodes.Mod, nodes.Filter, nodes.Call)):
        reason = too_large(node)
        if reason:
            yield ("C-BOMB", reason, None)
    for node in tree.find_all((nodes.Filter, nodes.Call)):
        name = _callee(node)
        for argument in node.args:
            number = constant(argument)
            if name in _WIDTHS and isinstance(number, int) and abs(number) > LARGEST_TEXT:
                yield ("C-BOMB", f"{name} to a width of {number}.", None)


def _callee(node: nodes.Filter | nodes.Call) -> str:
    if isinstance(node, nodes.Filter):
        return node.name
    return node.node.attr if isinstance(node.node, nodes.Getattr) else getattr(node.node, "name", "")


def _range_length(node: nodes.Node) -> int | None:
    """Items of a range with constant bounds, of a literal list or of a constant text; None when unknown."""
    if (
        isinstance(node, nodes.Filter)
        and node.node is not None
        and node.name in ("list", "reverse", "map", "sort")
    ):
        return _range_length(node.node)
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name == "range":
        bounds = [constant(argument) for argument in node.args]
        numbers = [bound for bound in bounds if isinstance(bound, int)]
        if (
            len(numbers) != len(bounds)
            or not 1 <= len(numbers) <= 3
            or (len(numbers) == 3 and not numbers[2])
        ):
            return None
        start, stop, step = (0, numbers[0], 1) if len(numbers) == 1 else (*numbers, 1)[:3]
        distance = stop - start if step > 0 else start - stop
        return max(0, -(-distance // abs(step)))
    if isinstance(node, (nodes.List, nodes.Tuple)):
        return len(node.items)
    text = constant(node)
    return len(text) if isinstance(text, str) else None


def _loops(tree: nodes.Template) -> Iterator[Found]:
    for call in tree.find_all(nodes.Call):
        length = _range_length(call)
        if length is not None and length > LARGEST_RANGE:
            yield ("C-BOMB", f"A range of {length} numbers.", None)
    yield from _nested(tree, 1)


def _nested(node: nodes.Node, product: int) -> Iterator[Found]:
    for child in node.iter_child_nodes():
        inside = product
        if isinstance(child, nodes.For):
            inside = product * max(1, _range_length(child.iter) or 1)
            if inside > LARGEST_LOOPS:
                yield ("C-BOMB", f"Nested loops run {inside} times.", None)
                return
        yield from _nested(child, inside)


def _doubling(tree: nodes.Template) -> Iterator[Found]:
    """`set x = x ~ x` in a loop, or often: the text doubles each time."""
    often = 0
    inside_loops = {
        id(inner) for loop in tree.find_all((nodes.For, nodes.Macro)) for inner in loop.find_all(nodes.Assign)
    }
    for assign in tree.find_all(nodes.Assign):
        target = _reference(assign.target)
        if target is None:
            continue
        joins = [
            node
            for node in _with_self(assign.node)
            if isinstance(node, (nodes.Concat, nodes.Add, nodes.List))
        ]
        uses = max((sum(_reference(part) == target for part in _operands(node)) for node in joins), default=0)
        if uses < 2:
            continue
        often += 1
        if id(assign) in inside_loops or often >= MANY_DOUBLINGS:
            yield ("C-BOMB", f"{quote(target)} doubles each time.", None)


def _with_self(node: nodes.Node) -> list[nodes.Node]:
    return [node, *node.find_all(nodes.Node)]


def _operands(node: nodes.Node) -> list[nodes.Node]:
    """Flat operands of nested joins: `x ~ ' ' ~ x` and `x + y + x`."""
    if isinstance(node, nodes.Add):
        return [*_operands(node.left), *_operands(node.right)]
    if isinstance(node, nodes.Concat):
        return [part for child in node.nodes for part in _operands(child)]
    if isinstance(node, nodes.List):
        return [part for child in node.items for part in _operands(child)]
    return [node]


def _reference(node: nodes.Node) -> str | None:
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.NSRef):
        return f"{node.name}.{node.attr}"
    if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name):
        return f"{node.node.name}.{node.attr}"
    return None


def _recursion(tree: nodes.Template) -> Iterator[Found]:
    """A macro that calls itself outside of any condition or loop never ends."""
    for macro in tree.find_all(nodes.Macro):
        if any(_calls_itself(statement, macro.name) for statement in macro.body):
            yield ("C-BOMB", f"The macro {quote(macro.name)} calls itself without end.", None)


def _calls_itself(node: nodes.Node, name: str) -> bool:
    if isinstance(node, (nodes.If, nodes.For, nodes.CondExpr, nodes.Macro)):
        return False
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name == name:
        return True
    return any(_calls_itself(child, name) for child in node.iter_child_nodes())
