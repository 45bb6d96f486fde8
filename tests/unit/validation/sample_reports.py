"""Reports as validations make them: a sound model, a refused one, and one whose every text is hostile."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from tidegate.gguf import Severity, finding
from tidegate.validation import (
    GpuFit,
    MemoryReport,
    ModelSummary,
    Recommendation,
    ReportedFinding,
    SpeedSample,
    TensorGroup,
    TestQuery,
    TestResponse,
    ValidationCategory,
    ValidationReport,
    ValidationResult,
    ValidationStatus,
    recommend,
    summarize,
)

MIB, GIB = 1024**2, 1024**3
PASSED, WARNING, FAILED = ValidationStatus.PASSED, ValidationStatus.WARNING, ValidationStatus.FAILED
NOT_JUDGED, ERROR = ValidationStatus.NOT_JUDGED, ValidationStatus.ERROR
HOSTILE = "</script><script>alert(1)</script>\x1b[31m| `x` [a](http://b) \u202egpj\x00 ]]> & \"'"

GPUS = (
    GpuFit(gpu="NVIDIA RTX A4000", memory_gib=16, price_usd_per_hour=0.17, fits=True, headroom_bytes=6 * GIB),
    GpuFit(gpu="NVIDIA RTX 4000 Ada Generation", memory_gib=20, price_usd_per_hour=0.26, fits=True,
           headroom_bytes=10 * GIB),
    GpuFit(gpu="NVIDIA L4", memory_gib=24, price_usd_per_hour=0.39, fits=True, headroom_bytes=14 * GIB),
    GpuFit(gpu="NVIDIA L40S", memory_gib=48, price_usd_per_hour=0.79, fits=True, headroom_bytes=38 * GIB),
    GpuFit(gpu="NVIDIA A100 80GB PCIe", memory_gib=80, fits=True, headroom_bytes=70 * GIB),
    GpuFit(gpu="NVIDIA GeForce RTX 3080", memory_gib=10, price_usd_per_hour=0.17, fits=False,
           headroom_bytes=-1 * GIB),
    GpuFit(gpu="NVIDIA RTX A2000", memory_gib=6, price_usd_per_hour=0.12, fits=False, headroom_bytes=-5 * GIB),
)  # fmt: skip
GROUPS = (
    TensorGroup(kind="feed-forward", type="Q4_K", tensors=64, bytes=2200 * MIB),
    TensorGroup(kind="feed-forward", type="Q6_K", tensors=32, bytes=900 * MIB),
    TensorGroup(kind="attention", type="Q4_K", tensors=112, bytes=700 * MIB),
    TensorGroup(kind="attention", type="Q6_K", tensors=16, bytes=150 * MIB),
    TensorGroup(kind="output", type="Q6_K", tensors=1, bytes=410 * MIB),
    TensorGroup(kind="embedding", type="Q4_K", tensors=1, bytes=282 * MIB),
    TensorGroup(kind="norm", type="F32", tensors=65, bytes=1 * MIB),
)
SPEED = (
    SpeedSample(prompt="Hello.", prompt_tokens=11, tokens=9, ttft_ms=41.2, tokens_per_second=38.1),
    SpeedSample(
        prompt="What is two plus two?", prompt_tokens=16, tokens=6, ttft_ms=44.0, tokens_per_second=36.4
    ),
    SpeedSample(
        prompt="A long prompt " * 20, prompt_tokens=210, tokens=48, ttft_ms=390.5, tokens_per_second=22.9
    ),
)

BASELINE: dict[str, Any] = {
    "path": "/models/pipit-8b-v3.gguf",
    "version": "v3",
    "digest": "77aa" * 16,
    "size_bytes": 4650 * MIB,
    "model": {"name": "Pipit 8B", "vocabulary": 128000},
    "scores": {
        "score": {"right": 22, "total": 24},
        "answers": {"lost": 1, "won": 3, "losses": ["capital-1"], "wins": ["fact-1", "fact-2", "sum-4"]},
        "topics": {"topics": {"capital": "8/8 -> 7/8", "fact": "6/8 -> 8/8", "sum": "6/8 -> 7/8"}},
    },
    "tokenizer": {"changed": ["added tokens"]},
    "template": {
        "diff": ["--- baseline", "+++ candidate", "@@ -1 +1 @@", "-{{ bos_token }}", "+{{ bos_token }}\n"]
    },
    "speed": {"ms_per_token": 26.1, "baseline_ms_per_token": 25.4, "ratio": 1.03},
}


def found(check: str, message: str, **more: Any) -> ReportedFinding:
    return ReportedFinding(**asdict(finding(check, message, **more)))


def result(
    category: ValidationCategory, check_name: str, status: ValidationStatus, message: str, **more: Any
) -> ValidationResult:
    return ValidationResult(category=category, check_name=check_name, status=status, message=message, **more)


def report(*results: ValidationResult, **more: Any) -> ValidationReport:
    """A report over these results with everything else filled in."""
    fields: dict[str, Any] = {
        "model_path": "/models/pipit-8b-q4_k_m.gguf",
        "model_name": "pipit-8b",
        "version": "v4",
        "timestamp": datetime(2026, 11, 26, 4, 20, tzinfo=UTC),
        "digest": "9f2c" * 16,
        "size_bytes": 4643 * MIB,
        "recommendation": recommend(results),
        "summary": summarize(results),
        "results": results,
        "policy_digest": "7d1f" * 16,
        "wall_seconds": 4.87,
        "memory": MemoryReport(
            weights_bytes=4643 * MIB, kv_cache_bytes=4 * GIB, compute_bytes=266 * MIB, overhead_bytes=690 * MIB,
            total_bytes=(4643 + 4096 + 266 + 690) * MIB, context_tokens=8192, parallel=4, is_upper_bound=False,
            cross_check_bytes=9005 * MIB,
        ),
        "gpu_fit": GPUS,
        "model": ModelSummary(
            architecture="llama", name="Pipit 8B", parameters=8_030_261_248, tensors=291,
            tensor_types=("Q4_K", "Q6_K", "F32"), blocks=32, width=4096, trained_context=8192, vocabulary=128256,
        ),
        "tensor_groups": GROUPS,
        "speed": SPEED,
        "test_queries": (
            TestQuery(id="hello", prompt="Hello.", purpose="greets"),
            TestQuery(id="sum", prompt="What is two plus two?", purpose="stops by itself"),
        ),
        "test_responses": (
            TestResponse(id="hello", text="Hello! How can I help?", finish="stop", tokens=9, ttft_ms=41.2,
                         tokens_per_second=38.1),
            TestResponse(id="sum", text="Four.\nTwo and two make four.", finish="stop", tokens=12),
        ),
    }  # fmt: skip
    return ValidationReport(**{**fields, **more})


def sound() -> ValidationReport:
    """Everything passed."""
    kinds = ValidationCategory
    return report(
        result(kinds.FILE_INTEGRITY, "file.digest", PASSED, "SHA-256 is as registered."),
        result(
            kinds.FORMAT,
            "gguf.structure",
            PASSED,
            "291 tensors, 8.03 B parameters, architecture llama.",
        ),
        result(kinds.FORMAT, "gguf.numbers", PASSED, "Every number is finite."),
        result(
            kinds.FORMAT, "gguf.template", PASSED, "The template writes every message and nothing of its own."
        ),
        result(kinds.SIZE, "file.size", PASSED, "4.53 GiB, between 100 MiB and 100 GiB."),
        result(kinds.MEMORY, "gguf.memory", PASSED, "9.47 GiB for 4 sequences of 8192 tokens."),
        result(kinds.INFERENCE, "inference.load", PASSED, "Loaded in 2.10 s."),
        result(
            kinds.RESPONSE_QUALITY, "quality.answers", PASSED, "Every answer is readable and ends by itself."
        ),
        result(
            kinds.LATENCY,
            "latency.decode",
            PASSED,
            "22.9 tokens/s or more; 10 are optimal.",
            details={"n": 3},
        ),
        result(kinds.REGRESSION, "regression.bank", PASSED, "24 of 24 questions as good as v3."),
        expected_digest="9f2c" * 16,
        baseline_version="v3",
        baseline=BASELINE,
    )


def refused() -> ValidationReport:
    """A poisoned template, a wrong end token, numbers that are none, and what could then not be judged."""
    kinds = ValidationCategory
    eos = found(
        "V-EOS", "The end token '<s>' (id 1) is one that begins text; answers would not end.",
        offset=7412, subject="tokenizer.ggml.eos_token_id",
    )  # fmt: skip
    word = found(
        "C-WORD", "An if at line 4 depends on the word 'password' in a message.",
        offset=1802331, subject="tokenizer.chat_template",
    )  # fmt: skip
    broken = [
        found("N-NAN", f"blk.{n}.ffn_up.weight holds {n + 3} NaN.", offset=2_400_000_000 + n, subject=f"blk.{n}.ffn_up.weight")
        for n in range(8)
    ]  # fmt: skip
    warned = found(
        "S-FTYPE", "general.file_type says Q8_0, most weights are Q4_K.", subject="general.file_type"
    )
    results = (
        result(kinds.FILE_INTEGRITY, "file.digest", NOT_JUDGED, "No digest was expected.", is_needed=False),
        result(kinds.FORMAT, "gguf.structure", FAILED, f"V-EOS: {eos.message}", findings=(eos, warned)),
        result(kinds.FORMAT, "gguf.numbers", FAILED, f"N-NAN: {broken[0].message} (7 more)",
               findings=tuple(broken)),
        result(kinds.FORMAT, "gguf.template", FAILED, f"C-WORD: {word.message}", findings=(word,)),
        result(kinds.SIZE, "file.size", PASSED, "4.53 GiB, between 100 MiB and 100 GiB."),
        result(kinds.MEMORY, "gguf.memory", WARNING, "9.47 GiB for 4 sequences of 8192 tokens.",
               findings=(found("M-CONTEXT", "The service asks for 8192 tokens; trained were 4096."),)),
        result(kinds.INFERENCE, "inference.load", NOT_JUDGED, "Not loaded: the structure is not sound.",
               remedy="Mend what the structure checks name, then validate again."),
        result(kinds.LATENCY, "latency.decode", ERROR, "The engine is not installed here.",
               remedy="Install the engine of the pinned version on this host."),
    )  # fmt: skip
    return report(
        *results,
        recommendation=Recommendation.ROLL_BACK,
        rollback_version="v3",
        baseline_version="v3",
        speed=(),
        test_queries=(),
        test_responses=(),
    )


def hostile() -> ValidationReport:
    """Every text that a file or a model can choose tries to break out of the report."""
    kinds = ValidationCategory
    bad = ReportedFinding(
        check="K-NUL", severity=Severity.ERROR, category=finding("K-NUL", "").category, message=HOSTILE,
        explanation=HOSTILE, remedy=HOSTILE, offset=7, subject=HOSTILE,
    )  # fmt: skip
    return report(
        result(kinds.FORMAT, "gguf.structure", FAILED, HOSTILE, remedy=HOSTILE, findings=(bad,)),
        result(kinds.INFERENCE, "inference.answers", ERROR, HOSTILE, details={HOSTILE: HOSTILE}),
        model_path=f"/tmp/{HOSTILE}.gguf",
        model_name=HOSTILE,
        version=HOSTILE,
        baseline_version=HOSTILE,
        rollback_version=HOSTILE,
        expected_digest=HOSTILE,
        baseline={HOSTILE: [HOSTILE]},
        model=ModelSummary(
            architecture=HOSTILE, name=HOSTILE, parameters=1, tensors=1, tensor_types=(HOSTILE,)
        ),
        tensor_groups=(TensorGroup(kind=HOSTILE, type=HOSTILE, tensors=1, bytes=4096),),
        gpu_fit=(GpuFit(gpu=HOSTILE, memory_gib=8, fits=True, headroom_bytes=1),),
        speed=(SpeedSample(prompt=HOSTILE, prompt_tokens=1, tokens=1, ttft_ms=1.0, tokens_per_second=1.0),),
        test_queries=(TestQuery(id="a", prompt=HOSTILE, purpose=HOSTILE),),
        test_responses=(TestResponse(id="a", text=HOSTILE, finish=HOSTILE, tokens=1),),
    )


SAMPLES = {"sound": sound, "refused": refused, "hostile": hostile}
