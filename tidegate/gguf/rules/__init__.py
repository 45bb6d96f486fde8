"""Every rule as data, by stable id."""

from tidegate.gguf.findings import Finding, Rule, Severity
from tidegate.gguf.rules.adapter import ADAPTER_RULES
from tidegate.gguf.rules.container import CONTAINER_RULES, UNSUPPORTED
from tidegate.gguf.rules.model import MODEL_RULES
from tidegate.gguf.rules.template import TEMPLATE_RULES

RULES: dict[str, Rule] = {
    rule.id: rule for rule in (*CONTAINER_RULES, *MODEL_RULES, *TEMPLATE_RULES, *ADAPTER_RULES)
}


def finding(
    check: str,
    message: str,
    *,
    offset: int | None = None,
    subject: str = "",
    severity: Severity | None = None,
) -> Finding:
    """A finding of the rule `check`; its severity can be lowered or raised for a milder or worse case."""
    return RULES[check].broken(message, offset=offset, subject=subject, severity=severity)


__all__ = ["RULES", "UNSUPPORTED", "finding"]
