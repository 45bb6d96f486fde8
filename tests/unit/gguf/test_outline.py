"""The outline of a model: everything an engine needs to plan, and nothing that the file said in words."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.gguf.writer import ARRAY, F32, I32, STRING, TEMPLATE, U32, U64, tiny_llama
from tidegate.gguf import Header, outline, read_header

TINY = tiny_llama()


def _read(raw: bytes) -> Header:
    reading = read_header(raw)
    assert reading.header is not None
    assert reading.findings == ()
    return reading.header


def test_an_outline_has_the_same_tensors_and_settings_and_as_many_tokens():
    header = _read(tiny_llama().encode())
    drawn = outline(header)
    again = _read(drawn + bytes(header.file_bytes))
    assert again.data_start == len(drawn)
    shape = [(tensor.name, tensor.dims, tensor.type_id, tensor.offset) for tensor in header.tensors]
    assert [(tensor.name, tensor.dims, tensor.type_id, tensor.offset) for tensor in again.tensors] == shape
    tokens = header.array("tokenizer.ggml.tokens")
    assert tokens is not None
    assert again.of_model("vocab_size") == tokens.count
    assert again.text("tokenizer.ggml.model") == "no_vocab"


def test_an_outline_holds_no_word_of_the_file():
    drawn = outline(_read(tiny_llama().encode()))
    assert TEMPLATE.encode() not in drawn
    assert b"word1" not in drawn
    assert len(drawn) < 4096


@settings(max_examples=15, deadline=None)
@given(
    st.one_of(
        st.tuples(st.just(U32), st.integers(0, 2**32 - 1)),
        st.tuples(st.just(U64), st.integers(0, 2**64 - 1)),
        st.tuples(st.just(F32), st.floats(width=32, allow_nan=False)),
        st.tuples(st.just(STRING), st.text(max_size=20).filter(lambda text: "\0" not in text)),
        st.tuples(st.just(ARRAY), st.lists(st.integers(-9, 9), max_size=9), st.just(I32)),
    )
)
def test_values_of_every_type_keep_their_type_and_content(value: tuple[int, ...]):
    header = _read(TINY.with_pair("llama.added", *value).encode())
    again = _read(outline(header) + bytes(header.file_bytes))
    before, after = header.metadata["llama.added"], again.metadata["llama.added"]
    assert before.type == after.type
    same = header.array("llama.added"), again.array("llama.added")
    assert before.content == after.content or (same[0] and same[1] and same[0].raw == same[1].raw)
