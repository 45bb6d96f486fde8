import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.demo.tokenizer import BYTE_OFFSET, SPACE, TEXT_OFFSET, Tokenizer, train_tokenizer

TRAINED = train_tokenizer(
    [
        "What is the capital of France?",
        "Name the capital of Italy.",
        '{"country": "France"}',
        "What is 7 plus 12?",
    ]
    * 3,
    size=TEXT_OFFSET + 95 + 40,
)

# U+2581 is how the vocabulary writes a space, so it cannot come back as itself.
TEXTS = st.text(st.characters(exclude_characters=SPACE, exclude_categories=["Cs"]), max_size=60)
FAMILIAR = st.lists(
    st.sampled_from(
        ["the", " capital", " of", "What", "is ", "12", "?", "  ", "'", "{", "é", '"', ". ", "France"]
    )
).map("".join)


@given(TEXTS | FAMILIAR)
def test_every_text_comes_back_as_itself(text: str) -> None:
    assert TRAINED.decode(TRAINED.encode(text)) == text


@given(TEXTS | FAMILIAR)
def test_cutting_into_words_first_changes_no_token(text: str) -> None:
    assert TRAINED.encode(text) == TRAINED.encode_whole(text)


def test_an_unknown_character_becomes_its_bytes() -> None:
    assert TRAINED.encode("é") == [BYTE_OFFSET + byte for byte in "é".encode()]


def test_a_role_marker_in_a_text_stays_text() -> None:
    assert all(TRAINED.types[token] == 1 for token in TRAINED.encode("<|system|></s>"))


def test_digits_are_single_tokens() -> None:
    assert len(TRAINED.encode("1212")) == 4


def test_vocabulary_has_the_wanted_size_and_no_text_twice(good_model) -> None:
    tokens = good_model.tokenizer.tokens

    assert len(tokens) == 768
    assert len(set(tokens)) == 768


def test_a_vocabulary_larger_than_the_texts_allow_is_refused() -> None:
    with pytest.raises(ValueError, match="use a smaller vocabulary"):
        train_tokenizer(["ab"], size=TEXT_OFFSET + 95 + 40)


def test_the_leftmost_of_two_equal_pairs_is_merged_first() -> None:
    tokenizer = Tokenizer(["a", "aa"], [-1.0, 0.0], [1, 1])

    assert tokenizer.encode_whole("aaa") == [1, 0]
