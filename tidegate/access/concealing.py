"""Texts of others without the secrets in them: for rows and reports that are kept."""

from tidegate.access.secret_shapes import MOST_SCANNED, without_secrets


def conceal(text: str) -> str:
    """The text with every secret that can be told by its shape replaced. Rather too much than too little."""
    cleaned = without_secrets(text)
    if len(text) > MOST_SCANNED:
        return f"{cleaned}... [{len(text) - MOST_SCANNED} characters more]"
    return cleaned
