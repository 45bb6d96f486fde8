"""Loads a model and asks it: `python -m tidegate.validation.inference_child`. The only place here with an engine.

Weights are loaded with `check_tensors`, which the high-level binding does not offer. Greedy choice and one count
of threads, so that the same file gives the same answers. A file can abort the engine and with it this process;
the parent reads how far it came.
"""

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable

from tidegate.validation.confinement import (
    OUT_OF_TIME,
    Message,
    confine,
    limits_from_argv,
    peak_memory_bytes,
    say,
)
from tidegate.validation.engine import LATE, Engine
from tidegate.validation.part_links import DESCRIPTORS

LOADED = 1
PIECE_BYTES = 1024**2
LONG_ANSWER_TOKENS = 8
ROOM_TOKENS = 16
FILLER = "The tide comes in and the tide goes out. "
SPEED_PROMPT = "Tell me what you know about the sea."


def main(argv: list[str]) -> int:
    """Write one result. The job comes on standard input, the file as an open descriptor."""
    limits, request = limits_from_argv(argv)
    result_descriptor = os.dup(1)
    # Whatever the engine prints must not reach the parent as a message.
    os.dup2(2, 1)
    confine(limits)
    job: Message = json.loads(sys.stdin.buffer.read())
    result = _run(request["descriptor"], request["path"], job, result_descriptor)
    _say(result_descriptor, result)
    return 0


def _say(descriptor: int, message: Message) -> None:
    os.dup2(descriptor, 1)
    say(message)
    os.dup2(2, 1)


def _run(descriptor: int, first: str | None, job: Message, output: int) -> Message:
    """`first` names the first of several parts; the engine finds the others beside it."""
    files: dict[str, int] = job["parts"] or {"": descriptor}
    before = {name: _identity(file) for name, file in files.items()}
    digest = _digest_of_set(files) if first else _digest(descriptor)
    if digest != job["digest"]:
        return {"digest": digest}
    try:
        from llama_cpp import llama_cpp as module
    except ImportError as error:
        return {"missing_engine": str(error)[:200]}
    # The very file that was hashed, whatever its name points to by now.
    result = _ask(Engine(module), first or f"{DESCRIPTORS}/{descriptor}", job, output)
    # Written to meanwhile: what was hashed is perhaps not what was loaded.
    return {
        **result,
        "digest": digest,
        "changed": before != {name: _identity(file) for name, file in files.items()},
    }


def _identity(descriptor: int) -> tuple[int, ...]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _digest(descriptor: int) -> str:
    digest, place = hashlib.sha256(), 0
    buffer = bytearray(PIECE_BYTES)
    # Not read(): the descriptor shares its position with the parent's other children.
    while count := os.preadv(descriptor, [buffer], place):
        digest.update(memoryview(buffer)[:count])
        place += count
    return digest.hexdigest()


def _digest_of_set(files: dict[str, int]) -> str:
    # Not imported for other models: it takes as long as they take to load.
    from tidegate.gguf import set_digest

    return set_digest({name: _digest(file) for name, file in files.items()})


def _ask(engine: Engine, path: str, job: Message, output: int) -> Message:
    started = time.monotonic()
    deadline = started + job["wall_s"]
    loads = engine.load(path, check_tensors=True)
    is_checked = loads
    if not loads:
        # Once more without the check: that tells bad numbers from a file that does not load at all.
        loads = engine.load(path, check_tensors=False)
    result: Message = {
        "loads": loads,
        "is_checked": is_checked,
        "load_seconds": time.monotonic() - started,
        "device": engine.device,
    }
    if not is_checked:
        return {**result, "log": engine.log_lines}
    total = LOADED + len(job["queries"]) + len(job["bank"])
    steps = iter(range(LOADED, total + 1))

    def tell() -> None:
        _say(output, {"done": next(steps), "total": total})

    tell()
    result |= _question(engine, job, deadline, tell)
    return {
        **result,
        "log": engine.log_lines,
        "peak_memory_bytes": peak_memory_bytes(),
    }


def _question(engine: Engine, job: Message, deadline: float, tell: Callable[[], None]) -> Message:
    """Short questions, speed, long prompts of every context, then the bank in the largest context."""
    problem = engine.prepare(job["contexts"][-1], job["threads"]) or engine.prepare_format()
    if problem:
        return {"problem": problem}
    answers = [answer_to(engine, query, deadline, tell) for query in job["queries"]]
    repeated = [answer_to(engine, query, deadline) for query in job["queries"] if query["is_repeated"]]
    speed, speed_problem = _speed(engine, job, deadline)
    bank = [answer_to(engine, query, deadline, tell) for query in job["bank"]]
    long_prompts: list[Message] = []
    if job["tries_long_prompts"]:
        rate = max((sample["prompt_tokens"] / (sample["ttft_ms"] / 1000) for sample in speed), default=0.0)
        long_prompts = [
            _long_prompt(engine, job, context, rate, deadline) for context in reversed(job["contexts"])
        ]
    return {
        "answers": answers,
        "repeated": repeated,
        "speed": speed,
        "speed_problem": speed_problem,
        "bank": bank,
        "long_prompts": long_prompts,
    }


def answer_to(
    engine: Engine, query: Message, deadline: float, tell: Callable[[], None] = lambda: None
) -> Message:
    tell()
    if time.monotonic() > deadline:
        return {"id": query["id"], "problem": OUT_OF_TIME}
    messages = [{"role": role, "content": content} for role, content in query["messages"]]
    tokens, problem = engine.prompt(messages)
    if not problem and len(tokens) + query["max_tokens"] > engine.context_tokens:
        problem = f"the prompt has {len(tokens)} tokens and does not fit"
    if problem:
        return {"id": query["id"], "problem": problem}
    written = engine.generate(
        tokens, query["max_tokens"], deadline=deadline, candidates=query["top_logprobs"]
    )
    if written.finish == LATE:
        return {"id": query["id"], "problem": OUT_OF_TIME}
    return {
        "id": query["id"],
        "text": engine.text(written.tokens),
        "finish": written.finish,
        "prompt_tokens": len(tokens),
        "tokens": written.tokens,
        "is_finite": written.is_finite,
        "controls": [engine.special(token) for token in written.tokens if engine.is_control(token)],
        "ttft_ms": written.ttft_s * 1000,
        "tokens_per_second": written.tokens_per_second,
        "mean_logprob": written.mean_logprob,
        "top_logprobs": [
            {"token": engine.text([token]) or engine.special(token), "logprob": logprob}
            for token, logprob in written.candidates
        ],
    }


def _speed(engine: Engine, job: Message, deadline: float) -> tuple[list[Message], str]:
    """Answers of a fixed length, past any stop token: the first warms up and is not counted."""
    samples: list[Message] = []
    count = job["speed_tokens"]
    if not count:
        return samples, ""
    tokens, problem = engine.prompt([{"role": "user", "content": SPEED_PROMPT}])
    room = engine.context_tokens - len(tokens) - 1
    if problem or room < 1:
        return samples, problem or "the context is too small to measure in"
    for number in range(job["speed_rounds"] + 1):
        if time.monotonic() > deadline:
            break
        written = engine.generate(tokens, min(count, room), deadline=deadline, ignores_stop=True)
        # A model so slow that the time is over during the first answer is measured by that one.
        is_last_chance = time.monotonic() > deadline and not samples
        if (number == 0 and not is_last_chance) or not written.tokens_per_second:
            continue
        samples.append({
            "prompt": SPEED_PROMPT,
            "prompt_tokens": len(tokens),
            "tokens": len(written.tokens),
            "ttft_ms": written.ttft_s * 1000,
            "tokens_per_second": written.tokens_per_second,
        })  # fmt: skip
    return samples, "" if samples else "no answer could be measured"


def _long_prompt(engine: Engine, job: Message, context: int, rate: float, deadline: float) -> Message:
    """Fill the context up to a few tokens and write some more."""
    if context != engine.context_tokens and (problem := engine.prepare(context, job["threads"])):
        return {"context_tokens": context, "problem": problem}
    wanted = engine.context_tokens - LONG_ANSWER_TOKENS - ROOM_TOKENS
    left = deadline - time.monotonic()
    if not rate or wanted / rate > left:
        text = (
            f"{wanted} tokens would take {wanted / rate:.0f} s of {max(left, 0):.0f} s left"
            if rate
            else "no speed is known"
        )
        return {"context_tokens": context, "skipped": text}
    tokens, problem = _fill(engine, wanted)
    if problem:
        return {"context_tokens": context, "problem": problem}
    written = engine.generate(tokens, LONG_ANSWER_TOKENS, deadline=deadline, ignores_stop=True)
    return {
        "context_tokens": context,
        "prompt_tokens": len(tokens),
        "is_finite": written.is_finite,
        "problem": "" if written.finish != "error" else "the engine could not compute it",
    }


def _fill(engine: Engine, wanted: int) -> tuple[list[int], str]:
    """A conversation of as many tokens as wanted, or a little fewer."""
    each = max(1, engine.count(FILLER * 8) / 8)
    repeats = max(1, int(wanted / each))
    tokens: list[int] = []
    while repeats:
        tokens, problem = engine.prompt([{"role": "user", "content": FILLER * repeats}])
        if problem or len(tokens) <= wanted:
            return tokens, problem
        repeats -= max(1, int((len(tokens) - wanted) / each))
    return tokens, "the context is too small for a prompt"


if __name__ == "__main__":
    sys.exit(main(sys.argv))
