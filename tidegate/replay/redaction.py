"""What may be kept of a client's request: known fields only, without names of people, and with secrets blotted out.

Patterns find what has a shape. They do not find a name, an address or a diagnosis in a sentence: whoever may not keep
such text must not sample. Pure.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from tidegate.domain.policy import CapturePolicy

KEPT_FIELDS = frozenset({
    "messages", "model", "tools", "tool_choice", "parallel_tool_calls", "response_format", "stop", "temperature",
    "top_p", "top_k", "min_p", "max_tokens", "max_completion_tokens", "presence_penalty", "frequency_penalty",
    "logit_bias", "n", "reasoning_effort",
})  # fmt: skip
"""Fields of a chat completion that change the answer. Others are not kept, known or not."""
SYSTEM_ROLES = frozenset({"system", "developer"})
MOST_DEPTH = 32
NESTED_TOO_DEEP = "[nested too deep]"

_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")
_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"
    r"|\b(?:sk|pk|rk|tg|rpa|ghp|gho|ghs|ghu|glpat|xox[abprs]|hf|npm|AIza|whsec)[-_][A-Za-z0-9_-]{12,}"
    r"|\bgithub_pat_[A-Za-z0-9_]{20,}|\bAIza[A-Za-z0-9_-]{30,}|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|(?i:\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{12,}"
    r"|(?i:\b(?:password|passwd|secret|api[_-]?key|token)\b\s{0,3}[:=]\s{0,3})[^\s,;\"']{6,}",
    re.DOTALL,
)
_LONG_SECRET = re.compile(
    r"(?<![A-Za-z0-9+/_-])(?=[A-Za-z0-9+/_-]*[0-9])(?=[A-Za-z0-9+/_-]*[A-Za-z])[A-Za-z0-9+/_-]{32,}={0,2}"
)
_DIGITS = re.compile(r"(?<![\w.])\+?\(?\d(?:[ ()./-]{0,2}\d){6,24}(?!\w)")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b")


def redact(body: Mapping[str, Any], policy: CapturePolicy) -> dict[str, Any] | None:
    """The request as it may be kept; None when it must not be, or holds no text conversation.

    `store: false` is OpenAI's own word for "do not keep this", and is obeyed.
    """
    messages = body.get("messages")
    if body.get("store") is False or not isinstance(messages, list):
        return None
    kept_messages = [
        one for one in cast("list[Any]", messages) if policy.system_prompt == "keep" or not _is_system(one)
    ]
    if not kept_messages or not all(_is_text(one) for one in kept_messages):
        return None
    blot = _blotter(policy.redact)
    dropped = frozenset(policy.drop_fields)
    kept = {name: body[name] for name in body if name in KEPT_FIELDS and name not in dropped}
    # A tool's own name is part of what is asked, not of who asks.
    return cast("dict[str, Any]", _clean(kept | {"messages": kept_messages}, dropped, blot))


def blot_out(text: str, patterns: Iterable[str] = ()) -> str:
    """The text with everything that looks like a key, an e-mail address, a card or a telephone number blotted out."""
    return _blotter(patterns)(text)


def _blotter(patterns: Iterable[str]) -> Callable[[str], str]:
    own = [re.compile(pattern) for pattern in patterns]

    def blot(text: str) -> str:
        for pattern in own:
            text = pattern.sub("[redacted]", text)
        text = _KEY.sub("[key]", text)
        text = _EMAIL.sub("[email]", text)
        text = _LONG_SECRET.sub("[key]", text)
        text = _IBAN.sub("[account]", text)
        return _DIGITS.sub(_number, text)

    return blot


def _number(found: re.Match[str]) -> str:
    """Cards are told by their check digit. Other long numbers with the shape of a telephone number go, too."""
    digits = re.sub(r"\D", "", found[0])
    if 13 <= len(digits) <= 19 and is_card(digits):
        return "[card]"
    return "[phone]" if 7 <= len(digits) <= 15 else "[number]"


def is_card(digits: str) -> bool:
    """The check digit of ISO/IEC 7812 (H. P. Luhn): every second digit from the right doubled, sum divisible by 10."""
    doubled = [int(one) * (2 if place % 2 else 1) for place, one in enumerate(reversed(digits))]
    return sum(one - 9 if one > 9 else one for one in doubled) % 10 == 0


def _clean(value: Any, dropped: frozenset[str], blot: Callable[[str], str], depth: int = 0) -> Any:
    if depth > MOST_DEPTH:
        return NESTED_TOO_DEEP
    if isinstance(value, str):
        return blot(value)
    if isinstance(value, list):
        return [_clean(one, dropped, blot, depth + 1) for one in cast("list[Any]", value)]
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        is_function = "parameters" in fields or "arguments" in fields
        return {
            blot(name): _clean(one, dropped, blot, depth + 1)
            for name, one in fields.items()
            if name not in dropped or (name == "name" and is_function)
        }
    return value


def _is_system(message: Any) -> bool:
    role = cast("dict[str, Any]", message).get("role") if isinstance(message, dict) else None
    return isinstance(role, str) and role in SYSTEM_ROLES


def _is_text(message: Any) -> bool:
    """Pictures and sound are not kept: nothing here could redact them."""
    if not isinstance(message, dict):
        return False
    content = cast("dict[str, Any]", message).get("content")
    if content is None or isinstance(content, str):
        return True
    return isinstance(content, list) and all(
        isinstance(part, dict) and cast("dict[str, Any]", part).get("type") == "text"
        for part in cast("list[Any]", content)
    )
