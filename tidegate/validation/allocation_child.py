"""Asks the engine how much memory a model would take: `python -m tidegate.validation.allocation_child`.

The engine gets an outline of the model (`gguf/outline.py`) with a hole for data and allocates nothing: it
plans weights, cache and buffers and says how large they are. The artifact's files are inherited; the parent also
passes a file in memory of the artifact's size, because this process may not write files of its own.
"""

import ctypes
import mmap
import os
import re
import sys
from typing import Any

from tidegate.domain import InvalidInput
from tidegate.gguf import CACHE_TYPES, Header, ServingOptions, estimate_memory, joined, outline, read_header
from tidegate.validation.confinement import Message, confine, limits_from_argv, say
from tidegate.validation.engine_binding import engine_binding
from tidegate.validation.part_links import DESCRIPTORS

MEBIBYTE = 1024**2
LOG_LINES = 12
WARNING_LEVEL, ERROR_LEVEL = 3, 4
# The engine prints sizes to 0.01 MiB and offers no other way to learn them from Python.
SIZES = {
    "cache": re.compile(r"(?:kv_cache\w*|memory_recurrent): size = +([\d.]+) MiB"),
    "compute": re.compile(r"compute buffer size = +([\d.]+) MiB"),
    "output": re.compile(r"output buffer size = +([\d.]+) MiB"),
}


def main(argv: list[str]) -> int:
    """Write one result: what the engine says and what our own formulas say for the same settings."""
    limits, request = limits_from_argv(argv)
    result_descriptor = os.dup(1)
    # Whatever the engine prints must not reach the parent as a message.
    os.dup2(2, 1)
    confine(limits)
    result = _run(request)
    os.dup2(result_descriptor, 1)
    say(result)
    return 0


def _run(request: Message) -> Message:
    headers = {name: _header(file) for name, file in request["files"].items()}
    read = {name: header for name, header in headers.items() if header is not None}
    if not read or len(read) < len(headers):
        return {"problem": "its header cannot be read"}
    header = joined(read) if len(read) > 1 else next(iter(read.values()))
    options = ServingOptions(**request["options"])
    context_tokens, parallel = request["context_tokens"], request["parallel"]
    try:
        ours = estimate_memory(header, context_tokens, parallel, options=options)
    except InvalidInput as error:
        return {"problem": str(error)}
    descriptor = request["hollow"]
    _write_outline(header, descriptor)
    try:
        engine = engine_binding()
    except ImportError as error:
        return {"problem": f"the engine is not installed ({str(error)[:200]})"}
    planned = _Planner(engine).plan(descriptor, context_tokens, parallel, options)
    return {
        **planned,
        "our_weights": ours.weights_bytes,
        "our_cache": ours.kv_cache_bytes,
        "our_compute": ours.compute_bytes,
    }


def _header(descriptor: int) -> Header | None:
    # Opened anew: an inherited descriptor shares its position with other processes.
    with open(f"{DESCRIPTORS}/{descriptor}", "rb") as artifact:
        return read_header(artifact).header


def _write_outline(header: Header, descriptor: int) -> None:
    """Through a mapping: the limit on writing files, which is 0 here, does not count for it."""
    head = outline(header)
    with mmap.mmap(descriptor, len(head)) as mapped:
        mapped[:] = head


class _Planner:
    """The few low-level calls that are needed, over the binding's module."""

    def __init__(self, module: Any):
        self.api = module
        self.lines: list[str] = []
        self.complaints: list[str] = []
        # The callback must stay referenced as long as the engine may log, or the process crashes.
        self.callback = module.llama_log_callback(self._log)
        module.llama_log_set(self.callback, ctypes.c_void_p(0))
        module.llama_backend_init()

    def _log(self, level: int, text: bytes | None, _: object) -> None:
        line = (text or b"").decode("utf-8", "replace").strip()
        if level in (WARNING_LEVEL, ERROR_LEVEL) and line:
            self.complaints = [*self.complaints, line[:300]][-LOG_LINES:]
        if "size =" in line:
            self.lines.append(line)

    def plan(self, descriptor: int, context_tokens: int, parallel: int, options: ServingOptions) -> Message:
        model_params = self.api.llama_model_default_params()
        model_params.no_alloc, model_params.n_gpu_layers = True, 0
        model_params.load_mode = self.api.LLAMA_LOAD_MODE_NONE
        model = self.api.llama_model_load_from_file(f"/dev/fd/{descriptor}".encode(), model_params)
        if not model:
            return {"problem": "the engine refuses the model", "log": self.complaints}
        self.lines.clear()
        context = self.api.llama_init_from_model(model, self._context(context_tokens, parallel, options))
        if not context:
            return {"problem": "the engine makes no context", "log": self.complaints}
        sizes = {name: self._size(pattern) for name, pattern in SIZES.items()}
        return {"problem": "", "weights": int(self.api.llama_model_size(model)), **sizes}

    def _context(self, context_tokens: int, parallel: int, options: ServingOptions) -> Any:
        params = self.api.llama_context_default_params()
        params.n_ctx, params.n_seq_max = context_tokens * parallel, parallel
        params.n_ubatch = options.micro_batch
        params.type_k = CACHE_TYPES[options.key_type].id
        params.type_v = CACHE_TYPES[options.value_type].id
        params.flash_attn_type = int(options.flash_attention)
        params.swa_full, params.kv_unified = options.swa_full, options.is_unified
        params.n_threads = params.n_threads_batch = 1
        return params

    def _size(self, pattern: re.Pattern[str]) -> int:
        found = [float(size) for line in self.lines for size in pattern.findall(line)]
        return round(sum(found) * MEBIBYTE)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
