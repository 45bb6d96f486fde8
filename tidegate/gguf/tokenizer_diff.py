"""What differs between the chat templates and tokenizers of two files. Pure: works on parsed headers.

Everything shown is capped, and texts of the files are escaped: a diff is read by people and put into reports.
"""

import difflib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from tidegate.gguf.findings import quote
from tidegate.gguf.header import Header

TEMPLATE_KEY = "tokenizer.chat_template"
PREFIX = "tokenizer.ggml."
SHOWN_LINES = 80
SHOWN_CHARACTERS = 200
SHOWN_TOKENS = 10
LONGEST_COMPARED = 64 * 1024
KINDS = ("", "normal", "unknown", "control", "user-defined", "unused", "byte")


@dataclass(frozen=True, slots=True)
class TemplateDiff:
    """One template of two files. A missing one has an empty digest."""

    key: str
    old_digest: str
    new_digest: str
    added_lines: int = 0
    removed_lines: int = 0
    diff: tuple[str, ...] = ()
    """Lines of a unified diff, cut after SHOWN_LINES."""

    @property
    def is_same(self) -> bool:
        return self.old_digest == self.new_digest

    def summary(self) -> str:
        if self.is_same:
            return f"{self.key} is the same." if self.new_digest else f"Neither file has {self.key}."
        if not self.old_digest or not self.new_digest:
            return f"{self.key} was {'removed' if self.old_digest else 'added'}."
        return f"{self.key} differs: {self.added_lines} lines added, {self.removed_lines} removed."


@dataclass(frozen=True, slots=True)
class TokenizerDiff:
    """Lists hold a few readable examples; the counts are exact."""

    changed: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    """Model, pre-tokenizer, vocabulary size, special ids and switches: old and new value."""
    added: int = 0
    removed: int = 0
    moved: int = 0
    kinds_changed: int = 0
    scores_changed: int = 0
    merges_changed: int = 0
    examples: tuple[str, ...] = ()

    @property
    def is_same(self) -> bool:
        counts = (self.added, self.removed, self.moved, self.kinds_changed, self.scores_changed)
        return not self.changed and not any((*counts, self.merges_changed))

    def summary(self) -> str:
        if self.is_same:
            return "The tokenizer is the same."
        counted = {
            "tokens added": self.added, "removed": self.removed, "moved to another id": self.moved,
            "with another type": self.kinds_changed, "with another score": self.scores_changed,
            "merges changed": self.merges_changed,
        }  # fmt: skip
        parts = [f"{name} {old} -> {new}" for name, (old, new) in self.changed.items()]
        parts += [f"{count} {what}" for what, count in counted.items() if count]
        return f"The tokenizer differs: {', '.join(parts)}."


def normalized(template: str) -> str:
    """Line ends and the ends of lines do not matter to a prompt that anybody would notice."""
    lines = template.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def template_digest(template: str | None) -> str:
    """SHA-256 of the normalised template; empty for none."""
    if template is None:
        return ""
    return hashlib.sha256(normalized(template).encode("utf-8", "surrogatepass")).hexdigest()


def template_diffs(old: Header, new: Header) -> tuple[TemplateDiff, ...]:
    """One for each key of either file that names a template, the default template first."""
    keys = {key for header in (old, new) for key in header.metadata if key.startswith(TEMPLATE_KEY + ".")}
    return tuple(
        template_diff(old.text(key), new.text(key), key=key) for key in (TEMPLATE_KEY, *sorted(keys))
    )


def template_diff(old: str | None, new: str | None, *, key: str = TEMPLATE_KEY) -> TemplateDiff:
    """Compare two templates. Long ones are compared by their beginnings; the digests are of the whole."""
    digests = template_digest(old), template_digest(new)
    shown_key = key if key == TEMPLATE_KEY else quote(key)
    if digests[0] == digests[1] or old is None or new is None:
        return TemplateDiff(shown_key, *digests)
    before, after = _lines(old), _lines(new)
    lines = list(difflib.unified_diff(before, after, "baseline", "candidate", lineterm="", n=2))
    added = sum(line.startswith("+") for line in lines[2:])
    removed = sum(line.startswith("-") for line in lines[2:])
    shown = tuple(_shown(line) for line in lines[:SHOWN_LINES])
    if len(lines) > SHOWN_LINES:
        shown = (*shown, f"... {len(lines) - SHOWN_LINES} more lines")
    return TemplateDiff(shown_key, *digests, added, removed, shown)


def _lines(template: str) -> list[str]:
    """Templates are often one long line; broken at their tags they can be read and compared."""
    text = normalized(template)[:LONGEST_COMPARED]
    if text.count("\n") < len(text) // SHOWN_CHARACTERS:
        text = text.replace("{%", "\n{%").replace("%}", "%}\n").replace("\n\n", "\n")
    return text.split("\n")


def _shown(line: str) -> str:
    cut = line[:SHOWN_CHARACTERS] + ("..." if len(line) > SHOWN_CHARACTERS else "")
    return "".join(
        character if character.isprintable() and (character.isascii() or character.isalpha())
        else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in cut
    )  # fmt: skip


def tokenizer_diff(old: Header, new: Header) -> TokenizerDiff:
    """Compare everything under `tokenizer.ggml.`. Linear in the vocabularies."""
    before, after = _texts(old, "tokens"), _texts(new, "tokens")
    changed = _changed_scalars(old, new)
    if len(before) != len(after):
        changed = {"vocabulary": (str(len(before)), str(len(after))), **changed}
    if before == after:
        added, removed, moved, examples = 0, 0, 0, []
    else:
        added, removed, moved, examples = _moved_tokens(before, after)
    kinds, kind_examples = _changed_kinds(old, new, before, after)
    return TokenizerDiff(
        changed=changed,
        added=added,
        removed=removed,
        moved=moved,
        kinds_changed=kinds,
        scores_changed=_changed_numbers(old, new, "scores"),
        merges_changed=_changed_merges(_texts(old, "merges"), _texts(new, "merges")),
        examples=tuple([*examples, *kind_examples][: 3 * SHOWN_TOKENS]),
    )


def _texts(header: Header, name: str) -> list[bytes]:
    array = header.array(PREFIX + name)
    return [] if array is None else array.strings()


def _changed_scalars(old: Header, new: Header) -> dict[str, tuple[str, str]]:
    """Single values that differ, special tokens with their texts."""
    names = sorted({
        key for header in (old, new) for key, value in header.metadata.items()
        if key.startswith(PREFIX) and isinstance(value.content, (str, int, float))
    })  # fmt: skip
    changed: dict[str, tuple[str, str]] = {}
    for key in names:
        shown = _scalar(old, key), _scalar(new, key)
        if shown[0] != shown[1]:
            changed[key.removeprefix(PREFIX)[:64].encode("ascii", "replace").decode()] = shown
        if len(changed) == SHOWN_TOKENS * 3:
            break
    return changed


def _scalar(header: Header, key: str) -> str:
    value = header.metadata.get(key)
    if value is None:
        return "none"
    if isinstance(value.content, str):
        return quote(value.content)
    number = header.integer(key)
    if number is not None and key.endswith("_id"):
        texts = _token(header, number)
        return f"{number} {texts}".strip()
    return str(value.content) if isinstance(value.content, (int, float)) else "an array"


def _token(header: Header, number: int) -> str:
    array = header.array(PREFIX + "tokens")
    texts = _texts(header, "tokens") if array is not None and 0 <= number < array.count else []
    return quote(texts[number]) if number < len(texts) else ""


def _moved_tokens(before: list[bytes], after: list[bytes]) -> tuple[int, int, int, list[str]]:
    old_ids = {text: number for number, text in enumerate(before)}
    new_ids = {text: number for number, text in enumerate(after)}
    added = [text for text in new_ids if text not in old_ids]
    removed = [text for text in old_ids if text not in new_ids]
    moved = [text for text, number in new_ids.items() if old_ids.get(text, number) != number]
    examples = [f"added {new_ids[text]} {quote(text)}" for text in added[:SHOWN_TOKENS]]
    examples += [f"removed {old_ids[text]} {quote(text)}" for text in removed[:SHOWN_TOKENS]]
    examples += [f"moved {quote(text)} {old_ids[text]} -> {new_ids[text]}" for text in moved[:SHOWN_TOKENS]]
    return len(added), len(removed), len(moved), examples


def _changed_kinds(
    old: Header, new: Header, before: list[bytes], after: list[bytes]
) -> tuple[int, list[str]]:
    """Tokens of the same text that changed from control to normal, or the like."""
    arrays = old.array(PREFIX + "token_type"), new.array(PREFIX + "token_type")
    if arrays[0] is None or arrays[1] is None or (before == after and arrays[0].raw == arrays[1].raw):
        return 0, []
    old_kinds = dict(zip(before, arrays[0].numbers(), strict=False))
    rows = [
        (text, old_kinds[text], kind)
        for text, kind in zip(after, arrays[1].numbers(), strict=False)
        if old_kinds.get(text, kind) != kind
    ]
    examples = [f"{quote(text)} {_kind(was)} -> {_kind(now)}" for text, was, now in rows[:SHOWN_TOKENS]]
    return len(rows), examples


def _kind(number: float) -> str:
    return KINDS[int(number)] if 0 < number < len(KINDS) else str(number)


def _changed_numbers(old: Header, new: Header, name: str) -> int:
    arrays = old.array(PREFIX + name), new.array(PREFIX + name)
    if arrays[0] is None or arrays[1] is None:
        return max((array.count for array in arrays if array is not None), default=0)
    if arrays[0].item_type == arrays[1].item_type and arrays[0].raw == arrays[1].raw:
        return 0
    before, after = arrays[0].numbers(), arrays[1].numbers()
    return sum(one != two for one, two in zip(before, after, strict=False)) + abs(len(before) - len(after))


def _changed_merges(before: list[bytes], after: list[bytes]) -> int:
    """Merges of only one file; when the sets agree, places where the order differs."""
    if before == after:
        return 0
    different = len(set(before) ^ set(after))
    return different or sum(one != two for one, two in zip(before, after, strict=False))
