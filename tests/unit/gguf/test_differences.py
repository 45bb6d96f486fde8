"""Differences between two files: template, tokenizer, metadata and tensors."""

import io

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.gguf.writer import (
    ARRAY,
    F32,
    I32,
    STRING,
    TEMPLATE,
    TYPE_F32,
    U32,
    File,
    tiny_llama,
    vocabulary,
)
from tidegate.gguf import (
    Header,
    Severity,
    check_against_baseline,
    header_diff,
    read_header,
    template_diff,
    template_diffs,
    template_digest,
    tokenizer_diff,
)
from tidegate.gguf.header_diff import SHOWN_ROWS
from tidegate.gguf.tokenizer_diff import SHOWN_LINES, SHOWN_TOKENS

TINY = tiny_llama()
KEY = "tokenizer.chat_template"


def _header(file: File) -> Header:
    header = read_header(io.BytesIO(file.encode())).header
    assert header is not None
    return header


BASE = _header(TINY)


def _with_tokens(tokens: list[str], kinds: list[int]) -> Header:
    return _header(
        TINY.with_pair("tokenizer.ggml.tokens", ARRAY, tokens, STRING)
        .with_pair("tokenizer.ggml.token_type", ARRAY, kinds, I32)
        .with_pair("tokenizer.ggml.scores", ARRAY, [float(-place) for place in range(len(tokens))], F32)
    )


def test_a_file_does_not_differ_from_itself():
    assert all(diff.is_same for diff in template_diffs(BASE, BASE))
    assert tokenizer_diff(BASE, BASE).is_same
    assert header_diff(BASE, BASE).is_same
    assert check_against_baseline(BASE, BASE) == ()


def test_line_ends_and_trailing_spaces_make_no_other_template():
    assert template_digest("a \r\nb\n") == template_digest("a\nb")
    assert template_digest("a\nb") != template_digest("a\nB")
    assert template_digest(None) == ""


def test_a_template_diff_shows_the_lines_that_differ():
    diff = template_diff("{% if a %}\nx\n{% endif %}", "{% if a %}\ny\nz\n{% endif %}")
    assert (diff.added_lines, diff.removed_lines) == (2, 1)
    assert "-x" in diff.diff
    assert "+z" in diff.diff
    assert diff.summary() == "tokenizer.chat_template differs: 2 lines added, 1 removed."


def test_a_template_of_one_line_is_compared_by_its_tags():
    old = TEMPLATE * 3
    diff = template_diff(old, old.replace("add_generation_prompt", "true", 1))
    assert (diff.added_lines, diff.removed_lines) == (1, 1)


def test_a_diff_is_capped_and_safe_to_print():
    diff = template_diff("a", "\n".join(f"\x1b[2J\u202e line {number}" for number in range(500)))
    assert len(diff.diff) == SHOWN_LINES + 1
    assert diff.diff[-1].endswith("more lines")
    assert not any("\x1b" in line or "\u202e" in line for line in diff.diff)


def test_added_and_removed_templates_are_told():
    assert template_diff(None, "x").summary() == "tokenizer.chat_template was added."
    assert template_diff("x", None).summary() == "tokenizer.chat_template was removed."
    named = _header(TINY.with_pair(KEY + ".tool_use", STRING, "x"))
    assert [diff.is_same for diff in template_diffs(BASE, named)] == [True, False]


def test_added_removed_and_moved_tokens_are_counted_and_shown():
    tokens, kinds = vocabulary()
    tokens[-1], tokens[-2], tokens[-3] = tokens[-2], tokens[-1], "brand-new"
    diff = tokenizer_diff(BASE, _with_tokens(tokens, kinds))
    assert (diff.added, diff.removed, diff.moved) == (1, 1, 2)
    assert any("brand-new" in example for example in diff.examples)
    assert "1 tokens added" in diff.summary()


def test_changed_types_scores_and_special_ids_are_told():
    tokens, kinds = vocabulary()
    kinds[-6] = 1
    diff = tokenizer_diff(BASE, _with_tokens(tokens, kinds))
    assert diff.kinds_changed == 1
    assert any("control -> normal" in example for example in diff.examples)
    other = _header(TINY.with_pair("tokenizer.ggml.eos_token_id", U32, 1))
    assert tokenizer_diff(BASE, other).changed["eos_token_id"] == ("2 '</s>'", "1 '<s>'")
    scored = _header(TINY.with_pair("tokenizer.ggml.scores", ARRAY, [0.0] * len(tokens), F32))
    assert tokenizer_diff(BASE, scored).scores_changed == len(tokens) - 1


def test_changed_merges_are_counted():
    one = _header(TINY.with_pair("tokenizer.ggml.merges", ARRAY, ["a b", "c d"], STRING))
    two = _header(TINY.with_pair("tokenizer.ggml.merges", ARRAY, ["a b", "c e"], STRING))
    three = _header(TINY.with_pair("tokenizer.ggml.merges", ARRAY, ["c d", "a b"], STRING))
    assert tokenizer_diff(one, two).merges_changed == 2
    assert tokenizer_diff(one, three).merges_changed == 2


def test_many_new_tokens_are_shown_in_part():
    tokens, kinds = vocabulary()
    new = [f"new{number}" for number in range(500)]
    diff = tokenizer_diff(BASE, _with_tokens(tokens + new, kinds + [1] * 500))
    assert diff.added == 500
    assert len(diff.examples) == SHOWN_TOKENS


def test_metadata_and_tensors_that_differ_are_listed_without_the_tokenizer():
    other = _header(
        TINY.with_pair("llama.context_length", U32, 99)
        .with_pair("general.x", ARRAY, list(range(SHOWN_ROWS)), I32)
        .with_pair("tokenizer.ggml.x", U32, 1)
        .with_tensor("blk.0.attn_q.weight", kind=TYPE_F32)
    )
    diff = header_diff(BASE, other)
    assert [change.name for change in diff.metadata] == ["llama.context_length", "general.x"]
    assert diff.metadata[1].new == f"{SHOWN_ROWS} items of I32"
    assert [change.name for change in diff.tensors] == ["blk.0.attn_q.weight"]
    assert {change.name for change in diff.types} == {"F16", "F32"}
    assert diff.summary() == "2 metadata keys and 1 tensors differ."


def test_another_template_than_the_baseline_is_a_warning_with_the_difference():
    other = _header(TINY.with_pair(KEY, STRING, TEMPLATE + "\n{# x #}"))
    found = check_against_baseline(BASE, other)
    assert [(one.check, one.severity) for one in found] == [("C-BASE", Severity.WARNING)]
    assert "+" in found[0].message


def test_a_word_that_the_baseline_did_not_act_on_is_an_error():
    tool = (
        "{% for m in messages %}{% if m.role == 'tool' and 'failed' in m.content %}x{% endif %}{% endfor %}"
    )
    switched = _header(TINY.with_pair(KEY, STRING, tool + TEMPLATE))
    assert Severity.ERROR in {one.severity for one in check_against_baseline(BASE, switched)}
    moved = _header(TINY.with_pair(KEY, STRING, "\n\n" + tool + TEMPLATE))
    assert {one.severity for one in check_against_baseline(switched, moved)} <= {Severity.WARNING}


def test_added_tokens_are_a_note_and_moved_ones_a_warning():
    tokens, kinds = vocabulary()
    added = check_against_baseline(BASE, _with_tokens([*tokens, "new"], [*kinds, 4]))
    assert [(one.check, one.severity) for one in added] == [("V-BASE", Severity.NOTE)]
    tokens[-1], tokens[-2] = tokens[-2], tokens[-1]
    moved = check_against_baseline(BASE, _with_tokens(tokens, kinds))
    assert [(one.check, one.severity) for one in moved] == [("V-BASE", Severity.WARNING)]


@settings(max_examples=60, deadline=None)
@given(old=st.text(max_size=300), new=st.text(max_size=300))
def test_any_two_templates_can_be_compared(old: str, new: str):
    diff = template_diff(old, new)
    assert all(line.isprintable() for line in diff.diff)
    assert diff.is_same == (template_digest(old) == template_digest(new))
