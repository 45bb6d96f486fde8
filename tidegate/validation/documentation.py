"""The tables of docs/validation.md that are made from code: `python -m tidegate.validation.documentation [PATH]`.

A test keeps the document equal to them, so that it names every rule with its severity and remedy, and every limit.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tidegate.domain.plain import size
from tidegate.domain.policy import ArtifactPolicy, LatencyPolicy, ResponsePolicy, ValidationPolicy
from tidegate.gguf import RULES as GGUF_RULES
from tidegate.gguf import Rule
from tidegate.safetensors import RULES as OTHER_RULES
from tidegate.validation.report import CATEGORY_OF, write_whole

RULES: dict[str, Rule] = {**GGUF_RULES, **OTHER_RULES}
DOCUMENT = Path("docs/validation.md")
PREFIXES = {
    "F": "the file",
    "I": "integrity",
    "Z": "size",
    "H": "header",
    "K": "metadata keys and values",
    "T": "tensor table",
    "L": "layout of the data",
    "P": "split models",
    "X": "limits of the inspection",
    "S": "the model's settings and tensors",
    "V": "vocabulary and special tokens",
    "N": "numbers",
    "M": "memory",
    "C": "chat template",
    "A": "adapters in GGUF",
    "AD": "adapter folders",
    "ST": "safetensors",
    "SH": "safetensors in several files",
    "CF": "settings of a model folder",
    "FD": "folders",
    "PK": "pickles",
    "J": "JSON files",
}
POLICIES: tuple[tuple[str, type[BaseModel]], ...] = (
    ("artifact", ArtifactPolicy),
    ("validation", ValidationPolicy),
    ("validation.latency", LatencyPolicy),
    ("validation.response", ResponsePolicy),
)


def with_tables(text: str) -> str:
    """The document with every generated table made anew."""
    for name, lines in (("rules", rules_tables(RULES.values())), ("thresholds", thresholds_table())):
        made = f"<!-- {name}: made from code -->\n\n" + "\n".join(lines) + f"\n\n<!-- end of {name} -->"
        pattern = rf"(?s)<!-- {name}: made from code -->.*?<!-- end of {name} -->"
        text = re.sub(pattern, lambda _, made=made: made, text)
    return text


def rules_tables(rules: Iterable[Rule]) -> Iterator[str]:
    """One table for each family of rules."""
    families: dict[str, list[Rule]] = {}
    for rule in rules:
        families.setdefault(rule.id.partition("-")[0], []).append(rule)
    for number, (prefix, own) in enumerate(families.items()):
        if number:
            yield ""
        yield f"**{prefix}: {PREFIXES.get(prefix, own[0].category.value)}**"
        yield from (
            "",
            "| rule | severity | category | what it means | what to do |",
            "| --- | --- | --- | --- | --- |",
        )
        for rule in own:
            category = CATEGORY_OF[rule.category].value
            yield f"| `{rule.id}` | {rule.severity.value} | {category} | {_cell(rule.explanation)} | {_cell(rule.remedy)} |"


def thresholds_table() -> Iterator[str]:
    """Every limit of a policy that validation reads."""
    yield from ("| field of the policy | default | what it is |", "| --- | --- | --- |")
    for prefix, model in POLICIES:
        for name, field in model.model_fields.items():
            if isinstance(field.default, BaseModel):
                continue
            yield f"| `{prefix}.{name}` | {_default(name, field)} | {_cell(field.description or '')} |"


def _default(name: str, field: FieldInfo) -> str:
    value: Any = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    if name.endswith("_bytes"):
        return size(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if value not in ((), {}) else "empty"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCUMENT
    write_whole(target, with_tables(target.read_text(encoding="utf-8")))
