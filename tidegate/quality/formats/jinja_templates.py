"""The Jinja2 templates of lm-eval tasks, rendered in a sandbox that is bounded in size and steps.

Jinja's own sandbox keeps templates from code. It does not keep them from filling the memory (`'a' * 10**9`) or from
never ending: so only known methods and filters may be used, every text that is made has a size limit, and steps are
counted.
"""

import ast
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, cast

from jinja2 import StrictUndefined, TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from tidegate.quality.scorers.patterns import compiled_pattern, pattern_fault

MAX_TEMPLATE, MAX_MADE, MAX_STEPS, MAX_LOOPS, MAX_RANGE = 50_000, 1_000_000, 200_000, 2, 1_000
PATTERN_LIMIT_S = 2.0

TEXT_METHODS = frozenset(
    [
        "split",
        "rsplit",
        "splitlines",
        "strip",
        "lstrip",
        "rstrip",
        "lower",
        "upper",
        "title",
        "capitalize",
        "casefold",
        "swapcase",
        "startswith",
        "endswith",
        "find",
        "rfind",
        "index",
        "rindex",
        "count",
        "replace",
        "join",
        "partition",
        "rpartition",
        "removeprefix",
        "removesuffix",
        "isdigit",
        "isalpha",
        "isnumeric",
        "isupper",
        "islower",
        "isspace",
    ]
)
OTHER_METHODS = frozenset(["items", "keys", "values", "get", "index", "count"])
KEPT_FILTERS = frozenset(
    [
        "abs",
        "capitalize",
        "count",
        "d",
        "default",
        "dictsort",
        "e",
        "escape",
        "first",
        "float",
        "int",
        "items",
        "join",
        "last",
        "length",
        "list",
        "lower",
        "max",
        "min",
        "replace",
        "reverse",
        "round",
        "safe",
        "sort",
        "string",
        "sum",
        "title",
        "tojson",
        "trim",
        "unique",
        "upper",
    ]
)
KEPT_TESTS = frozenset(
    [
        "defined",
        "undefined",
        "none",
        "string",
        "number",
        "integer",
        "float",
        "boolean",
        "mapping",
        "iterable",
        "sequence",
        "in",
        "eq",
        "equalto",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "odd",
        "even",
        "divisibleby",
        "true",
        "false",
        "lower",
        "upper",
    ]
)
REFUSED_NODES = (
    nodes.Include,
    nodes.Import,
    nodes.FromImport,
    nodes.Extends,
    nodes.Macro,
    nodes.CallBlock,
    nodes.Pow,
)


class TemplateRefused(Exception):
    """A template that cannot be rendered: what it asks for, or what it makes."""


class _Joining(NodeTransformer):
    """`a ~ b` becomes a filter of ours, which can count what is joined."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        items = nodes.List(node.nodes, lineno=node.lineno)
        return nodes.Filter(items, "joined_text", [], [], None, None, lineno=node.lineno)


class _Bounded(ImmutableSandboxedEnvironment):
    """Counts steps and sizes of one template at a time."""

    intercepted_binops = frozenset(["+", "*", "%", "**"])  # pyright: ignore[reportIncompatibleVariableOverride, reportAssignmentType]

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
        self.steps = 0
        self.globals: dict[str, Any] = {"range": self._range, "zip": zip, "len": len, "dict": dict}
        known = self.filters
        self.filters: dict[str, Any] = {name: self._counted(name, known[name]) for name in KEPT_FILTERS}
        self.filters |= {"joined_text": self._joined, "regex_replace": self._regex_replaced}
        tests = self.tests
        self.tests: dict[str, Any] = {name: tests[name] for name in KEPT_TESTS}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        _check(tree)
        made: Any = _Joining().visit(tree)
        return made

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        self.step()
        if operator == "*" and not all(isinstance(side, int | float) for side in (left, right)):
            raise TemplateRefused("a text or list is multiplied")
        if operator == "*" and all(isinstance(side, int) for side in (left, right)):
            self._sized(int(left).bit_length() + int(right).bit_length())
        if operator == "%" and isinstance(left, str):
            raise TemplateRefused("a text is formatted by '%'")
        if operator == "+" and isinstance(left, str | list | tuple) and isinstance(right, str | list | tuple):
            self._sized(len(cast("Any", left)) + len(cast("Any", right)))
        return super().call_binop(context, operator, left, right)

    def call(self, context: Any, obj: Any, *args: Any, **kwargs: Any) -> Any:
        self.step()
        owner, name = getattr(obj, "__self__", None), getattr(obj, "__name__", "")
        if isinstance(owner, str):
            if name not in TEXT_METHODS:
                raise TemplateRefused(f"the method '{name}' of a text is not allowed")
            if name == "replace" and len(args) >= 2:
                self._sized(replaced_size(owner, str(args[0]), str(args[1])))
            if name == "join" and args:
                args = (list(args[0]), *args[1:])
                self._sized(joined_size(args[0], owner))
        elif isinstance(owner, dict | list | tuple) and name not in OTHER_METHODS:
            raise TemplateRefused(f"the method '{name}' is not allowed")
        return super().call(context, obj, *args, **kwargs)

    def step(self) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise TemplateRefused("it takes too many steps")

    def _sized(self, size: int) -> None:
        if size > MAX_MADE:
            raise TemplateRefused(f"it makes a text or list of more than {MAX_MADE} items")

    def _counted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A filter whose result is counted; a wrapper must keep how Jinja calls the filter."""
        from functools import wraps

        @wraps(function)
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.step()
            # Jinja hands both of these their context first.
            if name == "replace" and len(args) >= 4:
                self._sized(replaced_size(str(args[1]), str(args[2]), str(args[3])))
            if name == "join" and len(args) >= 2:
                items: list[Any] = list(args[1])
                self._sized(joined_size(items, str(args[2] if len(args) > 2 else kwargs.get("d", ""))))
                args = (args[0], items, *args[2:])
            if (
                name == "round"
                and not -20 <= _whole(args[1] if len(args) > 1 else kwargs.get("precision", 0)) <= 20
            ):
                raise TemplateRefused("a number is rounded to too many places")
            result = function(*args, **kwargs)
            if isinstance(result, str):
                self._sized(len(result))
            return result

        return counted

    def wrap_str_format(self, value: Any) -> Any:
        """`'{:9999999}'.format(1)` makes text of any length, and Jinja's sandbox lets it."""
        if isinstance(getattr(value, "__self__", None), str) and value.__name__ in ("format", "format_map"):
            raise TemplateRefused("a text is formatted by 'format'")
        return super().wrap_str_format(value)

    def _range(self, *limits: int) -> range:
        made = range(*limits)
        if len(made) > MAX_RANGE:
            raise TemplateRefused(f"a range has more than {MAX_RANGE} numbers")
        return made

    def _joined(self, items: list[Any]) -> str:
        self.step()
        texts = [str(item) for item in items]
        self._sized(sum(len(text) for text in texts))
        return "".join(texts)

    def _regex_replaced(self, text: Any, pattern: str, replacement: str, count: int = 0) -> str:
        self.step()
        if fault := pattern_fault(pattern):
            raise TemplateRefused(fault)
        try:
            made = compiled_pattern(pattern).sub(
                replacement, str(text)[:MAX_MADE], count=count, timeout=PATTERN_LIMIT_S
            )
        except TimeoutError as error:
            raise TemplateRefused(f"searching for {pattern!r} took too long") from error
        self._sized(len(made))
        return str(made)


def replaced_size(text: str, old: str, new: str) -> int:
    """Upper bound of the length of `text.replace(old, new)`."""
    return len(text) + (text.count(old) + 1) * len(new)


def joined_size(items: list[Any], separator: str) -> int:
    """Length of `separator.join(items)`."""
    return sum(len(str(item)) for item in items) + len(separator) * len(items)


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _check(tree: nodes.Template) -> None:
    for node in tree.find_all(REFUSED_NODES):
        raise TemplateRefused(f"'{type(node).__name__}' is not allowed in a template (line {node.lineno})")
    _check_loops(tree, 0)


def _check_loops(node: nodes.Node, depth: int) -> None:
    depth += isinstance(node, nodes.For)
    if depth > MAX_LOOPS:
        raise TemplateRefused(f"loops are nested more than {MAX_LOOPS} deep")
    if isinstance(node, nodes.For) and node.recursive:
        raise TemplateRefused("a loop calls itself")
    for child in node.iter_child_nodes():
        _check_loops(child, depth)


class Templates:
    """Renders templates on documents; each template is compiled once."""

    def __init__(self) -> None:
        self._environment = _Bounded()
        self._known: dict[str, Any] = {}

    def render(self, template: str, document: Mapping[str, Any]) -> str:
        """The text of a template on one document. Raises: TemplateRefused."""
        if len(template) > MAX_TEMPLATE:
            raise TemplateRefused(f"the template is longer than {MAX_TEMPLATE} characters")
        self._environment.steps = 0
        try:
            if template not in self._known:
                self._known[template] = self._environment.from_string(template)
            return self._written(self._known[template], document)
        except TemplateRefused:
            raise
        except (
            TemplateError,
            RecursionError,
            ArithmeticError,
            LookupError,
            TypeError,
            ValueError,
            AttributeError,
        ) as error:
            _refused(error)

    def _written(self, template: Any, document: Mapping[str, Any]) -> str:
        parts: list[str] = []
        size = 0
        for part in template.generate(**document):
            self._environment.step()
            size += len(part)
            if size > MAX_MADE:
                raise TemplateRefused(f"it writes more than {MAX_MADE} characters")
            parts.append(part)
        return "".join(parts)

    def value(self, template: str, document: Mapping[str, Any]) -> Any:
        """What a template writes, read as a literal (a list of choices). Raises: TemplateRefused."""
        text = self.render(template, document)
        try:
            return ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
            raise TemplateRefused(f"'{text[:60]}' is no list") from error


def _refused(error: Exception) -> NoReturn:
    raise TemplateRefused(
        f"the template cannot be rendered: {str(error)[:200] or type(error).__name__}"
    ) from error
