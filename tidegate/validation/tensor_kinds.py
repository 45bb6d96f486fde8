"""What part of a model a tensor belongs to, by the names that every converter uses."""

import re

EMBEDDING, ATTENTION, FEED_FORWARD, EXPERTS = "embedding", "attention", "feed-forward", "experts"
NORM, OUTPUT, STATE, OTHER = "norm", "output", "state", "other"

# The first pattern that matches decides: norms are named after the part that they stand before.
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), kind)
    for pattern, kind in (
        (r"norm", NORM),
        (r"^(token_embd|position_embd|token_types|per_layer_token_embd)|embed_tokens", EMBEDDING),
        (r"^output\.|lm_head", OUTPUT),
        (r"_exps\b|_shexp\b|ffn_gate_inp|experts", EXPERTS),
        (r"ffn_|mlp\.", FEED_FORWARD),
        (r"attn_|self_attn|attention", ATTENTION),
        (r"ssm_|time_mix|channel_mix|shortconv", STATE),
    )
)


def tensor_kind(name: str) -> str:
    """`attention`, `feed-forward`, `embedding` and so on; `other` for a name that says nothing."""
    return next((kind for pattern, kind in _PATTERNS if pattern.search(name)), OTHER)
