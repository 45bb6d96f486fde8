"""Loads a model and asks it: `python -m tidegate.validation.inference_child`. The only place here with an engine.

Weights are loaded with `check_tensors`, which the high-level binding does not offer. One thread and greedy
choice, so that the same file gives the same answers. A file can abort the engine and with it this process;
the parent reads how far it came.
"""

import codecs
import ctypes
import hashlib
import os
import resource
import sys
import time
from typing import Any

from tidegate.validation.confinement import Message, confine, limits_from_argv, say

LOADED, ASKED = 1, 2
STAGES = 3
PIECE_BYTES = 512
LARGEST_CONTEXT = 2048
MICRO_BATCH = 512
LOG_LINES = 12


def main(argv: list[str]) -> int:
    """Write one result: digest, whether it loads, and the answers of two rounds."""
    limits, request = limits_from_argv(argv)
    result_descriptor = os.dup(1)
    # Whatever the engine prints must not reach the parent as a message.
    os.dup2(2, 1)
    confine(limits)
    result = _run(request, result_descriptor)
    _say(result_descriptor, result)
    return 0


def _say(descriptor: int, message: Message) -> None:
    os.dup2(descriptor, 1)
    say(message)
    os.dup2(2, 1)


def _run(request: Message, descriptor: int) -> Message:
    digest = _digest(request["path"])
    if digest != request["digest"]:
        return {"digest": digest, "loads": False, "is_checked": False, "log": [], "rounds": []}
    try:
        from llama_cpp import llama_cpp as engine
    except ImportError as error:
        return {"missing_engine": str(error)[:200]}
    return _ask(_Engine(engine), request, digest, descriptor)


def _digest(path: str) -> str:
    with open(path, "rb", buffering=0) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _ask(engine: "_Engine", request: Message, digest: str, descriptor: int) -> Message:
    started = time.monotonic()
    loads = engine.load(request["path"], check_tensors=True)
    is_checked = loads
    if not loads:
        # Once more without the check: that tells bad numbers from a file that does not load at all.
        loads = engine.load(request["path"], check_tensors=False)
    load_seconds = time.monotonic() - started
    result: Message = {
        "digest": digest,
        "loads": loads,
        "is_checked": is_checked,
        "load_seconds": load_seconds,
    }
    if not is_checked:
        return {**result, "log": engine.log_lines, "rounds": []}
    _say(descriptor, {"done": LOADED, "total": STAGES})
    problem = engine.prepare(request["context_tokens"])
    rounds: list[list[Message]] = []
    if not problem:
        rounds = [
            [engine.answer(prompt, request["max_tokens"]) for prompt in request["prompts"]] for _ in range(2)
        ]
        _say(descriptor, {"done": ASKED, "total": STAGES})
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        **result,
        "problem": problem,
        "rounds": rounds,
        "log": engine.log_lines,
        "peak_memory_bytes": peak * (1 if sys.platform == "darwin" else 1024),
    }


class _Engine:
    """The few low-level calls that are needed, over the binding's module."""

    def __init__(self, module: Any):
        self.api = module
        self.log_lines: list[str] = []
        self.model: Any = None
        self.context: Any = None
        self.vocabulary: Any = None
        self.format: Any = None
        # The callback must stay referenced as long as the engine may log, or the process crashes.
        self.callback = module.llama_log_callback(self._log)
        module.llama_log_set(self.callback, ctypes.c_void_p(0))
        module.llama_backend_init()

    def _log(self, level: int, text: bytes | None, _: object) -> None:
        line = (text or b"").decode("utf-8", "replace").strip()
        # Levels 3 and 4 are warnings and errors.
        if level in (3, 4) and line:
            self.log_lines = [*self.log_lines, line[:300]][-LOG_LINES:]

    def load(self, path: str, *, check_tensors: bool) -> bool:
        params = self.api.llama_model_default_params()
        params.check_tensors = check_tensors
        params.n_gpu_layers = 0
        self.model = self.api.llama_model_load_from_file(os.fsencode(path), params)
        if not self.model:
            return False
        self.vocabulary = self.api.llama_model_get_vocab(self.model)
        return True

    def prepare(self, context_tokens: int) -> str:
        """Make a context and the chat format; returns what is wrong, or nothing."""
        params = self.api.llama_context_default_params()
        params.n_ctx = params.n_batch = min(context_tokens, LARGEST_CONTEXT)
        params.n_ubatch = min(params.n_batch, MICRO_BATCH)
        params.n_threads = params.n_threads_batch = 1
        self.context = self.api.llama_init_from_model(self.model, params)
        if not self.context:
            return "no context could be made"
        template = self.api.llama_model_chat_template(self.model, None)
        if not template:
            return "the model has no chat template"
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter

        self.format = Jinja2ChatFormatter(
            template.decode("utf-8"),
            eos_token=self._special(self.api.llama_vocab_eos(self.vocabulary)),
            bos_token=self._special(self.api.llama_vocab_bos(self.vocabulary)),
        )
        return ""

    def answer(self, prompt: str, max_tokens: int) -> Message:
        """One greedy answer from an empty cache."""
        self.api.llama_memory_clear(self.api.llama_get_memory(self.context), True)
        tokens = self._tokens(self.format(messages=[{"role": "user", "content": prompt}]).prompt)
        if not tokens or len(tokens) + max_tokens > self.api.llama_n_ctx(self.context):
            return {"prompt": prompt, "problem": f"the prompt has {len(tokens)} tokens and does not fit"}
        started = time.monotonic()
        written, finish, is_finite = self._generate(tokens, max_tokens)
        seconds = max(time.monotonic() - started, 1e-9)
        controls = [token for token in written if self.api.llama_vocab_is_control(self.vocabulary, token)]
        return {
            "prompt": prompt,
            "problem": "",
            "text": self._text(written),
            "finish": finish,
            "tokens": written,
            "is_finite": is_finite,
            "controls": [self._special(token) for token in controls],
            "tokens_per_second": len(written) / seconds,
        }

    def _generate(self, tokens: list[int], max_tokens: int) -> tuple[list[int], str, bool]:
        import numpy as np

        size = self.api.llama_vocab_n_tokens(self.vocabulary)
        written: list[int] = []
        fed = tokens
        while len(written) < max_tokens:
            array = (self.api.llama_token * len(fed))(*fed)
            if self.api.llama_decode(self.context, self.api.llama_batch_get_one(array, len(fed))) != 0:
                return written, "error", False
            logits = np.ctypeslib.as_array(self.api.llama_get_logits_ith(self.context, -1), shape=(size,))
            if not np.isfinite(logits).all():
                return written, "error", False
            token = int(logits.argmax())
            if self.api.llama_vocab_is_eog(self.vocabulary, token):
                return written, "stop", True
            written.append(token)
            fed = [token]
        return written, "length", True

    def _tokens(self, text: str) -> list[int]:
        raw = text.encode("utf-8")
        room = len(raw) + 8
        array = (self.api.llama_token * room)()
        # The template writes the special tokens itself, so none is added.
        count = self.api.llama_tokenize(self.vocabulary, raw, len(raw), array, room, False, True)
        return list(array[: max(0, count)])

    def _piece(self, token: int, *, special: bool) -> bytes:
        buffer = (ctypes.c_char * PIECE_BYTES)()
        count = self.api.llama_token_to_piece(self.vocabulary, token, buffer, PIECE_BYTES, 0, special)
        return buffer.raw[: max(0, count)]

    def _special(self, token: int) -> str:
        return self._piece(token, special=True).decode("utf-8", "replace") if token >= 0 else ""

    def _text(self, tokens: list[int]) -> str:
        # A character that the length limit cut in two is left out, not replaced.
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        return "".join(decoder.decode(self._piece(token, special=False)) for token in tokens)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
