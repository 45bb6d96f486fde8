"""Caps on what a file may ask of us. Each is far above any model seen in public and far below harm."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """A file beyond any of these is refused with a finding; nothing is ever allocated by a number from the file."""

    max_header_bytes: int = 40 * 1024**2
    """Twice the largest known; a reader that joins pieces holds it twice for a moment."""
    max_text_bytes: int = 8 * 1024**2
    """Of all keys, tensor names and string values together, as far as they are kept."""
    max_kept_text_bytes: int = 1024**2
    """Of one string value; a longer one is read over and kept as its beginning."""
    max_metadata: int = 65_536
    max_tensors: int = 65_536
    max_key_bytes: int = 65_535
    max_tensor_name_bytes: int = 63
    max_array_items: int = 16 * 1024**2
    max_string_items: int = 2 * 1024**2
    max_dims: int = 4
    max_blocks: int = 512
    max_experts: int = 1024
    max_token_bytes: int = 64 * 1024
    max_vocabulary: int = 1024**2
    max_template_bytes: int = 256 * 1024
    usual_template_bytes: int = 64 * 1024
    max_template_depth: int = 120
    max_template_tags: int = 4000
    max_templates: int = 32
    max_findings_per_check: int = 10
    max_findings: int = 200


LIMITS = Limits()
