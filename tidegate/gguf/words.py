"""Long lists of words in source, written as running text."""


def words(text: str) -> frozenset[str]:
    """The distinct words of a text."""
    return frozenset(text.split())
