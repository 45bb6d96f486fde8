"""What a file is for, told apart from whether it is damaged: not every sound GGUF file is a chat model."""

from collections.abc import Iterator

from tidegate.gguf.architecture import EMBEDDING_MODELS, LANGUAGE_MODELS, OTHER_KINDS, OTHER_MODELS
from tidegate.gguf.findings import Finding, Severity, quote
from tidegate.gguf.header import Header
from tidegate.gguf.rules import finding


def check_kind(header: Header) -> Iterator[Finding]:
    """Whether this is a model that can answer; otherwise what it is."""
    kind, architecture = header.text("general.type"), header.text("general.architecture")
    if kind in OTHER_KINDS:
        # An adapter is deployed with its base model, so that it is no reason to refuse by itself.
        level = Severity.WARNING if kind == "adapter" else Severity.ERROR
        yield _kind(header, "general.type", f"This is {OTHER_KINDS[kind]}, not a model.", level)
    elif architecture is None:
        if "general.architecture" not in header.metadata:
            yield finding("S-REQKEY", "general.architecture is missing.", subject="general.architecture")
    elif architecture in EMBEDDING_MODELS:
        text = f"{architecture} is an embedding model: it turns text into vectors and cannot chat."
        yield _kind(header, "general.architecture", text, Severity.WARNING)
    elif architecture in OTHER_MODELS:
        text = f"This is {OTHER_MODELS[architecture]}, not a chat model."
        yield _kind(header, "general.architecture", text, Severity.ERROR)
    elif architecture not in LANGUAGE_MODELS:
        at = header.metadata["general.architecture"].offset
        text = f"The engine does not know the architecture {quote(architecture)}."
        yield finding("S-ARCH", text, offset=at, subject=architecture)


def _kind(header: Header, key: str, text: str, level: Severity) -> Finding:
    return finding("S-KIND", text, offset=header.metadata[key].offset, subject=key, severity=level)


def is_whole_model(header: Header) -> bool:
    """Whether the rules about tensors and tokenizers of models hold for this file."""
    is_model = header.text("general.type") not in OTHER_KINDS
    return is_model and header.architecture in LANGUAGE_MODELS | EMBEDDING_MODELS
