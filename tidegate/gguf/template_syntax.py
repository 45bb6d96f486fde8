"""Rules about what no chat template needs: internals of Python, other templates, unknown calls and filters."""

import re
from collections.abc import Iterator

from jinja2 import nodes

from tidegate.gguf.findings import Severity, quote
from tidegate.gguf.template_taint import Flow, given, name_of
from tidegate.gguf.template_tree import Found
from tidegate.gguf.words import words

_DUNDER = re.compile(r"__\w+__|\b__\w{3,}")
_INTERNAL = words(
    """
    class mro base bases subclasses init globals builtins import getattribute getattr dict code func self call new
    reduce reduce_ex loader spec module name file doc path wrapped closure defaults annotations init_subclass del
    """
)
_GADGETS = words(
    """
    mro subclasses func_globals func_code gi_frame gi_code cr_frame f_globals f_builtins f_locals tb_frame
    im_func im_self co_code format_map ag_frame cr_code __
    """
)
_CALLED_GADGETS = words(
    "popen system getattr setattr delattr eval exec compile open import_module spawn fork check_output"
)
_OWNERS = words("os sys subprocess builtins importlib environment")
_GLOBALS = words(
    """
    range dict namespace raise_exception strftime_now loop caller joiner cycler super none true false
    tojson varargs kwargs
    """
)
_FORBIDDEN_NAMES = words(
    "self lipsum request config url_for get_flashed_messages os sys subprocess session g"
)
_METHODS = words(
    """
    split rsplit strip lstrip rstrip replace startswith endswith lower upper title capitalize items keys values get
    append pop join format find rfind index count update insert extend removeprefix removesuffix isdigit isalpha
    isspace splitlines swapcase partition rpartition zfill ljust rjust center casefold next reset cycle changed
    strftime isnumeric isupper islower isalnum remove sort reverse copy setdefault encode decode
    """
)
_FILTERS_WITH_NAMES = frozenset({"attr", "map", "selectattr", "rejectattr", "groupby", "sort", "unique", "sum", "min",
                                 "max"})  # fmt: skip
_KNOWN_FILTERS = words(
    """
    abs attr batch capitalize center count d default dictsort e escape filesizeformat first float forceescape format
    groupby indent int items join last length list lower map max min pprint random reject rejectattr replace reverse
    round safe select selectattr slice sort string striptags sum title tojson trim truncate unique upper urlencode
    urlize wordcount wordwrap xmlattr from_json fromjson strip lstrip rstrip startswith endswith split keys values
    """
)


def check_syntax(flow: Flow) -> Iterator[Found]:
    """Judged whether or not the branch is ever taken."""
    yield from _literals(flow)
    yield from _attributes(flow)
    yield from _names(flow)
    yield from _loads(flow)
    yield from _calls(flow)
    yield from _methods(flow)
    for node in flow.tree.of(nodes.Filter):
        yield from _named_in_filter(flow, node)
        if node.name not in _KNOWN_FILTERS:
            yield Found("C-FILTER", f"The filter {quote(node.name)} is not known to engines.", node.lineno)


def _names_internal(text: str) -> bool:
    return any(match.strip("_").lower() in _INTERNAL for match in _DUNDER.findall(text))


def _is_internal(name: object) -> bool:
    return isinstance(name, str) and (
        name.startswith("_") or bool(_DUNDER.search(name)) or name.strip() in _GADGETS
    )


def _literals(flow: Flow) -> Iterator[Found]:
    """Texts that name internals, also when they are put together from pieces."""
    kinds = (nodes.Const, nodes.Concat, nodes.Add, nodes.Filter, nodes.Mod, nodes.Call, nodes.Getitem)
    for kind in kinds:
        for node in flow.tree.of(kind):
            for text in flow.values.texts(node):
                if _names_internal(text):
                    yield Found("C-ATTR", f"The text {quote(text)} names internals of Python.", node.lineno)


def _attributes(flow: Flow) -> Iterator[Found]:
    for node in flow.tree.of(nodes.Getattr):
        parent = flow.tree.parent(node)
        is_called = isinstance(parent, nodes.Call) and parent.node is node
        owner = node.node.attr if isinstance(node.node, nodes.Getattr) else name_of(node.node)
        if _is_internal(node.attr) or (is_called and node.attr in _CALLED_GADGETS) or owner in _OWNERS:
            yield Found("C-ATTR", f"Access to the attribute {quote(node.attr)}.", node.lineno)
    for node in flow.tree.of(nodes.Getitem):
        for key in flow.values.texts(node.arg):
            if key.startswith("__") or _DUNDER.search(key):
                yield Found("C-ATTR", f"Access to the item {quote(key)}.", node.lineno)


def _names(flow: Flow) -> Iterator[Found]:
    own = {macro.name for macro in flow.tree.of(nodes.Macro)}
    own |= {name.name for name in flow.tree.of(nodes.Name) if name.ctx in ("store", "param")}
    for node in flow.tree.of(nodes.Name):
        is_dunder = node.name.startswith("__") and (node.name.endswith("__") or node.name not in own)
        if (node.name in _FORBIDDEN_NAMES and node.name not in own) or is_dunder or node.name == "self":
            yield Found("C-ATTR", f"Use of the name {quote(node.name)}.", node.lineno)


def _named_in_filter(flow: Flow, node: nodes.Filter) -> Iterator[Found]:
    if node.name not in _FILTERS_WITH_NAMES:
        return
    if node.name == "attr":
        # No chat engine but jinja2 has this filter, and no published template uses it.
        known = ", ".join(map(quote, (flow.values.texts(node.args[0]) if node.args else [])[:3]))
        yield Found(
            "C-ATTR", f"Access to an attribute by the filter attr: {known or 'computed'}.", node.lineno
        )
    for place, argument in enumerate(given(node)):
        for name in flow.values.texts(argument):
            parts = name.split(".")
            if any(_DUNDER.search(part) or (place == 0 and _is_internal(part)) for part in parts):
                text = f"Access to {quote(name)} through the filter {node.name}."
                yield Found("C-ATTR", text, node.lineno)
            elif node.name == "map" and place == 0 and name == "attr":
                yield Found("C-ATTR", "Access to attributes through map('attr').", node.lineno)


def _loads(flow: Flow) -> Iterator[Found]:
    for kind in (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends):
        for node in flow.tree.of(kind):
            yield Found("C-INCLUDE", f"The template uses {kind.__name__.lower()}.", node.lineno)


def _calls(flow: Flow) -> Iterator[Found]:
    defined = {macro.name for macro in flow.tree.of(nodes.Macro)}
    defined |= {name.name for name in flow.tree.of(nodes.Name) if name.ctx in ("store", "param")}
    for call in flow.tree.of(nodes.Call):
        callee = call.node
        if isinstance(callee, nodes.Name) and callee.name not in _GLOBALS | defined:
            yield Found("C-CALL", f"Call of {quote(callee.name)}.", call.lineno)
        elif isinstance(callee, nodes.Getattr) and callee.attr in ("format", "format_map"):
            yield from _format_fields(flow, callee)
        elif isinstance(callee, nodes.Getitem) and name_of(callee.node) not in defined:
            yield Found("C-CALL", "Call of something whose name is computed.", call.lineno)


def _methods(flow: Flow) -> Iterator[Found]:
    for call in flow.tree.of(nodes.Call):
        if isinstance(call.node, nodes.Getattr) and call.node.attr not in _METHODS | _CALLED_GADGETS:
            text = f"The method {quote(call.node.attr)} is not known to engines."
            yield Found("C-FILTER", text, call.lineno)


def _format_fields(flow: Flow, callee: nodes.Getattr) -> Iterator[Found]:
    patterns = flow.values.texts(callee.node)
    if not patterns or flow.is_tainted(callee.node):
        level = None if flow.is_tainted(callee.node) else Severity.WARNING
        yield Found("C-ATTR", "str.format on a text that is computed.", callee.lineno, level)
    for pattern in patterns:
        if re.search(r"\{[^{}]*[.\[][^{}]*\}", pattern):
            text = f"str.format reaches into its arguments: {quote(pattern)}."
            yield Found("C-ATTR", text, callee.lineno)
