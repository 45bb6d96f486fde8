"""Whether two models mean the same by the same token id. Pure: works on parsed headers.

A divergence over a whole vocabulary says something only when both distributions are over the same tokens, and a text
is cut into the same tokens only when the rules for cutting agree. Everything shown is escaped and cut short.
"""

from dataclasses import dataclass, replace

from tidegate.gguf import Header, quote

PREFIX = "tokenizer.ggml."
SPECIAL_KINDS = frozenset({2, 3, 4, 5})
"""Unknown, control, user-defined, unused: tokens that no ordinary text is cut into."""
SHOWN_TOKENS = 12
NOTED = ("model", "pre", "add_bos_token", "add_eos_token", "bos_token_id", "eos_token_id")
RULES = ("merges", "scores")


@dataclass(frozen=True, slots=True)
class VocabularyMatch:
    """What differs, and whether a measurement makes sense all the same."""

    base_tokens: int
    cand_tokens: int
    differing: int = 0
    """Ids whose token is not the same, those of only one side included."""
    is_only_special: bool = False
    """All differing ones are special tokens."""
    examples: tuple[str, ...] = ()
    refusal: str = ""
    """Why nothing can be measured; empty when it can."""
    notes: tuple[str, ...] = ()
    """What a reader should know although it was measured."""


def match(base: Header, cand: Header) -> VocabularyMatch:
    """Compare token lists and their kinds. Whether texts are cut alike is tried with the texts themselves."""
    before, after = _texts(base, "tokens"), _texts(cand, "tokens")
    kinds = _kinds(base), _kinds(cand)
    shared = min(len(before), len(after))
    differing = [number for number in range(shared) if before[number] != after[number]]
    differing += range(shared, max(len(before), len(after)))
    special = [number for number in differing if _is_special(number, kinds)]
    examples = tuple(f"{number}: {_shown(before, number)} -> {_shown(after, number)}"
                     for number in differing[:SHOWN_TOKENS])  # fmt: skip
    found = VocabularyMatch(
        base_tokens=len(before),
        cand_tokens=len(after),
        differing=len(differing),
        is_only_special=bool(differing) and len(special) == len(differing),
        examples=examples,
        notes=_notes(base, cand),
    )
    return _judged(found)


def _judged(found: VocabularyMatch) -> VocabularyMatch:
    listed = ", ".join(found.examples)
    more = (
        f" and {found.differing - len(found.examples)} more" if found.differing > len(found.examples) else ""
    )
    which = f"{listed}{more}"
    if not found.base_tokens or not found.cand_tokens:
        return replace(found, refusal="a file has no list of tokens")
    if found.base_tokens != found.cand_tokens:
        sizes = f"the vocabularies have {found.base_tokens} and {found.cand_tokens} tokens"
        kind = "all of them special tokens" if found.is_only_special else "not only special tokens"
        return replace(found, refusal=f"{sizes}; {found.differing} ids differ, {kind}: {which}")
    if found.differing and not found.is_only_special:
        return replace(found, refusal=f"{found.differing} of {found.base_tokens} tokens differ: {which}")
    if found.differing:
        what = "special token differs" if found.differing == 1 else "special tokens differ"
        note = f"Only {found.differing} {what}, all others are the same: {which}."
        return replace(found, notes=(note, *found.notes))
    return found


def _notes(base: Header, cand: Header) -> tuple[str, ...]:
    notes = [
        f"{name} is {_scalar(base, name)} in the baseline and {_scalar(cand, name)} in the candidate."
        for name in NOTED
        if _scalar(base, name) != _scalar(cand, name)
    ]
    notes += [f"The {name} of the tokenizers differ." for name in RULES if _differs(base, cand, name)]
    if base.text("tokenizer.chat_template") != cand.text("tokenizer.chat_template"):
        notes.append("The chat templates differ: conversations are written with the candidate's for both.")
    return tuple(notes)


def _differs(base: Header, cand: Header, name: str) -> bool:
    one, two = base.array(PREFIX + name), cand.array(PREFIX + name)
    if one is None or two is None:
        return one is not two
    return (one.count, one.raw) != (two.count, two.raw)


def _scalar(header: Header, name: str) -> str:
    value = header.metadata.get(PREFIX + name)
    if value is None or not isinstance(value.content, str | int | float):
        return "none"
    return quote(value.content) if isinstance(value.content, str) else str(value.content)


def _texts(header: Header, name: str) -> list[bytes]:
    array = header.array(PREFIX + name)
    return [] if array is None else array.strings()


def _kinds(header: Header) -> list[int]:
    array = header.array(PREFIX + "token_type")
    return [] if array is None else [int(kind) for kind in array.numbers()]


def _is_special(number: int, kinds: tuple[list[int], list[int]]) -> bool:
    """In every file that has the token."""
    found = [side[number] for side in kinds if number < len(side)]
    return bool(found) and all(kind in SPECIAL_KINDS for kind in found)


def _shown(texts: list[bytes], number: int) -> str:
    return quote(texts[number]) if number < len(texts) else "none"
