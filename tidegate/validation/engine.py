"""The few low-level calls of llama.cpp that the inference child needs. Imported by that child alone."""

import codecs
import ctypes
import math
import os
import time
from dataclasses import dataclass, field
from typing import Any

PIECE_BYTES = 512
MICRO_BATCH = 512
LOG_LINES = 12
MAX_GPU_LAYERS = 999
STACK_BYTES = 512 * 1024
ATTRIBUTES_BYTES = 256


LATE = "late"


@dataclass(slots=True)
class Written:
    """One greedy continuation."""

    tokens: list[int] = field(default_factory=list[int])
    finish: str = "length"
    is_finite: bool = True
    ttft_s: float = 0.0
    decode_s: float = 0.0
    logprob_sum: float = 0.0
    candidates: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    """The likeliest first tokens with their log-probabilities, where they were asked for."""

    @property
    def tokens_per_second(self) -> float:
        """Of the tokens behind the first; 0 when there are none."""
        later = len(self.tokens) - 1
        return later / self.decode_s if later > 0 and self.decode_s > 0 else 0.0

    @property
    def mean_logprob(self) -> float | None:
        return self.logprob_sum / len(self.tokens) if self.tokens and self.is_finite else None


@dataclass(frozen=True, slots=True)
class Logits:
    """Of one token; a view into the engine's memory, gone with the next one."""

    values: Any
    log_total: float

    def best(self) -> tuple[int, float]:
        """The likeliest token and its log-probability."""
        token = int(self.values.argmax())
        return token, min(0.0, float(self.values[token]) - self.log_total)

    def likeliest(self, count: int) -> list[tuple[int, float]]:
        """So many tokens with their log-probabilities, likeliest first."""
        import numpy as np

        count = min(count, len(self.values))
        if count == 0:
            return []
        some = np.argpartition(self.values, -count)[-count:]
        ordered = some[np.argsort(-self.values[some], kind="stable")]
        return [(int(token), min(0.0, float(self.values[token]) - self.log_total)) for token in ordered]


def _use_small_stacks() -> None:
    """Checking tensors starts one thread for each: with stacks of 8 MiB they alone exceed the address space."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "pthread_setattr_default_np"):
        return
    attributes = ctypes.create_string_buffer(ATTRIBUTES_BYTES)
    if libc.pthread_attr_init(attributes) == 0:
        libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(STACK_BYTES))
        libc.pthread_setattr_default_np(attributes)


class Engine:
    """One model in one context, over the binding's module."""

    def __init__(self, module: Any):
        self.api = module
        self.log_lines: list[str] = []
        self.model: Any = None
        self.context: Any = None
        self.vocabulary: Any = None
        self.format: Any = None
        self.context_tokens = 0
        _use_small_stacks()
        # The callback must stay referenced as long as the engine may log, or the process crashes.
        self.callback = module.llama_log_callback(self._log)
        module.llama_log_set(self.callback, ctypes.c_void_p(0))
        module.llama_backend_init()
        self.is_on_gpu = bool(module.llama_supports_gpu_offload())

    @property
    def device(self) -> str:
        return "gpu" if self.is_on_gpu else "cpu"

    def _log(self, level: int, text: bytes | None, _: object) -> None:
        line = (text or b"").decode("utf-8", "replace").strip()
        # Levels 3 and 4 are warnings and errors.
        if level in (3, 4) and line:
            self.log_lines = [*self.log_lines, line[:300]][-LOG_LINES:]

    def load(self, path: str, *, check_tensors: bool) -> bool:
        params = self.api.llama_model_default_params()
        params.check_tensors = check_tensors
        params.n_gpu_layers = MAX_GPU_LAYERS if self.is_on_gpu else 0
        self.model = self.api.llama_model_load_from_file(os.fsencode(path), params)
        if not self.model:
            return False
        self.vocabulary = self.api.llama_model_get_vocab(self.model)
        return True

    def prepare(self, context_tokens: int, threads: int) -> str:
        """Make a context, in place of the one before; returns what is wrong, or nothing."""
        if self.context:
            self.api.llama_free(self.context)
        params = self.api.llama_context_default_params()
        params.n_ctx = params.n_batch = context_tokens
        params.n_ubatch = min(params.n_batch, MICRO_BATCH)
        params.n_threads = params.n_threads_batch = threads
        self.context = self.api.llama_init_from_model(self.model, params)
        if not self.context:
            return f"no context of {context_tokens} tokens could be made"
        # The engine rounds up; the prompt must fit what was asked for.
        self.context_tokens = context_tokens
        return ""

    def prepare_format(self) -> str:
        """Make the chat format of the model's own template; returns what is wrong, or nothing."""
        template = self.api.llama_model_chat_template(self.model, None)
        if not template:
            return "the model has no chat template"
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter

        try:
            self.format = Jinja2ChatFormatter(
                template.decode("utf-8"),
                eos_token=self.special(self.api.llama_vocab_eos(self.vocabulary)),
                bos_token=self.special(self.api.llama_vocab_bos(self.vocabulary)),
            )
        except Exception as error:  # noqa: BLE001 - whatever a hostile template makes fail is its result
            return f"the chat template cannot be used ({type(error).__name__})"
        return ""

    def prompt(self, messages: list[dict[str, str]]) -> tuple[list[int], str]:
        """Tokens of a conversation, or why there are none."""
        try:
            text: str = self.format(messages=messages).prompt
        except Exception as error:  # noqa: BLE001 - whatever a hostile template makes fail is its result
            return [], f"the chat template refuses it ({type(error).__name__}: {str(error)[:100]})"
        tokens = self._tokens(text)
        return tokens, "" if tokens else "the prompt is empty"

    def generate(
        self,
        tokens: list[int],
        max_tokens: int,
        *,
        deadline: float,
        ignores_stop: bool = False,
        candidates: int = 0,
    ) -> Written:
        """Greedy, from an empty cache. Stops at an end token, the limit, the deadline, or an invalid number."""
        self.api.llama_memory_clear(self.api.llama_get_memory(self.context), True)
        written = Written()
        started = time.monotonic()
        fed = tokens
        while len(written.tokens) < max_tokens:
            logits = self._decode(fed)
            if logits is None:
                written.finish, written.is_finite = "error", False
                break
            best, logprob = logits.best()
            now = time.monotonic()
            if not written.tokens:
                written.ttft_s = now - started
                written.candidates = logits.likeliest(candidates)
            is_end = bool(self.api.llama_vocab_is_eog(self.vocabulary, best))
            if is_end and not ignores_stop:
                written.finish = "stop"
                break
            written.tokens.append(best)
            written.logprob_sum += logprob
            fed = [best]
            if now > deadline and len(written.tokens) < max_tokens:
                # Cut by us: that is no answer of the model.
                written.finish = LATE
                break
        written.decode_s = time.monotonic() - started - written.ttft_s
        return written

    def _decode(self, fed: list[int]) -> "Logits | None":
        """What is known about the next token; None when the numbers are not finite."""
        import numpy as np

        array = (self.api.llama_token * len(fed))(*fed)
        if self.api.llama_decode(self.context, self.api.llama_batch_get_one(array, len(fed))) != 0:
            return None
        size = self.api.llama_vocab_n_tokens(self.vocabulary)
        values = np.ctypeslib.as_array(self.api.llama_get_logits_ith(self.context, -1), shape=(size,))
        top = float(values.max())
        total = float(np.exp(values - top).sum(dtype=np.float64))
        # One value that is not finite makes the sum so, or is the maximum itself.
        if not (math.isfinite(top) and math.isfinite(total)) or not bool(np.isfinite(values).all()):
            return None
        return Logits(values, top + math.log(total))

    def count(self, text: str) -> int:
        return len(self._tokens(text))

    def _tokens(self, text: str) -> list[int]:
        raw = text.encode("utf-8", "replace")
        room = len(raw) + 8
        array = (self.api.llama_token * room)()
        # The template writes the special tokens itself, so none is added.
        count = self.api.llama_tokenize(self.vocabulary, raw, len(raw), array, room, False, True)
        return list(array[: max(0, count)])

    def is_control(self, token: int) -> bool:
        return bool(self.api.llama_vocab_is_control(self.vocabulary, token))

    def _piece(self, token: int, *, special: bool) -> bytes:
        buffer = (ctypes.c_char * PIECE_BYTES)()
        count = self.api.llama_token_to_piece(self.vocabulary, token, buffer, PIECE_BYTES, 0, special)
        return buffer.raw[: max(0, count)]

    def special(self, token: int) -> str:
        return self._piece(token, special=True).decode("utf-8", "replace") if token >= 0 else ""

    def text(self, tokens: list[int]) -> str:
        # A character that the length limit cut in two is left out, not replaced.
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        return "".join(decoder.decode(self._piece(token, special=False)) for token in tokens)
