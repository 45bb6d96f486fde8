"""Works out constant expressions of a template, as far as that is small and safe. Never runs template code."""

from jinja2 import nodes

Constant = str | int | float | bool | None | list["Constant"]

LARGEST_TEXT = 10_000
LARGEST_EXPONENT = 64
LARGEST_FACTOR = 2**64


class _Unknown:
    """Not constant, or not worth knowing."""


UNKNOWN = _Unknown()


def constant(node: nodes.Node) -> "Constant | _Unknown":
    """The value of a constant expression, or UNKNOWN. Texts beyond LARGEST_TEXT are UNKNOWN too."""
    value = _value(node)
    if isinstance(value, (str, list)) and len(value) > LARGEST_TEXT:
        return UNKNOWN
    return value


def _value(node: nodes.Node) -> "Constant | _Unknown":
    if isinstance(node, nodes.Const):
        content: object = node.value
        return content if isinstance(content, (str, int, float, bool)) or content is None else UNKNOWN
    if isinstance(node, nodes.TemplateData):
        return node.data
    if isinstance(node, (nodes.List, nodes.Tuple)):
        return _list(node)
    if isinstance(node, nodes.Concat):
        parts = [constant(part) for part in node.nodes]
        return "".join(str(part) for part in parts) if UNKNOWN not in parts else UNKNOWN
    if isinstance(node, nodes.BinExpr):
        return _binary(node)
    if isinstance(node, nodes.Neg):
        number = constant(node.node)
        return -number if isinstance(number, (int, float)) else UNKNOWN
    if isinstance(node, nodes.Filter):
        return _filtered(node)
    if isinstance(node, nodes.Call):
        return _called(node)
    if isinstance(node, nodes.Getitem):
        return _item(node)
    return UNKNOWN


def _list(node: nodes.List | nodes.Tuple) -> "Constant | _Unknown":
    items: list[Constant] = []
    for item in node.items:
        value = constant(item)
        if isinstance(value, _Unknown):
            return UNKNOWN
        items.append(value)
    return items


def _binary(node: nodes.BinExpr) -> "Constant | _Unknown":
    left, right = constant(node.left), constant(node.right)
    if isinstance(node, nodes.Add) and isinstance(left, str) and isinstance(right, str):
        return left + right
    if isinstance(node, nodes.Mul):
        if isinstance(left, int) and isinstance(right, str):
            left, right = right, left
        if isinstance(left, str) and isinstance(right, int) and len(left) * right <= LARGEST_TEXT:
            return left * right
    if isinstance(node, nodes.Mod) and isinstance(left, str):
        return _percent(left, right)
    if isinstance(left, int) and isinstance(right, int):
        return _integers(node, left, right)
    return UNKNOWN


def _integers(node: nodes.BinExpr, left: int, right: int) -> "Constant | _Unknown":
    if max(abs(left), abs(right)) > LARGEST_FACTOR:
        return UNKNOWN
    if isinstance(node, nodes.Add):
        return left + right
    if isinstance(node, nodes.Sub):
        return left - right
    if isinstance(node, nodes.Mul):
        return left * right
    if isinstance(node, nodes.Pow) and 0 <= right <= LARGEST_EXPONENT and abs(left) <= 2**16:
        return int(left**right)
    if isinstance(node, nodes.FloorDiv) and right:
        return left // right
    return UNKNOWN


def _percent(pattern: str, given: "Constant | _Unknown") -> "Constant | _Unknown":
    """`'%s%s' % ('a', 'b')` with plain fields only: widths could ask for gigabytes."""
    values = [value for value in given if isinstance(value, str)] if isinstance(given, list) else [given]
    if pattern.replace("%s", "").count("%") or pattern.count("%s") != len(values):
        return UNKNOWN
    if not all(isinstance(value, (str, int)) for value in values):
        return UNKNOWN
    pieces = pattern.split("%s")
    return "".join(piece + str(value) for piece, value in zip(pieces, [*values, ""], strict=True))


def _filtered(node: nodes.Filter) -> "Constant | _Unknown":
    if node.node is None:
        return UNKNOWN
    inner = constant(node.node)
    given = [constant(argument) for argument in node.args]
    if node.name == "join" and isinstance(inner, (list, str)):
        glue = given[0] if given and isinstance(given[0], str) else ""
        return glue.join(str(item) for item in inner)
    return _text_function(inner, node.name, given)


def _called(node: nodes.Call) -> "Constant | _Unknown":
    if not isinstance(node.node, nodes.Getattr):
        return UNKNOWN
    inner = constant(node.node.node)
    given = [constant(argument) for argument in node.args]
    if node.node.attr == "join" and isinstance(inner, str) and given and isinstance(given[0], list):
        return inner.join(str(item) for item in given[0])
    return _text_function(inner, node.node.attr, given)


def _text_function(
    text: "Constant | _Unknown", name: str, given: "list[Constant | _Unknown]"
) -> "Constant | _Unknown":
    if name in ("reverse", "last", "first") and isinstance(text, str) and text:
        return {"reverse": text[::-1], "last": text[-1], "first": text[0]}[name]
    if not isinstance(text, str):
        return UNKNOWN
    if name == "replace" and len(given) >= 2 and isinstance(given[0], str) and isinstance(given[1], str):
        return text.replace(given[0], given[1]) if len(given[1]) < LARGEST_TEXT // 100 else UNKNOWN
    plain = {"lower": text.lower, "upper": text.upper, "title": text.title, "capitalize": text.capitalize,
             "trim": text.strip, "strip": text.strip, "string": text.strip, "safe": text.__str__}  # fmt: skip
    return plain[name]() if name in plain else UNKNOWN


def _item(node: nodes.Getitem) -> "Constant | _Unknown":
    inner = constant(node.node)
    if not isinstance(inner, str):
        return UNKNOWN
    if isinstance(node.arg, nodes.Slice):
        bounds = [
            None if part is None else constant(part)
            for part in (node.arg.start, node.arg.stop, node.arg.step)
        ]
        if all(bound is None or (isinstance(bound, int) and bound != 0) for bound in bounds[2:]):
            whole = [bound if isinstance(bound, int) else None for bound in bounds]
            return inner[whole[0] : whole[1] : whole[2]]
        return UNKNOWN
    index = constant(node.arg)
    return inner[index] if isinstance(index, int) and -len(inner) <= index < len(inner) else UNKNOWN


def too_large(node: nodes.Node) -> str | None:
    """Why computing this constant would hurt, or None."""
    if isinstance(node, nodes.Pow):
        exponent, base = constant(node.right), constant(node.left)
        if isinstance(exponent, (int, float)) and exponent > LARGEST_EXPONENT:
            return f"A power with the exponent {exponent}."
        if isinstance(node.right, nodes.Pow) or (isinstance(base, int) and abs(base) > LARGEST_FACTOR):
            return "A power of powers."
    if isinstance(node, nodes.Mul):
        return _repeated(node)
    if isinstance(node, nodes.Mod):
        return _wide_format(constant(node.left))
    if isinstance(node, nodes.Filter) and node.name == "format" and node.node is not None:
        return _wide_format(constant(node.node))
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr) and node.node.attr == "format":
        return _wide_format(constant(node.node.node))
    return None


def _repeated(node: nodes.Mul) -> str | None:
    for text, factor in ((node.left, node.right), (node.right, node.left)):
        count = constant(factor)
        if not isinstance(count, int) or isinstance(count, bool):
            continue
        length = _length(text)
        if (
            count > LARGEST_TEXT
            and (length is None or length * count > LARGEST_TEXT)
            and not _is_number(text)
        ):
            return f"A text or list repeated {count} times."
        if length is not None and length * count > LARGEST_TEXT:
            return f"A text or list repeated {count} times."
    return None


def _length(node: nodes.Node) -> int | None:
    if isinstance(node, nodes.Mul):
        for text, factor in ((node.left, node.right), (node.right, node.left)):
            length, count = _length(text), constant(factor)
            if length is not None and isinstance(count, int):
                return length * max(0, count)
    value = constant(node)
    if isinstance(value, (str, list)):
        return len(value)
    return len(node.items) if isinstance(node, (nodes.List, nodes.Tuple)) else None


def _is_number(node: nodes.Node) -> bool:
    return isinstance(constant(node), (int, float))


def _wide_format(pattern: "Constant | _Unknown") -> str | None:
    """`'%1000000d' % 1` and `'{:>1000000}'.format(1)` write a million characters."""
    if not isinstance(pattern, str):
        return None
    digits = ""
    for character in pattern:
        digits = digits + character if character.isdigit() else ""
        if len(digits) > len(str(LARGEST_TEXT)):
            return "A format with a huge width."
    return None
