"""What the render probe needs to know of a file: the template, its special tokens, and the words it names itself."""

import json

from jinja2 import nodes

from tidegate.gguf.header import Header, ValueType
from tidegate.gguf.template_taint import Flow
from tidegate.gguf.template_tree import parse_template

LONGEST_WORD = 200
MOST_WORDS = 60


def template_facts(header: Header) -> dict[str, str] | None:
    """None when there is no template or no vocabulary. To be called only for files whose structure is sound."""
    source = header.text("tokenizer.chat_template")
    tokens = header.array("tokenizer.ggml.tokens")
    if source is None or tokens is None:
        return None
    count = tokens.count if tokens.item_type is ValueType.STRING else 0
    special = {
        name: tokens.string(number).decode("utf-8", "replace")
        if number is not None and 0 <= number < count
        else ""
        for name in ("bos", "eos")
        for number in (header.integer(f"tokenizer.ggml.{name}_token_id"),)
    }
    return {
        "source": source,
        "bos_token": special["bos"],
        "eos_token": special["eos"],
        "words": json.dumps(trigger_words(source)),
    }


def trigger_words(source: str) -> list[str]:
    """Texts in a template that could set something off, those that are compared with something first.

    Templates that cannot be judged have none: they were refused before anything is rendered.
    """
    try:
        flow = Flow(parse_template(source))
    except Exception:  # noqa: BLE001 - hostile text; check_template says what is wrong with it
        return []
    compared: list[nodes.Node] = [node for kind in (nodes.Compare, nodes.Operand, nodes.Test, nodes.Call)
                                  for one in flow.tree.of(kind) for node in one.iter_child_nodes()]  # fmt: skip
    others: list[nodes.Node] = [
        *flow.tree.of(nodes.Const),
        *flow.tree.of(nodes.Concat),
        *flow.tree.of(nodes.Add),
    ]
    found: dict[str, None] = {}
    for node in (*compared, *others):
        for text in flow.values.texts(node):
            if text.strip() and len(text) <= LONGEST_WORD and not text.isspace():
                found[text.strip()] = None
        if len(found) >= MOST_WORDS:
            break
    return list(found)[:MOST_WORDS]
