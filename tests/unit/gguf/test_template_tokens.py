"""The marks of a template against the tokens of the vocabulary."""

import pytest

from tests.unit.gguf.judging import inspect
from tests.unit.gguf.writer import ARRAY, I32, STRING, File, tiny_llama, vocabulary

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
TINY = tiny_llama(width=32)


def _with_template(template: str, file: File = TINY) -> File:
    return file.with_pair("tokenizer.chat_template", STRING, template)


def _with_marks(kind: int, *marks: str) -> File:
    """The tiny model with the last of its words turned into marks."""
    tokens, kinds = vocabulary()
    tokens[-len(marks) :], kinds[-len(marks) :] = list(marks), [kind] * len(marks)
    return TINY.with_pair("tokenizer.ggml.tokens", ARRAY, tokens, STRING).with_pair(
        "tokenizer.ggml.token_type", ARRAY, kinds, I32
    )


def _found(file: File) -> list[tuple[str, str, str]]:
    findings = inspect(file).findings
    return [(one.check, one.severity.value, one.message) for one in findings if one.check.startswith("V-")]


def test_marks_that_the_vocabulary_does_not_have_are_named():
    found = {check: text for check, _, text in _found(_with_template(CHATML))}
    assert "'<|im_end|>', '<|im_start|>'" in found["V-MARKER"]
    assert "'</s>'" in found["V-TURN"]


def test_marks_that_are_ordinary_text_are_named_with_their_ids():
    found = _found(_with_template(CHATML, _with_marks(1, "<|im_start|>", "<|im_end|>")))
    assert [(check, severity) for check, severity, _ in found] == [("V-MARKER", "warning")]
    assert "'<|im_end|>' (id " in found[0][2]


@pytest.mark.parametrize("kind", [3, 4])
def test_marks_that_are_tokens_are_fine(kind: int):
    assert _found(_with_template(CHATML, _with_marks(kind, "<|im_start|>", "<|im_end|>"))) == []


def test_plain_text_marks_of_some_families_are_fine():
    zephyr = CHATML.replace("<|im_start|>' + m.role", "<|watcher|>'").replace("'<|im_end|>", "eos_token + '")
    assert _found(_with_template(zephyr.replace("<|im_start|>", "<|helper|>"))) == []


def test_a_template_that_writes_the_beginning_twice_is_a_warning():
    tokens, kinds = vocabulary()
    tokens[1] = "<|begin_of_text|>"
    file = TINY.with_pair("tokenizer.ggml.tokens", ARRAY, tokens, STRING)
    source = (
        "{{ bos_token }}<|begin_of_text|>{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}"
    )
    assert ("V-BOS2", "warning") in {
        (check, severity) for check, severity, _ in _found(_with_template(source, file))
    }
    assert len(kinds) == len(tokens)
