"""Which vocabularies can be compared, and how exactly it is told when not."""

import io

from tests.unit.gguf.writer import ARRAY, BOOL, I32, STRING, tiny_llama, vocabulary
from tidegate.drift.vocabulary import match
from tidegate.gguf import Header, read_header

TOKENS, KINDS = "tokenizer.ggml.tokens", "tokenizer.ggml.token_type"
CONTROL, NORMAL = 3, 1
NAMES, TYPES = vocabulary()
WORD = NAMES.index("word1")


def header(
    renamed: dict[int, str] | None = None, more: list[tuple[str, int]] | None = None, **pairs: bool
) -> Header:
    """The tiny model with some tokens renamed or added, and some settings."""
    tokens = [(renamed or {}).get(number, name) for number, name in enumerate(NAMES)]
    tokens += [name for name, _ in more or []]
    kinds = [*TYPES, *(kind for _, kind in more or [])]
    file = tiny_llama().with_pair(TOKENS, ARRAY, tokens, STRING).with_pair(KINDS, ARRAY, kinds, I32)
    for name, value in pairs.items():
        file = file.with_pair(f"tokenizer.ggml.{name}", BOOL, int(value))
    found = read_header(io.BytesIO(file.encode())).header
    assert found is not None
    return found


def test_equal_vocabularies_match_without_a_note():
    found = match(header(), header())
    assert (found.refusal, found.notes, found.differing) == ("", (), 0)
    assert found.base_tokens == len(NAMES)


def test_an_ordinary_token_that_differs_refuses_and_is_named():
    found = match(header(), header({WORD: "wort"}))
    assert found.refusal == f"1 of {len(NAMES)} tokens differ: {WORD}: 'word1' -> 'wort'"


def test_special_tokens_alone_are_compared_all_the_same_and_told_exactly():
    found = match(header(), header({1: "<|begin|>"}))
    assert found.refusal == ""
    assert found.is_only_special
    assert found.notes[0] == (
        "Only 1 special token differs, all others are the same: 1: '<s>' -> '<|begin|>'."
    )


def test_added_tokens_refuse_with_what_kind_they_are():
    special = match(header(), header(more=[("<|im_start|>", CONTROL), ("<|im_end|>", CONTROL)]))
    assert (
        f"{len(NAMES)} and {len(NAMES) + 2} tokens; 2 ids differ, all of them special tokens"
        in special.refusal
    )
    assert f"{len(NAMES)}: none -> '<|im_start|>'" in special.refusal
    normal = match(header(more=[("new", NORMAL)]), header())
    assert "not only special tokens" in normal.refusal


def test_many_differing_tokens_are_counted_and_a_few_are_shown():
    words = {number: f"w{number}" for number in range(3, 100)}
    found = match(header(), header(words))
    assert found.refusal.endswith("and 85 more")
    assert len(found.examples) == 12


def test_other_settings_of_the_tokenizer_are_noted():
    found = match(header(add_bos_token=True), header(add_bos_token=False))
    assert found.notes == ("add_bos_token is True in the baseline and False in the candidate.",)
