"""Runs a load generator against a truth server and reads what it reported: ours, guidellm, aiperf."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tidegate.benchmark.truth import RunningTruth

TOKENS = 64
WATCH_S = 0.1


class ToolFailed(Exception):
    """A tool ended without a result; its last output."""


@dataclass(frozen=True)
class Found:
    """What a tool said, and what it cost."""

    began_ns: int
    """When its command was started."""
    cpu_s: float
    """Of all its processes."""
    peak_rss_mb: float
    """Of its largest process."""
    cpu_until: Sequence[tuple[int, float]] = ()
    """CPU used until a time, for tools whose start is in `cpu_s`."""
    ttft_mean_ms: float | None = None
    ttft_p95_ms: float | None = None
    ttft_p99_ms: float | None = None
    itl_mean_ms: float | None = None
    late_p99_ms: float | None = None
    largest_gap_ms: float | None = None
    said: str = ""
    """What it told about its own fitness."""
    seeds: frozenset[int] = frozenset()
    """Of the requests that it counted; empty: all."""
    ttft_by_seed: Mapping[int | None, float] = field(default_factory=dict[int | None, float])

    def cpu_since(self, first_ns: int) -> float:
        """CPU without that of the start, which ended with the first request."""
        return self.cpu_s - max((cpu for at_ns, cpu in self.cpu_until if at_ns <= first_ns), default=0.0)


def ask_ours(truth: RunningTruth, shape: str, rate: float, seconds: float, _: Path) -> Found:
    url = truth.url_of(shape) if shape else truth.url
    began_ns = time.monotonic_ns()
    command = [sys.executable, "-m", "benchmarks.load_generator_child", url, str(rate), str(seconds)]
    raw = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, Any] = json.loads(raw)
    by_seed = {int(seed): ttft for seed, ttft in found.pop("ttft_by_seed").items()}
    return Found(began_ns=began_ns, seeds=frozenset(by_seed), ttft_by_seed=by_seed, **found)


def ask_guidellm(
    python: Path, truth: RunningTruth, shape: str, rate: float, seconds: float, folder: Path
) -> Found:
    """Guidellm with two workers, as two cores want it; ten by default take a minute to start."""
    data, output = folder / "prompts.jsonl", folder / "guidellm.json"
    count = max(20, int(rate * seconds))
    rows = (json.dumps({"prompt": f"hello {n}", "output_tokens_count": TOKENS}) for n in range(count))
    data.write_text("\n".join(rows) + "\n")
    origin = (truth.url_of(shape) if shape else truth.url).removesuffix("/v1")
    ran = _run(
        [
            *(str(python), "-m", "guidellm", "run", "--disable-console-interactive"),
            *(
                "--backend",
                f"kind=openai_http,target={origin},model=truth,request_format=/v1/chat/completions",
            ),
            *("--profile", f"kind=constant,rate={rate}"),
            *("--constraint", f"kind=max_requests,count={count}"),
            *("--data", f"kind=json_file,path={data}"),
            *("--output", f"kind=json,path={output}"),
        ],
        {"GUIDELLM__MAX_WORKER_PROCESSES": "2", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"},
    )
    metrics = json.loads(output.read_text())["benchmarks"][0]["metrics"]
    ttft, itl = (metrics[name]["successful"] for name in ("time_to_first_token_ms", "inter_token_latency_ms"))
    return Found(
        **ran.cost,
        ttft_mean_ms=ttft["mean"],
        ttft_p95_ms=ttft["percentiles"]["p95"],
        ttft_p99_ms=ttft["percentiles"]["p99"],
        itl_mean_ms=itl["mean"],
    )


def ask_aiperf(
    python: Path, truth: RunningTruth, shape: str, rate: float, seconds: float, folder: Path
) -> Found:
    """Aiperf with the server's own token count; with a tokenizer that is not the model's its ITL is wrong."""
    data, output = folder / "aiperf.jsonl", folder / "aiperf"
    count = max(20, int(rate * seconds))
    data.write_text("".join(json.dumps({"text": f"hello {n}"}) + "\n" for n in range(count)))
    base = (truth.url_of(shape) if shape else truth.url).removesuffix("/v1")
    ran = _run(
        [
            *(str(python.parent / "aiperf"), "profile", "--model", "truth", "--url", base),
            *("--endpoint-type", "chat", "--streaming", "--ui", "none", "--use-server-token-count"),
            *(
                "--tokenizer",
                str(_tokenizer(folder)),
                "--input-file",
                str(data),
                "--custom-dataset-type",
                "single_turn",
            ),
            *("--request-rate", str(rate), "--arrival-pattern", "constant", "--request-count", str(count)),
            *("--extra-inputs", f"max_tokens:{TOKENS}", "--output-artifact-dir", str(output)),
        ],
        {},
    )
    summary = next(output.rglob("profile_export_aiperf.json"))
    found: dict[str, Any] = json.loads(summary.read_text())
    summary.unlink()
    ttft, itl = found["time_to_first_token"], found.get("inter_token_latency") or {}
    return Found(
        **ran.cost,
        ttft_mean_ms=ttft["avg"],
        ttft_p95_ms=ttft["p95"],
        ttft_p99_ms=ttft["p99"],
        itl_mean_ms=itl.get("avg"),
        said="degraded" if "degraded" in ran.text.lower() else "",
    )


def _tokenizer(folder: Path) -> Path:
    """A tokenizer on disk, because a fine-tuned GGUF has none in public and this machine need not be online."""
    home = folder / "tokenizer"
    home.mkdir(exist_ok=True)
    model = {"type": "WordLevel", "vocab": {"[UNK]": 0, "hello": 1}, "unk_token": "[UNK]"}
    body = {"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"}, "model": model}
    (home / "tokenizer.json").write_text(json.dumps(body))
    kind = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "[UNK]", "model_max_length": 4096}
    (home / "tokenizer_config.json").write_text(json.dumps(kind))
    return home


@dataclass(frozen=True)
class _Ran:
    """A command that has ended, and what its processes cost."""

    cost: dict[str, Any]
    text: str


def _run(command: Sequence[str], more: Mapping[str, str]) -> _Ran:
    """Run to the end while looking at its processes."""
    began_ns = time.monotonic_ns()
    process = psutil.Popen(
        command, env={**os.environ, **more}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    cpu: dict[int, float] = {}
    cpu_until: list[tuple[int, float]] = []
    largest, stopped, lines = 0.0, False, list[str]()
    reading = threading.Thread(target=lambda: lines.extend(process.stdout or ()))
    reading.start()
    while not stopped:
        stopped = process.poll() is not None
        for one in _family(process):
            try:
                times = one.cpu_times()
                cpu[one.pid] = times.user + times.system
                largest = max(largest, one.memory_info().rss / 2**20)
            except psutil.Error:
                continue
        cpu_until.append((time.monotonic_ns(), sum(cpu.values())))
        time.sleep(WATCH_S)
    reading.join()
    text = "".join(lines)
    if process.returncode:
        raise ToolFailed(f"{command[0]} ended with {process.returncode}:\n{text[-2000:]}")
    cost = {"began_ns": began_ns, "cpu_s": sum(cpu.values()), "cpu_until": cpu_until, "peak_rss_mb": largest}
    return _Ran(cost, text)


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []
