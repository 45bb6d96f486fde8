"""Texts of others without the secrets in them: for rows and reports that are kept."""

import re

from tidegate.access.request_token import mask

HIDDEN = "***"
# Each with the part that may stay, as group 1.
SHAPES = (
    # Authorization headers, whatever the scheme.
    re.compile(r"(?i)\b((?:bearer|basic|token)\s+)[\w.~+/=-]{8,}"),
    # A password or a token in a URL: user part, and whatever a chat service has as its path (Apprise URLs).
    re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@'\"]+@"),
    re.compile(
        r"(?i)\b((?:slack|discord|tgram|msteams|mmosts?|mailgun|sendgrid|pover|gotifys?|ntfys?|json|jsons|xml|xmls|"
        r"forms?|mailtos?|matrixs?|rockets?|zulip|webexteams|pagerduty|opsgenie)://)[^\s'\"]+"
    ),
    re.compile(r"(?i)(https://(?:hooks\.slack\.com|[\w.]*discord(?:app)?\.com/api/webhooks)/)[^\s'\"]+"),
    # Query strings of presigned addresses, and every other parameter that is named after a secret.
    re.compile(
        r"(?i)([?&](?:x-amz-(?:signature|credential|security-token)|x-goog-(?:signature|credential)|sig|signature|"
        r"token|access_token|api_?key|key|password|secret)=)[^&\s'\"]+"
    ),
    # NAME=value and "name": "value" of what is named after a secret.
    re.compile(
        r"(?i)\b([\w-]*(?:password|passwd|secret|token|api[_-]?key|credential)[\w-]*['\"]?\s*[=:]\s*['\"]?)(?!\s)[^\s'\",;}]{4,}"
    ),
    # Keys that say what they are: ours, RunPod, Hugging Face, Replicate, OpenAI, GitHub, AWS, Slack, Google.
    re.compile(
        r"\b()(?:tg_[\w-]{12,}|rpa_\w{12,}|hf_\w{12,}|r8_\w{12,}|sk-[\w-]{12,}|gh[pousr]_\w{16,}|AKIA[0-9A-Z]{12,}|"
        r"xox[abprs]-[\w-]{8,}|AIza[\w-]{20,}|glpat-[\w-]{12,})"
    ),
    re.compile(
        r"()-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)",
        re.DOTALL,
    ),
    # JSON web tokens.
    re.compile(r"\b()eyJ[\w-]{4,}\.[\w-]{4,}\.[\w-]+"),
)


def conceal(text: str) -> str:
    """The text with every secret that can be told by its shape replaced. Rather too much than too little."""
    text = mask(text)
    for shape in SHAPES:
        text = shape.sub(rf"\g<1>{HIDDEN}", text)
    return text
