"""Measures how two models differ along pinned texts: `python -m tidegate.drift.child`. The only engine of this room.

The job comes on standard input, the files as open descriptors that the structural checks have passed. Both models
are loaded at once where they fit; else one after the other, with the baseline's logits kept in a file of bounded
size that the parent made. That is exact either way: the same 32-bit logits are compared.
"""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from tidegate.drift.conversations import Conversations
from tidegate.drift.forcing import Forced, ForcedModel, block_of
from tidegate.drift.logit_store import LogitStore
from tidegate.drift.measuring import Watch, keep_logits, measure_text, noise_floor, portions
from tidegate.drift.tokenized import Cutter, CutText, chosen
from tidegate.drift.vocabulary import match
from tidegate.gguf import Header, header_diff, joined, read_header
from tidegate.validation.confinement import Message, confine, limits_from_argv, peak_memory_bytes, say
from tidegate.validation.engine_binding import engine_binding
from tidegate.validation.part_links import DESCRIPTORS

TEMPLATE = "tokenizer.chat_template"
NO_TEMPLATE = "Neither model has a chat template that may be used: conversations are left out."
NAMES = {"base": "baseline", "cand": "candidate"}


class CannotMeasure(Exception):
    """Why there is no result; the text is told."""


class NotLoaded(CannotMeasure):
    """The engine refuses a model, or has no room for it."""


class DoesNotFit(CannotMeasure):
    """The second model could not be loaded beside the first: perhaps it can in its place."""


def main(argv: list[str]) -> int:
    """Write one result."""
    limits, request = limits_from_argv(argv)
    output = os.dup(1)
    # Whatever the engine prints must not reach the parent as a message.
    os.dup2(2, 1)
    confine(limits)
    job: Message = json.loads(sys.stdin.buffer.read())
    result = _run(request, job, output)
    os.dup2(output, 1)
    say(result)
    return 0


def _run(request: Message, job: Message, output: int) -> Message:
    started = time.monotonic()
    base, cand = _header(request["base"]["files"]), _header(request["cand"]["files"])
    if base is None or cand is None:
        return {"problem": "one of the two headers cannot be read"}
    found = match(base, cand)
    told: Message = {
        "vocabulary": asdict(found),
        "header_changes": _changes(base, cand),
        "file_types": [base.integer("general.file_type"), cand.integer("general.file_type")],
    }
    if found.refusal:
        return told
    template = _template(base, cand) if job["may_use_template"] else ""
    if not template and _has_chats(job):
        found = replace(found, notes=(*found.notes, NO_TEMPLATE))
        told["vocabulary"] = asdict(found)
    try:
        session = Session(_engine(job, template), request, job, template, output)
    except ImportError as error:
        return {**told, "missing_engine": str(error)[:200]}
    try:
        measured = session.measured()
    except CannotMeasure as error:
        measured = {"problem": str(error), "does_not_fit": isinstance(error, DoesNotFit)}
    return {
        **told,
        **measured,
        "log": session.log,
        "seconds": time.monotonic() - started,
        "peak_memory_bytes": peak_memory_bytes(),
    }


def _engine(job: Message, template: str) -> Any:
    """The calls alone where no conversation is to be written: the whole package takes four times as long."""
    if not template or not _has_chats(job):
        return engine_binding()
    from llama_cpp import llama_cpp

    return llama_cpp


def _has_chats(job: Message) -> bool:
    return any(text["messages"] for text in job["texts"])


def _changes(base: Header, cand: Header) -> list[Message]:
    found = header_diff(base, cand)
    rows = [asdict(change) for change in found.metadata]
    rows += [
        {"name": change.name, "old": change.old, "new": change.new}
        for change in found.tensors
        if change.old.partition(" ")[2] != change.new.partition(" ")[2]
    ]
    return rows


def _template(base: Header, cand: Header) -> str:
    """The candidate's: conversations are measured as they will be served."""
    return cand.text(TEMPLATE) or base.text(TEMPLATE) or ""


def _header(files: dict[str, int]) -> Header | None:
    headers: dict[str, Header] = {}
    for name, descriptor in files.items():
        with open(f"{DESCRIPTORS}/{descriptor}", "rb") as stream:
            header = read_header(stream).header
        if header is None:
            return None
        headers[name] = header
    return joined(headers) if len(headers) > 1 else next(iter(headers.values()))


class Session:
    """One measurement: which model is loaded when."""

    def __init__(self, module: Any, request: Message, job: Message, template: str, output: int):
        self.module, self.request, self.job, self.template = module, request, job, template
        self.log: list[str] = []
        self.total = 1
        self.output = output
        self.watch = Watch(time.monotonic() + job["wall_s"], self._tell)

    def _tell(self, done: int) -> None:
        os.dup2(self.output, 1)
        say({"done": min(done, self.total), "total": self.total})
        os.dup2(2, 1)

    def measured(self) -> Message:
        """Raises: CannotMeasure."""
        base = self._load("base")
        self.job["context_tokens"] = min(
            self.job["context_tokens"], base.trained_context or self.job["context_tokens"]
        )
        every, texts = self._cut(base)
        is_together = self.request["store"] is None
        scored = sum(text.scored for text in texts)
        noise_tokens = min(scored, self.job["noise_tokens"])
        self.total = max(1, scored * (1 if is_together else 2) + noise_tokens)
        forced = self._forced(base)
        noise = noise_floor(texts, forced, base, self.job, self.watch)
        measure = self._together if is_together else self._in_turn
        rows = measure(base, forced, texts)
        rows += [
            {"set": text.set_name, "id": text.id, "problem": text.problem} for text in every if text.problem
        ]
        return {
            "texts": rows,
            "noise": noise,
            "context_tokens": self.job["context_tokens"],
            "threads": self.job["threads"],
            "is_together": is_together,
            "left_out": self._left_out(every, texts),
            "device": base.device,
        }

    def _together(self, base: ForcedModel, forced: Forced, texts: Sequence[CutText]) -> list[Message]:
        try:
            cand = self._load("cand")
            self._check_cutting(base.bos, cand, texts)
            other = self._forced(cand)
        except NotLoaded as error:
            raise DoesNotFit(str(error)) from error
        rows = [measure_text(text, forced.blocks, other.blocks, base, self.watch) for text in texts]
        _close(forced, base)
        _close(other, cand)
        return rows

    def _in_turn(self, base: ForcedModel, forced: Forced, texts: Sequence[CutText]) -> list[Message]:
        store = LogitStore(self.request["store"], base.vocabulary_size)
        bos = base.bos
        rows: list[Message] = []
        try:
            for number, part in enumerate(portions(texts, store.capacity)):
                if number:
                    base = self._load("base")
                    forced = self._forced(base)
                store.seek(0)
                keep_logits(part, forced, store, self.watch)
                _close(forced, base)
                rows += self._against_kept(store, bos, part)
        except ValueError as error:
            raise CannotMeasure(str(error)) from error
        return rows

    def _against_kept(self, store: LogitStore, bos: int | None, texts: Sequence[CutText]) -> list[Message]:
        cand = self._load("cand")
        self._check_cutting(bos, cand, texts)
        other = self._forced(cand)
        rows: list[Message] = []
        at = 0
        for text in texts:
            store.seek(at)
            at += text.scored
            rows.append(
                measure_text(
                    text,
                    lambda window: store.take(other.shapes(window)),
                    other.blocks,
                    cand,
                    self.watch,
                )
            )
        _close(other, cand)
        return rows

    def _load(self, side: str) -> "ForcedModel":
        place = self.request[side]
        model = ForcedModel(self.module)
        descriptor = next(iter(place["files"].values()))
        is_loaded = model.load(place["path"] or f"{DESCRIPTORS}/{descriptor}", check_tensors=False)
        self.log = model.log_lines
        if not is_loaded:
            raise NotLoaded(f"the engine does not load the {NAMES[side]}")
        return model

    def _forced(self, model: "ForcedModel") -> "Forced":
        forced = Forced(
            model, self.job["context_tokens"], self.job["threads"], block_of(model.vocabulary_size)
        )
        if not forced.is_ready:
            raise NotLoaded(f"no context of {self.job['context_tokens']} tokens could be made")
        return forced

    def _cut(self, model: ForcedModel) -> tuple[list[CutText], list[CutText]]:
        """All texts, and those that are measured."""
        cutter = Cutter(
            lambda text, is_template: model.tokens_of(text, is_template=is_template),
            model.is_end,
            model.bos,
            self.job["context_tokens"],
            self._conversations(model),
        )
        usable = (text for text in self.job["texts"] if text["text"] or cutter.conversations is not None)
        every = [cutter.cut(text) for text in usable]
        return every, chosen(every, self.job["limit_tokens"])

    def _left_out(self, every: Sequence[CutText], texts: Sequence[CutText]) -> dict[str, int]:
        """Texts of each set that nobody tried to measure."""
        wanted = Counter(str(text["set"]) for text in self.job["texts"])
        tried = Counter(text.set_name for text in (*texts, *(text for text in every if text.problem)))
        return {name: wanted[name] - tried[name] for name in self.job["sets"]}

    def _conversations(self, model: ForcedModel) -> Conversations | None:
        if not self.template or not _has_chats(self.job):
            return None
        try:
            eos = model.special(model.api.llama_vocab_eos(model.vocabulary))
            bos = model.special(model.api.llama_vocab_bos(model.vocabulary))
            return Conversations(self.template, bos=bos, eos=eos)
        except Exception as error:
            raise CannotMeasure(f"the chat template cannot be used ({type(error).__name__})") from error

    def _check_cutting(self, bos: int | None, cand: ForcedModel, texts: Sequence[CutText]) -> None:
        """The same tokens are not enough: other rules of cutting would feed the candidate what it never sees."""
        measured = {(text.set_name, text.id): text.tokens for text in texts}
        rows = [row for row in self.job["texts"] if row["text"] and (row["set"], row["id"]) in measured]
        differing = [
            row["id"]
            for row in rows
            if _without(cand.bos, cand.tokens_of(row["text"], is_template=False))
            != _without(bos, measured[row["set"], row["id"]])
        ]
        if differing:
            raise CannotMeasure(
                f"the candidate cuts {len(differing)} of {len(rows)} texts into other tokens, "
                f"the first is {differing[0]!r}"
            )


def _without(bos: int | None, tokens: Sequence[int]) -> list[int]:
    """Whether a text gets a beginning is told, and does not matter to how the rest is cut."""
    return list(tokens[1:] if bos is not None and tokens and tokens[0] == bos else tokens)


def _close(forced: Forced, model: ForcedModel) -> None:
    forced.close()
    model.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv))
