"""Runs a load generator against a truth server and reads what it reported: ours, guidellm, aiperf."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tidegate.benchmark.truth import RunningTruth

TOKENS = 64
WATCH_S = 0.1


@dataclass(frozen=True)
class Found:
    """What a tool said, and what it cost."""

    began_ns: int
    """When its command was started."""
    cpu_s: float
    peak_rss_mb: float
    """Of its largest process."""
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
    began_ns, cpu_s, rss_mb, _ = _run(
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
        began_ns=began_ns,
        cpu_s=cpu_s,
        peak_rss_mb=rss_mb,
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
    began_ns, cpu_s, rss_mb, text = _run(
        [
            *(str(python.parent / "aiperf"), "profile", "--model", "truth", "--url", base),
            *("--endpoint-type", "chat", "--streaming", "--ui", "none", "--use-server-token-count"),
            *("--tokenizer", "builtin", "--input-file", str(data), "--custom-dataset-type", "single_turn"),
            *("--request-rate", str(rate), "--arrival-pattern", "constant", "--request-count", str(count)),
            *("--extra-inputs", f"max_tokens:{TOKENS}", "--output-artifact-dir", str(output)),
        ],
        {"HF_HUB_OFFLINE": "1"},
    )
    summary = next(output.rglob("profile_export_aiperf.json"))
    found: dict[str, Any] = json.loads(summary.read_text())
    summary.unlink()
    ttft, itl = found["time_to_first_token"], found.get("inter_token_latency") or {}
    return Found(
        began_ns=began_ns,
        cpu_s=cpu_s,
        peak_rss_mb=rss_mb,
        ttft_mean_ms=ttft["avg"],
        ttft_p95_ms=ttft["p95"],
        ttft_p99_ms=ttft["p99"],
        itl_mean_ms=itl.get("avg"),
        said="degraded" if "degraded" in text.lower() else "",
    )


def _run(command: Sequence[str], more: Mapping[str, str]) -> tuple[int, float, float, str]:
    """Run to the end while looking at its processes: when it began, CPU of all, memory of the largest, output.

    The CPU holds everything from the start on: these tools do not tell when they send their first request.
    """
    began_ns = time.monotonic_ns()
    process = psutil.Popen(
        command, env={**os.environ, **more}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    cpu: dict[int, float] = {}
    largest, stopped, lines = 0.0, False, list[str]()
    import threading

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
        time.sleep(WATCH_S)
    reading.join()
    text = "".join(lines)
    if process.returncode:
        raise SystemExit(f"{command[0]} ended with {process.returncode}:\n{text[-2000:]}")
    return began_ns, sum(cpu.values()), largest, text


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []
