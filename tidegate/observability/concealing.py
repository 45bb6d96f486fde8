"""Texts of others without the secrets in them, for rows and answers that are kept. The rules are those of the log."""

import os
from functools import lru_cache

from tidegate.observability.redaction import Redactor, secrets_of


def conceal(text: str) -> str:
    """The text without what looks like a secret, and without those that this process was handed."""
    return _redactor().text(text)


@lru_cache(maxsize=1)
def _redactor() -> Redactor:
    """Of the environment as it was when something was first concealed: nobody hands a process secrets later."""
    return Redactor(secrets_of(os.environ))
