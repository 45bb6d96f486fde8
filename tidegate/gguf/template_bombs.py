"""Rules about templates that use up memory or time, when an engine compiles them or when it renders them.

Engines fold constants while compiling, even in a branch that is never taken; so every branch counts.
"""

from collections.abc import Iterator

from jinja2 import nodes

from tidegate.gguf.findings import quote
from tidegate.gguf.template_operations import LARGEST_EXPONENT, LARGEST_FACTOR, LARGEST_TEXT
from tidegate.gguf.template_recursion import check_recursion
from tidegate.gguf.template_taint import Flow
from tidegate.gguf.template_tree import Found, name_of

LARGEST_RANGE = 100_000
LARGEST_LOOPS = 1_000_000
LARGEST_OUTPUT = 10_000_000
MANY_DOUBLINGS = 6
DEEPEST_CONTENT_LOOPS = 1

_WIDTHS = frozenset({"center", "ljust", "rjust", "zfill", "indent", "wordwrap", "truncate", "batch", "slice",
                     "tojson"})  # fmt: skip
_LENGTHENING = frozenset({"replace", "indent", "center", "join", "format"})
_SAME_LENGTH = frozenset({"list", "reverse", "map", "sort"})


def check_bombs(flow: Flow) -> Iterator[Found]:
    yield from _arithmetic(flow)
    yield from _formats(flow)
    yield from _widths(flow)
    yield from _ranges(flow)
    yield from _joins(flow)
    yield from _nested(flow, flow.tree.root, 1, 0)
    yield from _doubling(flow)
    yield from check_recursion(flow)


def _bomb(text: str, node: nodes.Node) -> Found:
    return Found("C-BOMB", text, node.lineno)


def _arithmetic(flow: Flow) -> Iterator[Found]:
    for node in flow.tree.of(nodes.Pow):
        exponents, bases = flow.values.numbers(node.right), flow.values.numbers(node.left)
        if any(exponent > LARGEST_EXPONENT for exponent in exponents):
            yield _bomb(f"A power with the exponent {max(exponents)}.", node)
        elif (
            isinstance(node.right, nodes.Pow)
            or isinstance(node.left, nodes.Pow)
            or any(abs(base) > LARGEST_FACTOR for base in bases)
        ):
            yield _bomb("A power of powers.", node)
        elif not exponents:
            yield _bomb("A power whose exponent is computed.", node)
    for node in flow.tree.of(nodes.Mul):
        for text, factor in ((node.left, node.right), (node.right, node.left)):
            reason = _repeated(flow, text, factor)
            if reason:
                yield _bomb(reason, node)
                break


def _repeated(flow: Flow, text: nodes.Node, factor: nodes.Node) -> str | None:
    if _is_said_number(flow, factor) and not flow.values.numbers(text):
        return "A text is repeated as often as a message says."
    length = _length(flow, text)
    for count in flow.values.numbers(factor):
        if length is None and count > LARGEST_TEXT and not flow.values.numbers(text):
            return f"A text or list repeated {count} times."
        if length is not None and length * count > LARGEST_TEXT:
            return f"A text or list repeated {count} times."
    return None


def _is_said_number(flow: Flow, node: nodes.Node | None) -> bool:
    return isinstance(node, nodes.Filter) and node.name in ("int", "float") and flow.is_tainted(node.node)


def _length(flow: Flow, node: nodes.Node) -> int | None:
    """Characters or items, also of a product that was too large to work out."""
    if isinstance(node, nodes.Mul):
        for text, factor in ((node.left, node.right), (node.right, node.left)):
            length, counts = _length(flow, text), flow.values.numbers(factor)
            if length is not None and counts:
                return int(length * max(0, *counts, 0))
    lengths = [len(value) for value in flow.values.of(node) if isinstance(value, (str, list))]
    if lengths:
        return max(lengths)
    return len(node.items) if isinstance(node, (nodes.List, nodes.Tuple)) else None


def _formats(flow: Flow) -> Iterator[Found]:
    """`'%1000000d' % 1` and `'{:>1000000}'.format(1)` write a million characters; `'%*d'` takes its width from a value."""
    patterns: list[tuple[nodes.Node, nodes.Node | None]] = [
        (node, node.left) for node in flow.tree.of(nodes.Mod)
    ]
    patterns += [(node, node.node) for node in flow.tree.of(nodes.Filter) if node.name == "format"]
    for call in flow.tree.of(nodes.Call):
        if isinstance(call.node, nodes.Getattr) and call.node.attr in ("format", "format_map"):
            patterns.append((call, call.node.node))
    for node, pattern in patterns:
        if any(_is_wide(text) for text in flow.values.texts(pattern)):
            yield _bomb("A format with a huge width.", node)


def _is_wide(pattern: str) -> bool:
    digits = ""
    for place, character in enumerate(pattern):
        digits = digits + character if character.isdigit() else ""
        if len(digits) > len(str(LARGEST_TEXT)) or (
            character == "*" and pattern[place - 1 : place] in ("%", ".")
        ):
            return True
    return False


def _widths(flow: Flow) -> Iterator[Found]:
    for node in (*flow.tree.of(nodes.Filter), *flow.tree.of(nodes.Call)):
        name = _callee(node)
        if name not in _WIDTHS:
            continue
        for argument in (*node.args, *(pair.value for pair in node.kwargs)):
            wide = [number for number in flow.values.numbers(argument) if abs(number) > LARGEST_TEXT]
            if wide:
                yield _bomb(f"{name} to a width of {wide[0]}.", node)
            elif _is_said_number(flow, argument):
                yield _bomb(f"{name} to a width that a message says.", node)


def _callee(node: nodes.Filter | nodes.Call) -> str:
    if isinstance(node, nodes.Filter):
        return node.name
    return node.node.attr if isinstance(node.node, nodes.Getattr) else name_of(node.node) or ""


def _range_length(flow: Flow, node: nodes.Node | None) -> int | None:
    """Items of a range with known bounds, of a literal list or of a constant text; None when unknown."""
    if isinstance(node, nodes.Filter) and node.name in _SAME_LENGTH:
        return _range_length(flow, node.node)
    if isinstance(node, nodes.Call) and name_of(node.node) == "range":
        bounds = [flow.values.numbers(argument) for argument in node.args]
        if not all(bounds) or not 1 <= len(bounds) <= 3:
            return None
        # The widest of what the bounds can be.
        step = min((abs(number) for number in bounds[2]), default=1) if len(bounds) == 3 else 1
        ends = [number for bound in bounds[:2] for number in bound] + ([0] if len(bounds) == 1 else [])
        return int((max(ends) - min(ends)) // max(1, step))
    if isinstance(node, (nodes.List, nodes.Tuple)):
        return len(node.items)
    lengths = [len(value) for value in flow.values.of(node) if isinstance(value, (str, list, dict))]
    return max(lengths, default=None)


def _ranges(flow: Flow) -> Iterator[Found]:
    for call in flow.tree.of(nodes.Call):
        if name_of(call.node) != "range":
            continue
        length = _range_length(flow, call)
        if length is not None and length > LARGEST_RANGE:
            yield _bomb(f"A range of {length} numbers.", call)
        elif any(_is_said_number(flow, argument) for argument in call.args):
            yield _bomb("A range as long as a message says.", call)


def _joins(flow: Flow) -> Iterator[Found]:
    """`range(99999) | join('a long text')`."""
    for node in (*flow.tree.of(nodes.Filter), *flow.tree.of(nodes.Call)):
        if _callee(node) != "join" or not node.args:
            continue
        if isinstance(node, nodes.Filter):
            items, glue = node.node, node.args[0]
        else:
            items, glue = node.args[0], getattr(node.node, "node", None)
        length = max((len(text) for text in flow.values.texts(glue)), default=0)
        size = (_range_length(flow, items) or 0) * length
        if size > LARGEST_OUTPUT:
            yield _bomb(f"A join writes {size} characters.", node)


def _nested(flow: Flow, node: nodes.Node, product: int, over_content: int) -> Iterator[Found]:
    """Loops in loops, and what is written in them."""
    for child in node.iter_child_nodes():
        flow.tree.spend()
        inside, content = product, over_content
        if isinstance(child, nodes.For):
            inside = product * max(1, _range_length(flow, child.iter) or 1)
            is_again = flow.is_tainted(child.iter) and name_of(child.iter) not in flow.parts
            content = over_content + is_again
            if inside > LARGEST_LOOPS:
                yield _bomb(f"Nested loops run {inside} times.", child)
                return
            if content > DEEPEST_CONTENT_LOOPS and not flow.is_object(child.iter):
                yield _bomb("Loops over the content of messages are nested.", child)
                return
        if inside > 1 and isinstance(child, nodes.Output):
            size = inside * sum(_length(flow, part) or 0 for part in child.nodes)
            if size > LARGEST_OUTPUT:
                yield _bomb(f"A loop writes {size} characters.", child)
                return
        yield from _nested(flow, child, inside, content)


def _doubling(flow: Flow) -> Iterator[Found]:
    """`x = x ~ x` in a loop, or many times in a row."""
    often = 0
    grown: list[tuple[nodes.Node, str | None, bool]] = [
        (one, name_of(one.target), _grows(flow, one)) for one in flow.tree.of(nodes.Assign)
    ]
    for block in flow.tree.of(nodes.AssignBlock):
        name = name_of(block.target)
        written = [part for output in block.find_all(nodes.Output) for part in output.nodes]
        grown.append((block, name, sum(name_of(part) == name for part in written) > 1))
    for assign, target, doubles in grown:
        if target is None or not doubles:
            continue
        often += 1
        if often >= MANY_DOUBLINGS or any(
            isinstance(parent, (nodes.For, nodes.Macro)) for parent, _ in flow.tree.around(assign)
        ):
            yield _bomb(f"{quote(target)} doubles each time.", assign)


def _grows(flow: Flow, assign: nodes.Assign) -> bool:
    """Whether the new value holds the old one more than once."""
    target = name_of(assign.target)
    for node in flow.tree.under(assign.node):
        if isinstance(node, (nodes.Concat, nodes.Add, nodes.List, nodes.Tuple)):
            if sum(name_of(part) == target for part in _operands(node)) > 1:
                return True
        elif isinstance(node, nodes.Mul):
            sides = [name_of(node.left), name_of(node.right)]
            other = node.right if sides[0] == target else node.left
            if target in sides and (sides[0] == sides[1] or any(n > 1 for n in flow.values.numbers(other))):
                return not flow.values.numbers(assign.target) or sides[0] == sides[1]
        elif (
            isinstance(node, (nodes.Filter, nodes.Call))
            and _callee(node) in _LENGTHENING
            and _lengthens(flow, node, target)
        ):
            return True
    return False


def _lengthens(flow: Flow, node: nodes.Filter | nodes.Call, target: str | None) -> bool:
    """`x | replace('a', 'aa')`, `x.join(x)`."""
    subject = node.node if isinstance(node, nodes.Filter) else getattr(node.node, "node", None)
    if _callee(node) == "join":
        return name_of(subject) == target and any(name_of(argument) == target for argument in node.args)
    if _callee(node) != "replace" or len(node.args) < 2 or name_of(subject) != target:
        return False
    old, new = flow.values.texts(node.args[0]), flow.values.texts(node.args[1])
    if name_of(node.args[1]) == target:
        return True
    return any(one and two.count(one) > 1 for one in old for two in new)


def _operands(node: nodes.Node) -> list[nodes.Node]:
    """Flat operands of nested joins: `x ~ ' ' ~ x` and `x + y + x`."""
    if isinstance(node, nodes.Add):
        return [*_operands(node.left), *_operands(node.right)]
    if isinstance(node, nodes.Concat):
        return [part for child in node.nodes for part in _operands(child)]
    if isinstance(node, (nodes.List, nodes.Tuple)):
        return [part for child in node.items for part in _operands(child)]
    return [node]
