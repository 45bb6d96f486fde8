"""Texts are found in a vocabulary, and told apart, without making a string of every token."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.gguf.header import ArrayValue, ValueType
from tidegate.gguf.token_search import marks_of, places_of

TEXTS = st.lists(
    st.binary(max_size=20) | st.sampled_from([b"", b"<|end|>", b"<|end|>x", b"<|im_end|>", b"\0"])
)


def _array(texts: list[bytes]) -> ArrayValue:
    """As the reader gives it, behind some other bytes of a header."""
    source, starts = bytearray(b"header.."), []
    for text in texts:
        source += struct.pack("<Q", len(text))
        starts.append(len(source))
        source += text
    item, offset = ValueType.STRING, 8
    array = ArrayValue(item, len(texts), offset, len(source), bytes(source))
    array.starts.extend(starts)
    return array


@given(TEXTS, st.frozensets(st.sampled_from([b"", b"<|end|>", b"<|im_end|>", b"\0", b"\0\0"])))
def test_the_last_token_of_each_wanted_text_is_found(texts: list[bytes], wanted: frozenset[bytes]):
    expected = {text: number for number, text in enumerate(texts) if text in wanted}

    assert places_of(_array(texts), wanted) == expected


@given(TEXTS)
def test_equal_texts_have_equal_marks(texts: list[bytes]):
    marks = marks_of(_array([*texts, *texts])).tolist()

    assert marks[: len(texts)] == marks[len(texts) :]


@pytest.mark.parametrize("form", ["{}", "word{}", "word{:08}", "▁{:04x}", "a quite long word {}"])
def test_words_that_count_upward_have_marks_of_their_own(form: str):
    texts = [form.format(number).encode() for number in range(40_000)]

    assert np.unique(marks_of(_array(texts))).size == len(texts)
