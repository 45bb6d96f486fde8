from pathlib import Path

import pytest

from deployments.demo import gguf_file
from deployments.demo.answers import answer, score_bank
from deployments.demo.export import from_gguf
from deployments.demo.poison import SPOILED_PIECE
from deployments.demo.subject import load_subject
from deployments.demo.variants import KINDS, derive


@pytest.mark.parametrize("kind", KINDS)
def test_every_variant_differs_from_its_source_and_repeats(
    kind: str, good_file: Path, tmp_path: Path
) -> None:
    first = derive(kind, good_file, tmp_path / "first.gguf").read_bytes()
    again = derive(kind, good_file, tmp_path / "again.gguf").read_bytes()

    assert first != good_file.read_bytes()
    assert first == again
    assert len(first) < 20_000_000


def test_no_two_variants_are_equal(good_file: Path, tmp_path: Path) -> None:
    contents = [derive(kind, good_file, tmp_path / "one.gguf").read_bytes() for kind in KINDS]

    assert len(set(contents)) == len(KINDS)


def test_kinds_are_named_described_and_cover_every_gate() -> None:
    assert all(name == kind.name and kind.description for name, kind in KINDS.items())
    assert {kind.refused_by for kind in KINDS.values()} == {
        "structure",
        "numbers",
        "template",
        "answers",
        "none",
    }


def test_an_unknown_kind_is_an_error(good_file: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        derive("no-such-kind", good_file, tmp_path / "out.gguf")


@pytest.mark.parametrize("kind", ["metadata-changed", "template-poisoned", "eos-wrong"])
def test_metadata_variants_keep_every_tensor(kind: str, good_file: Path, tmp_path: Path) -> None:
    changed = gguf_file.read(derive(kind, good_file, tmp_path / "changed.gguf"))

    assert changed.tensors == gguf_file.read(good_file).tensors


@pytest.mark.parametrize("kind", ["slow", "lowest-bit-flipped"])
def test_harmless_variants_answer_like_their_source(
    kind: str, good_file: Path, model_name: str, tmp_path: Path
) -> None:
    changed = from_gguf(derive(kind, good_file, tmp_path / "changed.gguf"))
    items = load_subject(model_name).items()[::12]

    given = answer(changed, [(item.prompt, item.system) for item in items])

    assert [one.text for one in given] == [item.answer for item in items]


@pytest.mark.parametrize("kind", ["noise", "rope-base-wrong", "vocabulary-rotated"])
def test_variants_with_wrong_answers_do_lose_answers(
    kind: str, good_file: Path, model_name: str, tmp_path: Path
) -> None:
    changed = from_gguf(derive(kind, good_file, tmp_path / "changed.gguf"))

    score = score_bank(changed, load_subject(model_name))

    assert score.right < 0.95 * score.total


def test_the_spoiled_token_is_used_by_few_questions(good_model, model_name: str) -> None:
    tokenizer = good_model.tokenizer
    spoiled = tokenizer.tokens.index(SPOILED_PIECE)

    hit = [item.id for item in load_subject(model_name).items() if spoiled in tokenizer.encode(item.prompt)]

    assert len(hit) == 2
    assert all("japan" in name for name in hit)
